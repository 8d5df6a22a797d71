"""DeLong's test, compared with pair counting in exact fractions; non-inferiority."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from sklearn import metrics

from cdistrim import statistics
from cdistrim.errors import UsageError
from tests.cdistrim.statistics.drawn import Cases, cases, exactly

Placed = tuple[list[Fraction], list[Fraction]]


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


@given(cases())
@settings(deadline=None)
def test_swapping_the_classes_mirrors_aucs_and_difference(drawn: Cases) -> None:
    labels, a, b = drawn
    test = statistics.delong_test(labels, a, b)
    mirrored = statistics.delong_test([1 - label for label in labels], a, b)
    assert (mirrored.auc_a, mirrored.auc_b) == (exactly(1 - test.auc_a), exactly(1 - test.auc_b))
    assert mirrored.difference == exactly(-test.difference)
    assert mirrored.variance == exactly(test.variance)


@given(cases())
@settings(deadline=None)
def test_the_variance_is_that_of_leaving_out_one_case_at_a_time(drawn: Cases) -> None:
    """A class's jackknife: what its cases change, with AUCs by scikit-learn."""
    labels, scores, _ = drawn
    truth, values = np.asarray(labels), np.asarray(scores)
    variance = 0.0
    for label in (0, 1):
        own = np.flatnonzero(truth == label)
        without = [
            metrics.roc_auc_score(np.delete(truth, case), np.delete(values, case)) for case in own
        ]
        variance += (own.size - 1) / own.size * float(np.sum((without - np.mean(without)) ** 2))
    # DeLong's divisor and the jackknife's agree: (V10 - AUC) / (m - 1) is what a case changes.
    found = statistics.delong_test(labels, scores, np.zeros(truth.size)).variance
    assert found == exactly(variance)
