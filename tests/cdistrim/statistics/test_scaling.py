"""Temperature and Platt scaling, compared with scikit-learn and with the likelihood's own slope."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from scipy.special import expit, log_expit, log_softmax, softmax
from sklearn import linear_model

from cdistrim import statistics
from cdistrim.errors import DataError
from cdistrim.statistics import (
    PlattScaling,
    TemperatureScaling,
    fit_platt,
    fit_temperature,
    logits_of,
)
from tests.cdistrim.statistics.drawn import exactly

FloatArray = npt.NDArray[np.float64]


def sample(seed: int, cases: int = 300) -> tuple[npt.NDArray[np.int64], FloatArray]:
    """Labels, and logits that are twice too extreme."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, cases)
    return (rng.random(cases) < expit(true)).astype(np.int64), 2 * true + 0.4


def platts_targets(labels: npt.NDArray[np.int64]) -> FloatArray:
    positives = int(labels.sum())
    negatives = labels.size - positives
    return np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def test_platt_agrees_with_scikit_learn_where_each_case_counts_for_both_classes() -> None:
    labels, logits = sample(1)
    targets = platts_targets(labels)
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=2000)
    model.fit(
        np.concatenate([logits, logits])[:, np.newaxis],
        np.repeat([1, 0], labels.size),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    found = fit_platt(labels, logits)
    assert found.slope == pytest.approx(model.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(model.intercept_[0], abs=1e-5)


def test_at_platts_fit_the_likelihood_has_no_slope() -> None:
    labels, logits = sample(2)
    gap = fit_platt(labels, logits).apply(logits) - platts_targets(labels)
    assert gap.mean() == exactly(0.0)
    assert (gap * logits).mean() == exactly(0.0)


@pytest.mark.parametrize("classes", [2, 4])
def test_at_the_temperature_the_likelihood_has_no_slope_and_its_maximum(classes: int) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, classes, 200)
    logits = 3 * (np.eye(classes)[labels] + rng.normal(size=(200, classes)))
    count = np.bincount(labels)[labels]
    targets = np.repeat(1 / (count + classes)[:, np.newaxis], classes, axis=1)
    targets[np.arange(200), labels] = (count + 1) / (count + classes)
    found = fit_temperature(labels, logits)
    slope = np.mean(
        np.sum((targets - softmax(logits / found.temperature, axis=1)) * logits, axis=1)
    )
    assert slope == exactly(0.0)

    def loss(temperature: float) -> float:
        return -float(np.mean(np.sum(targets * log_softmax(logits / temperature, axis=1), axis=1)))

    best = optimize.minimize_scalar(loss, bounds=(0.1, 50), method="bounded").x
    assert found.temperature == pytest.approx(best, rel=1e-3)


def test_a_temperature_of_two_classes_is_that_of_the_difference_of_their_logits() -> None:
    labels, logits = sample(4)
    single = fit_temperature(labels, logits)
    both = fit_temperature(labels, np.column_stack([np.full(labels.size, 3.0), logits + 3.0]))
    assert single.temperature == exactly(both.temperature)
    rows = both.apply(np.column_stack([np.zeros(labels.size), logits]))
    np.testing.assert_allclose(single.apply(logits), rows[:, 1], rtol=1e-12)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-12)


def test_scaling_recovers_what_made_the_scores_too_extreme() -> None:
    labels, logits = sample(5, 100_000)
    assert fit_platt(labels, logits).slope == pytest.approx(0.5, abs=0.02)
    assert fit_platt(labels, logits).intercept == pytest.approx(-0.2, abs=0.04)
    assert fit_temperature(labels, logits - 0.4).temperature == pytest.approx(2, abs=0.06)


def test_scaling_leaves_the_order_and_makes_new_cases_likelier() -> None:
    labels, logits = sample(6)
    new, far = sample(7)
    before = -float(np.mean(log_expit(np.where(new == 1, far, -far))))
    for scaling in (fit_platt(labels, logits), fit_temperature(labels, logits)):
        scores = scaling.apply(far)
        assert statistics.auc(new, scores) == statistics.auc(new, far)
        assert -float(np.mean(np.log(np.where(new == 1, scores, 1 - scores)))) < before


@pytest.mark.parametrize("stretch", [1e-3, 1.0, 1e3])
def test_perfect_separation_gives_no_certainty(stretch: float) -> None:
    labels = [0, 0, 0, 1, 1, 1]
    logits = [stretch * one for one in (-3, -2, -1, 1, 2, 3)]
    for scaling in (fit_platt(labels, logits), fit_temperature(labels, logits)):
        scores = scaling.apply(logits)
        assert 0.01 < scores.min() < 0.3
        assert 0.7 < scores.max() < 0.99


