"""ROC curves and their area, compared with scipy, scikit-learn and published figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats
from sklearn import metrics

from cdistrim import statistics
from tests.cdistrim.statistics.drawn import Cases, cases, exactly


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


def test_hanley_mcneil_gives_the_published_example() -> None:
    # Hanley and McNeil 1982: 51 abnormal, 58 normal, A = 0.893, standard error 0.032
    assert math.sqrt(statistics.hanley_mcneil_variance(0.893, 51, 58)) == pytest.approx(
        0.032, abs=0.001
    )
