"""Calibration is compared with its definitions and with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError
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