@given(st.floats(0.01, 100), st.floats(-50, 50))
@settings(deadline=None)
def test_platt_does_not_care_how_scores_are_stretched_or_moved(stretch: float, by: float) -> None:
    labels, logits = sample(8, 60)
    plain = fit_platt(labels, logits).apply(logits)
    moved = logits * stretch + by
    np.testing.assert_allclose(fit_platt(labels, moved).apply(moved), plain, atol=1e-8)


def test_the_same_cases_give_the_same_scale_in_any_order() -> None:
    labels, logits = sample(9)
    order = np.random.default_rng(0).permutation(labels.size)
    assert fit_platt(labels, logits) == fit_platt(labels, logits)
    assert fit_temperature(labels, logits) == fit_temperature(labels, logits)
    turned = fit_platt(labels[order], logits[order])
    assert turned.slope == exactly(fit_platt(labels, logits).slope)


def test_float32_logits_give_the_figures_of_the_same_numbers_in_float64() -> None:
    labels, logits = sample(10)
    narrow = logits.astype(np.float32)
    assert fit_platt(labels, narrow) == fit_platt(labels, narrow.astype(float))
    assert fit_temperature(labels, narrow) == fit_temperature(labels, narrow.astype(float))


def test_a_model_that_orders_the_wrong_way_round_has_a_negative_slope_and_no_temperature() -> None:
    labels, logits = sample(11)
    assert fit_platt(labels, -logits).slope < 0
    with pytest.raises(DataError, match="the opposite"):
        fit_temperature(labels, -logits)


BAD: list[tuple[object, object, str]] = [
    ([], [], "no cases"),
    ([1, 1], [0.1, 0.2], "0"),
    ([0, 1, 1], [0.1, 0.2], "3 labels, but 2"),
    ([0, 1], [0.1, math.nan], "not finite"),
    ([0, 1], [-math.inf, 0.1], "not finite"),
    ([0, 2], [0.1, 0.2], "1 of 2 labels"),
    (["patient-7", "x"], [0.1, 0.2], "no list of numbers"),
]


@pytest.mark.parametrize(("labels", "logits", "told"), BAD, ids=lambda _: None)
def test_bad_input_is_refused_with_counts_and_without_values(
    labels: npt.ArrayLike, logits: npt.ArrayLike, told: str
) -> None:
    for fit in (fit_platt, fit_temperature):
        with pytest.raises(DataError, match=told) as caught:
            fit(labels, logits)
        assert "patient" not in str(caught.value)


def test_logits_that_say_nothing_have_no_scale() -> None:
    with pytest.raises(DataError, match="all the same"):
        fit_platt([0, 1, 1], [2.0, 2.0, 2.0])
    for logits in ([0.0, 0.0, 0.0], [[2.0, 2.0, 2.0]] * 3):
        with pytest.raises(DataError, match="No temperature"):
            fit_temperature([0, 1, 1] if np.ndim(logits) == 1 else [0, 1, 2], logits)


def test_platt_takes_one_column() -> None:
    with pytest.raises(DataError, match="two classes"):
        statistics.PlattScaling(1.0, 0.0).apply([[0.1, 0.2]])
    with pytest.raises(DataError, match="no list of numbers"):
        fit_platt([0, 1], [[0.1, 0.2], [0.3, 0.4]])


def test_logits_undo_probabilities_and_stay_finite_at_0_and_1() -> None:
    found = logits_of([0.0, 0.25, 0.5, 1.0])
    assert found[1:3].tolist() == [exactly(math.log(1 / 3)), 0.0]
    assert found[3] == -found[0] == exactly(math.log(2**24 - 1))
    columns = logits_of([[0.0, 0.25, 0.75], [0.5, 0.25, 0.25]])
    assert columns[:, 1] - columns[:, 2] == pytest.approx([math.log(1 / 3), 0.0], abs=1e-12)
    assert columns[0, 0] == exactly(-24 * math.log(2))
    for bad in ([1.5], [math.nan], ["patient-7"]):
        with pytest.raises(DataError, match="no probabilities") as caught:
            logits_of(bad)
        assert "patient" not in str(caught.value)


@pytest.mark.parametrize("figure", [math.nan, math.inf, -math.inf])
def test_a_scale_that_is_no_number_is_refused(figure: float) -> None:
    for made in (
        lambda: PlattScaling(figure, 0.0),
        lambda: PlattScaling(1.0, figure),
        lambda: TemperatureScaling(figure),
    ):
        with pytest.raises(DataError, match="scales nothing"):
            made()
    for cold in (0.0, -1.0):
        with pytest.raises(DataError, match="above 0"):
            TemperatureScaling(cold)
