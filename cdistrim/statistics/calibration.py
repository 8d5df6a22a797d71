"""Whether a score of 0.7 means 7 in 10: calibration curve, its mean error, Brier score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cdistrim.errors import UsageError
from cdistrim.statistics.inputs import FloatArray, IntArray, read_labels, read_probabilities

__all__ = [
    "CalibrationCurve",
    "brier",
    "calibration_curve",
    "expected_calibration_error",
]


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Per bin that holds a case: mean score, fraction of positives, number of cases."""

    mean_score: FloatArray
    fraction: FloatArray
    count: IntArray


def calibration_curve(
    y_true: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 10
) -> CalibrationCurve:
    """Mean score against fraction of positives in equal bins of [0, 1]; empty bins are left out.

    A bin holds its lower edge; the last one also holds 1.

    Raises:
        DataError: Empty input, lengths that differ, scores that are no probabilities.
        UsageError: ``bins`` is not positive.
    """
    if bins < 1:
        raise UsageError(f"{bins} calibration bins are not possible.", hint="Take at least 1.")
    labels = read_labels(y_true)
    values = read_probabilities(labels, scores)
    edges = np.linspace(0.0, 1.0, bins + 1)
    place = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.int64)
    held = count > 0
    count = count[held]
    mean_score = np.bincount(place, weights=values, minlength=bins)[held] / count
    fraction = np.bincount(place, weights=labels.astype(float), minlength=bins)[held] / count
    return CalibrationCurve(mean_score, fraction, count)


def expected_calibration_error(
    y_true: npt.ArrayLike, scores: npt.ArrayLike, bins: int = 10
) -> float:
    """Mean distance between score and fraction of positives, weighted by cases; in [0, 1].

    Raises:
        DataError: As :func:`calibration_curve`.
        UsageError: ``bins`` is not positive.
    """
    curve = calibration_curve(y_true, scores, bins)
    gaps = np.abs(curve.mean_score - curve.fraction)
    return float(np.sum(gaps * curve.count) / np.sum(curve.count))


def brier(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean squared distance between probability and outcome, in [0, 1]; 0 is best.

    Raises:
        DataError: Empty input, lengths that differ, scores that are no probabilities.
    """
    labels = read_labels(y_true)
    return float(np.mean((read_probabilities(labels, scores) - labels) ** 2))
