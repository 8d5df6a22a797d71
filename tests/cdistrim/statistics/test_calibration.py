"""Calibration is compared with its definitions and with scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from sklearn import calibration, linear_model, metrics

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError
from cdistrim.statistics import Bins
from tests.cdistrim.statistics.drawn import exactly


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


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    with pytest.raises(DataError, match=r"1 of 2 scores lie outside"):
        statistics.calibration_curve([0, 1], [0.5, 1.5])
    with pytest.raises(DataError, match=r"1 of 2 scores lie outside"):
        statistics.brier([0, 1], [-0.5, 0.5])
    with pytest.raises(UsageError):
        statistics.calibration_curve([0, 1], [0.5, 0.5], bins=0)


def test_quantile_bins_hold_the_same_number_of_cases_and_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(10)
    scores = rng.beta(0.5, 2, 203)
    labels = (rng.random(203) < scores).astype(int)
    curve = statistics.calibration_curve(labels, scores, bins=8, kind=Bins.EQUAL_COUNT)
    assert np.ptp(curve.count) <= 1
    fraction, mean = calibration.calibration_curve(labels, scores, n_bins=8, strategy="quantile")
    np.testing.assert_allclose(curve.fraction, fraction, atol=1e-12)
    np.testing.assert_allclose(curve.mean_score, mean, atol=1e-12)


def test_equal_bins_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(11)
    scores = rng.random(300)
    labels = (rng.random(300) < scores).astype(int)
    curve = statistics.calibration_curve(labels, scores)
    fraction, mean = calibration.calibration_curve(labels, scores, n_bins=10)
    np.testing.assert_allclose(curve.fraction, fraction, atol=1e-12)
    np.testing.assert_allclose(curve.mean_score, mean, atol=1e-12)


@pytest.mark.parametrize("edge", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9])
def test_an_edge_belongs_to_the_bin_above_it(edge: float) -> None:
    curve = statistics.calibration_curve([0, 1, 0, 1], [edge, edge, edge - 0.05, edge - 0.05])
    assert curve.count.tolist() == [2, 2]


def test_many_equal_scores_make_fewer_quantile_bins() -> None:
    curve = statistics.calibration_curve(
        [0, 1, 0, 1, 1], [0.5, 0.5, 0.5, 0.5, 0.9], bins=4, kind=Bins.EQUAL_COUNT
    )
    assert curve.count.tolist() == [4, 1]
    assert statistics.calibration_curve([0, 1], [0.5, 0.5], kind=Bins.EQUAL_COUNT).count == [2]


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_intervals_of_bins_are_wilsons(level: float) -> None:
    for hits, count in ((0, 5), (3, 7), (1, 1), (50, 60)):
        labels = [1] * hits + [0] * (count - hits)
        curve = statistics.calibration_curve(labels, [0.3] * count, level=level)
        expected = stats.binomtest(hits, count).proportion_ci(level, method="wilson")
        assert curve.low[0] == exactly(expected.low)
        assert curve.high[0] == exactly(expected.high)
        assert curve.low[0] <= curve.fraction[0] <= curve.high[0]


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_figures_of_several_classes_agree_with_their_definitions() -> None:
    rng = np.random.default_rng(12)
    scores = softmax(rng.normal(size=(200, 3)))
    labels = rng.integers(0, 3, 200)
    distances = [
        sum((row[k] - (k == label)) ** 2 for k in range(3))
        for row, label in zip(scores, labels, strict=True)
    ]
    assert statistics.brier_of_classes(labels, scores) == exactly(float(np.mean(distances)))
    whole = metrics.brier_score_loss(labels, scores, scale_by_half=False)
    assert statistics.brier_of_classes(labels, scores) == exactly(whole)
    gap = 0.0
    best, right = scores.max(axis=1), scores.argmax(axis=1) == labels
    for number in range(10):
        inside = (best >= number / 10) & (best < (number + 1) / 10)
        if inside.any():
            gap += inside.mean() * abs(best[inside].mean() - right[inside].mean())
    assert statistics.top_label_calibration_error(labels, scores) == exactly(gap)


def test_two_classes_have_twice_the_binary_brier_score() -> None:
    rng = np.random.default_rng(13)
    scores = rng.random(50)
    labels = rng.integers(0, 2, 50)
    both = statistics.brier_of_classes(labels, np.column_stack([1 - scores, scores]))
    assert both == exactly(2 * statistics.brier(labels, scores))


def test_a_calibration_line_is_the_unpenalised_logistic_regression_on_the_logits() -> None:
    rng = np.random.default_rng(14)
    logits = rng.normal(0, 2, 400)
    labels = (rng.random(400) < 1 / (1 + np.exp(-(0.6 * logits + 0.5)))).astype(int)
    line = statistics.calibration_line(labels, 1 / (1 + np.exp(-logits)))
    model = linear_model.LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000)
    model.fit(logits[:, np.newaxis], labels)
    assert line.slope == pytest.approx(model.coef_[0, 0], abs=1e-6)
    moved = 1 / (1 + np.exp(-(logits + line.intercept)))
    assert moved.mean() == exactly(labels.mean())
    chance = 1 / (1 + np.exp(-(line.slope * logits + model.intercept_[0])))
    design = np.column_stack([logits, np.ones(400)])
    spread = np.linalg.inv(design.T @ (design * (chance * (1 - chance))[:, np.newaxis]))
    reach = 1.959963984540054 * math.sqrt(spread[0, 0])
    assert line.slope_high - line.slope == pytest.approx(reach, rel=1e-5)
    assert line.slope_low < 0.6 < line.slope_high
    assert line.intercept_low < line.intercept < line.intercept_high


def test_calibrated_scores_have_slope_1_and_intercept_0() -> None:
    rng = np.random.default_rng(15)
    scores = rng.random(200_000)
    line = statistics.calibration_line(rng.random(200_000) < scores, scores)
    assert line.slope == pytest.approx(1, abs=0.03)
    assert line.intercept == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("labels", "scores", "told"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], "separate the classes"),
        ([0, 0, 1, 1], [0.9, 0.7, 0.2, 0.1], "separate the classes"),
        ([0, 0, 1, 1], [0.4, 0.4, 0.4, 0.4], "all the same"),
        ([1, 1], [0.4, 0.5], "2 positive and 0 negative"),
        ([0, 1], [0.4, math.nan], "not finite"),
        ([0, 1], [0.4, 1.5], "outside"),
    ],
)
def test_what_has_no_calibration_line_is_refused(
    labels: list[int], scores: list[float], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        statistics.calibration_line(labels, scores)


@pytest.mark.parametrize(
    ("labels", "scores", "told"),
    [
        ([0, 1], [[0.5, 0.4], [0.5, 0.5]], "1 of 2 rows"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], "1 of 2 rows"),
        ([0, 1], [0.5, 0.5], "no table"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "none of 0 to 1"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "1 labels, but 2 rows"),
        ([], np.empty((0, 2)), "no cases"),
        ([0, 1], [[0.5, math.nan], [0.5, 0.5]], "not finite"),
    ],
)
def test_rows_that_are_no_probabilities_are_refused(
    labels: npt.ArrayLike, scores: npt.ArrayLike, told: str
) -> None:
    for figure in (statistics.brier_of_classes, statistics.top_label_calibration_error):
        with pytest.raises(DataError, match=told):
            figure(labels, scores)
