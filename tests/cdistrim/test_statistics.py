"""Figures are compared with independent computations: pair counting, scipy, scikit-learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError

FloatArray = npt.NDArray[np.float64]
Cases = tuple[list[int], list[int], list[int]]
Placed = tuple[list[Fraction], list[Fraction]]


def exactly(value: float) -> float:
    """Equal within 1e-10; typed as a number, so that comparisons with it are checked."""
    return cast(float, pytest.approx(value, rel=1e-10, abs=1e-10))


@st.composite
def cases(draw: st.DrawFn) -> Cases:
    """Labels and the scores of two models; few distinct values, so that ties are the rule."""
    positives, negatives = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    labels = draw(st.permutations([1] * positives + [0] * negatives))
    score = st.lists(st.integers(-3, 3), min_size=len(labels), max_size=len(labels))
    return list(labels), draw(score), draw(score)


def placements(labels: list[int], scores: list[int]) -> Placed:
    """V10 and V01 by their definition: compare every positive with every negative."""
    high = [s for s, label in zip(scores, labels, strict=True) if label]
    low = [s for s, label in zip(scores, labels, strict=True) if not label]

    def psi(x: int, y: int) -> Fraction:
        return Fraction((x > y) - (x < y) + 1, 2)

    v10 = [sum((psi(x, y) for y in low), Fraction(0)) / len(low) for x in high]
    v01 = [sum((psi(x, y) for x in high), Fraction(0)) / len(high) for y in low]
    return v10, v01


def covariance(a: list[Fraction], b: list[Fraction]) -> Fraction:
    mean_a, mean_b = sum(a, Fraction(0)) / len(a), sum(b, Fraction(0)) / len(b)
    products = ((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return sum(products, Fraction(0)) / (len(a) - 1)


@given(cases())
@settings(deadline=None)
def test_delong_agrees_with_pair_counting_in_exact_fractions(drawn: Cases) -> None:
    labels, a, b = drawn
    placed_a, placed_b = placements(labels, a), placements(labels, b)
    auc_a, auc_b = (sum(v10, Fraction(0)) / len(v10) for v10, _ in (placed_a, placed_b))

    def cov(x: Placed, y: Placed) -> Fraction:
        return covariance(x[0], y[0]) / len(x[0]) + covariance(x[1], y[1]) / len(x[1])

    variance = cov(placed_a, placed_a) + cov(placed_b, placed_b) - 2 * cov(placed_a, placed_b)
    test = statistics.delong_test(labels, a, b)
    assert test.auc_a == exactly(float(auc_a))
    assert test.auc_b == exactly(float(auc_b))
    assert test.difference == exactly(float(auc_a - auc_b))
    assert test.variance == exactly(float(variance))
    assert (test.variance == 0) == (variance == 0)
    if variance:
        z = float(auc_a - auc_b) / math.sqrt(variance)
        assert test.z == exactly(z)
        assert test.p == exactly(2 * stats.norm.sf(abs(z)))


@given(cases())
@settings(deadline=None)
def test_auc_agrees_with_mann_whitney(drawn: Cases) -> None:
    labels, scores, _ = drawn
    values, hits = np.asarray(scores), np.asarray(labels) == 1
    u = stats.mannwhitneyu(values[hits], values[~hits]).statistic
    expected = u / (hits.sum() * (~hits).sum())
    assert statistics.auc(labels, scores) == exactly(expected)


@given(cases())
@settings(deadline=None)
def test_a_roc_curve_agrees_with_scikit_learn_and_encloses_the_auc(drawn: Cases) -> None:
    labels, scores, _ = drawn
    curve = statistics.roc_curve(labels, scores)
    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    area = np.trapezoid(curve.tpr, curve.fpr)
    assert area == exactly(statistics.auc(labels, scores))


@given(cases())
@settings(deadline=None)
def test_models_that_order_the_cases_alike_have_no_difference_and_p_1(drawn: Cases) -> None:
    labels, scores, _ = drawn
    test = statistics.delong_test(labels, scores, [math.exp(score) for score in scores])
    assert (test.difference, test.variance, test.z, test.p) == (0.0, 0.0, 0.0, 1.0)


@given(cases())
@settings(deadline=None)
def test_swapping_the_models_flips_only_the_sign(drawn: Cases) -> None:
    labels, a, b = drawn
    one, other = statistics.delong_test(labels, a, b), statistics.delong_test(labels, b, a)
    assert (one.difference, one.z) == (-other.difference, -other.z)
    assert (one.variance, one.p) == (other.variance, other.p)


def test_a_difference_without_variance_is_certain() -> None:
    labels = [1, 1, 0, 0]
    better = statistics.delong_test(labels, [2, 2, 1, 1], [1, 1, 1, 1])
    assert (better.variance, better.z, better.p) == (0.0, math.inf, 0.0)
    worse = statistics.delong_test(labels, [1, 1, 1, 1], [2, 2, 1, 1])
    assert (worse.variance, worse.z, worse.p) == (0.0, -math.inf, 0.0)


def test_float32_scores_give_the_figures_of_the_same_numbers_in_float64() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 500)
    a, b = rng.normal(labels, 1).astype(np.float32), rng.normal(labels, 1).astype(np.float32)
    assert statistics.delong_test(labels, a, b) == statistics.delong_test(
        labels, a.astype(float), b.astype(float)
    )


def test_a_million_cases_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    labels = rng.random(1_000_000) < 0.3
    scores = rng.normal(labels, 1).astype(np.float32).round(2)
    test = statistics.delong_test(labels, scores, rng.normal(labels, 1))
    assert test.auc_a == exactly(metrics.roc_auc_score(labels, scores))
    assert 0 < test.variance < 1e-5


def test_the_interval_is_the_one_on_the_logit_scale() -> None:
    rng = np.random.default_rng(7)
    labels = np.repeat([0, 1], 40)
    scores = rng.normal(labels, 1)
    # the variance of one AUC is that of its difference to a model that knows nothing
    variance = statistics.delong_test(labels, scores, np.zeros(80)).variance
    area = statistics.auc(labels, scores)
    deviation = math.sqrt(variance) / (area * (1 - area))
    low, high = stats.norm.interval(0.9, loc=math.log(area / (1 - area)), scale=deviation)
    interval = statistics.auc_interval(labels, scores, level=0.9)
    assert interval.low == exactly(1 / (1 + math.exp(-low)))
    assert interval.high == exactly(1 / (1 + math.exp(-high)))
    assert interval.low < interval.auc < interval.high


def test_a_perfect_auc_is_no_certainty() -> None:
    labels = [0] * 20 + [1] * 10
    perfect = statistics.auc_interval(labels, labels)
    assert (perfect.auc, perfect.high) == (1.0, 1.0)
    assert perfect.low == exactly(stats.binomtest(10, 10).proportion_ci(0.95).low)
    inverted = statistics.auc_interval(labels, [-label for label in labels])
    assert (inverted.auc, inverted.low) == (0.0, 0.0)
    assert inverted.high == exactly(1 - perfect.low)


def test_a_model_that_knows_nothing_has_half_the_area_and_no_width() -> None:
    interval = statistics.auc_interval([0, 0, 1, 1], [3, 3, 3, 3])
    assert (interval.auc, interval.low, interval.high) == (0.5, 0.5, 0.5)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(8)
    labels = np.repeat([0, 1], 50)
    shift = math.sqrt(2) * stats.norm.ppf(0.8)
    held = held_difference = 0
    for _ in range(3000):
        common = rng.normal(0, math.sqrt(0.8), 100)
        a, b = (shift * labels + common + rng.normal(0, math.sqrt(0.2), 100) for _ in range(2))
        interval = statistics.auc_interval(labels, a)
        held += interval.low <= 0.8 <= interval.high
        difference = statistics.delong_test(labels, a, b).interval()
        held_difference += difference.low <= 0 <= difference.high
    assert held / 3000 == pytest.approx(0.95, abs=0.02)
    assert held_difference / 3000 == pytest.approx(0.95, abs=0.02)


def test_the_interval_of_a_difference_excludes_zero_exactly_when_p_is_small() -> None:
    test = statistics.DeLongTest(0.8, 0.7, 0.1, 0.05**2, 2.0, 2 * float(stats.norm.sf(2.0)))
    assert test.interval(0.95).low > 0 > test.interval(0.96).low
    assert test.interval(0.95).high == exactly(0.1 + 1.959963984540054 * 0.05)


def test_an_interval_of_a_difference_stays_within_what_is_possible() -> None:
    interval = statistics.DeLongTest(1.0, 0.1, 0.9, 0.5**2, 1.8, 0.07).interval()
    assert interval.low == pytest.approx(0.9 - 1.96 * 0.5, abs=1e-4)
    assert interval.high == 1.0


def test_absence_of_a_difference_is_no_proof_of_non_inferiority() -> None:
    vague = statistics.DeLongTest(0.8, 0.8, 0.0, 0.05**2, 0.0, 1.0)
    precise = statistics.DeLongTest(0.8, 0.8, 0.0, 0.02**2, 0.0, 1.0)
    assert not statistics.non_inferiority(vague, 0.05)
    assert statistics.non_inferiority(precise, 0.05)
    assert not statistics.non_inferiority(precise, 0.02)


@pytest.mark.parametrize(("margin", "alpha"), [(-0.01, 0.05), (math.nan, 0.05), (0.05, 0.5)])
def test_an_impossible_margin_or_alpha_is_refused(margin: float, alpha: float) -> None:
    test = statistics.DeLongTest(0.8, 0.8, 0.0, 0.0, 0.0, 1.0)
    with pytest.raises(UsageError):
        statistics.non_inferiority(test, margin, alpha)


def test_hanley_mcneil_gives_the_published_example() -> None:
    # Hanley and McNeil 1982: 51 abnormal, 58 normal, A = 0.893, standard error 0.032
    assert math.sqrt(statistics.hanley_mcneil_variance(0.893, 51, 58)) == pytest.approx(
        0.032, abs=0.001
    )


def test_calibration_counts_every_case_once_and_leaves_out_empty_bins() -> None:
    curve = statistics.calibration_curve([0, 1, 0, 1, 1], [0.0, 0.1, 0.5, 0.9, 1.0], bins=2)
    np.testing.assert_allclose(curve.mean_score, [0.05, 0.8])
    np.testing.assert_allclose(curve.fraction, [0.5, 2 / 3])
    assert curve.count.tolist() == [2, 3]
    assert statistics.calibration_curve([1], [0.25], bins=10).count.tolist() == [1]


def test_calibration_error_and_brier_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(9)
    scores = rng.random(300)
    labels = (rng.random(300) < scores**2).astype(int)
    gap = 0.0
    for number in range(10):
        inside = (scores >= number / 10) & (scores < (number + 1) / 10)
        if inside.any():
            gap += inside.mean() * abs(scores[inside].mean() - labels[inside].mean())
    assert statistics.expected_calibration_error(labels, scores) == exactly(gap)
    assert statistics.brier(labels, scores) == exactly(metrics.brier_score_loss(labels, scores))


BAD: list[tuple[object, object, str]] = [
    ([], [], "no cases"),
    ([1, 1], [0.1, 0.2], "2 positive and 0 negative"),
    ([0, 0, 0], [0.1, 0.2, 0.3], "0 positive and 3 negative"),
    ([0, 1, 0, 1], [0.1, math.nan, 0.2, 0.3], "1 of 4 scores are not finite"),
    ([0, 1, 0, 1], [0.1, math.inf, -math.inf, 0.3], "2 of 4 scores are not finite"),
    ([0, 1, 0, 1], [0.1, 0.2, 0.3], "4 labels, but 3 scores"),
    ([0, 1, 2, 1], [0.1, 0.2, 0.3, 0.4], "1 of 4 labels"),
    ([0, 1, math.nan, 1], [0.1, 0.2, 0.3, 0.4], "1 of 4 labels"),
    ([0, 1, 0, 1], [[0.1], [0.2], [0.3], [0.4]], "no list of numbers"),
    (["patient-7", "patient-8"], [0.1, 0.2], "no list of numbers"),
    ([[0], [1, 0]], [0.1, 0.2], "no list of numbers"),
]
FIGURES: list[Callable[[object, object], object]] = [
    statistics.auc,  # type: ignore[list-item]
    statistics.auc_interval,  # type: ignore[list-item]
    statistics.roc_curve,  # type: ignore[list-item]
    lambda y, s: statistics.delong_test(y, s, s),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("bad", "figure"), list(itertools.product(BAD, FIGURES)), ids=lambda _: None
)
def test_bad_input_is_refused_with_counts_and_without_values(
    bad: tuple[object, object, str], figure: Callable[[object, object], object]
) -> None:
    labels, scores, told = bad
    with pytest.raises(DataError, match=told) as caught:
        figure(labels, scores)
    assert "patient" not in str(caught.value)
    assert caught.value.hint


def test_one_case_in_a_class_has_an_auc_but_no_variance() -> None:
    labels, scores = [1, 0, 0], [2, 1, 3]
    assert statistics.auc(labels, scores) == 0.5
    with pytest.raises(DataError, match="at least 2 of each"):
        statistics.auc_interval(labels, scores)
    with pytest.raises(DataError, match="at least 2 of each"):
        statistics.delong_test(labels, scores, scores)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(UsageError):
        statistics.auc_interval([0, 0, 1, 1], [1, 2, 3, 4], level)


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    with pytest.raises(DataError, match=r"1 of 2 scores lie outside"):
        statistics.calibration_curve([0, 1], [0.5, 1.5])
    with pytest.raises(DataError, match=r"1 of 2 scores lie outside"):
        statistics.brier([0, 1], [-0.5, 0.5])
    with pytest.raises(UsageError):
        statistics.calibration_curve([0, 1], [0.5, 0.5], bins=0)
