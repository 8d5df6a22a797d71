"""Whether a score of 0.7 means 7 in 10: calibration curve, its error, line, Brier score.

Sources: Naeini, Cooper and Hauskrecht, AAAI 2015, and Guo et al., ICML 2017 (calibration error, of
the top label for several classes); Brier, Monthly Weather Review 78, 1950; Cox, Biometrika 45,
1958, and Van Calster et al., BMC Medicine 17, 2019 (slope and intercept).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from cdistrim.errors import DataError, UsageError
from cdistrim.statistics.inputs import (
    FloatArray,
    IntArray,
    read_class_probabilities,
    read_classes,
    read_labels,
    read_probabilities,
    require_both_classes,
    two_sided_quantile,
)
from cdistrim.statistics.logistic import fit_logistic
from cdistrim.statistics.scaling import logits_of

__all__ = [
    "Bins",
    "CalibrationCurve",
    "CalibrationLine",
    "brier",
    "brier_of_classes",
    "calibration_curve",
    "calibration_line",
    "expected_calibration_error",
    "top_label_calibration_error",
]


class Bins(Enum):
    """How scores are sorted into bins."""

    EQUAL_WIDTH = "equal width"
    """Equal parts of [0, 1]."""
    EQUAL_COUNT = "equal count"
    """Between quantiles of the scores; fewer bins where many scores are the same."""


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Per bin that holds a case: mean score, fraction of positives, number of cases.

    ``low`` and ``high`` are the fraction's Wilson interval. It takes the cases of a bin as given
    and independent; intervals of several bins don't hold all at once.
    """

    mean_score: FloatArray
    fraction: FloatArray
    count: IntArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class CalibrationLine:
    """Logistic recalibration: what the scores' logits would have to be multiplied by, and moved.

    ``slope`` is 1 for a calibrated model, less for one whose scores are too extreme (overfitted).
    ``intercept`` is calibration in the large: the shift of the logits, with the slope left at 1,
    after which the mean score is the fraction of positives; 0 is best, above 0 the scores are too
    low. Intervals are Wald's.
    """

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    intercept_low: float
    intercept_high: float
    level: float


def calibration_curve(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    bins: int = 10,
    *,
    kind: Bins = Bins.EQUAL_WIDTH,
    level: float = 0.95,
) -> CalibrationCurve:
    """Mean score against fraction of positives in bins of [0, 1]; empty bins are left out.

    A bin of equal width holds its lower edge, the last one also 1; a bin between quantiles holds
    its upper edge. Intervals are Wilson's (Journal of the American Statistical Association 22,
    1927), as Brown, Cai and DasGupta recommend for few cases (Statistical Science 16, 2001).

    Raises:
        DataError: Empty input, lengths that differ, scores that are no probabilities.
        UsageError: ``bins`` is not positive, or ``level`` not between 0 and 1.
    """
    if bins < 1:
        raise UsageError(f"{bins} calibration bins are not possible.", hint="Take at least 1.")
    quantile = two_sided_quantile(level)
    labels = read_labels(y_true)
    values = read_probabilities(labels, scores)
    edges = np.arange(1, bins) / bins  # k / 10 as a score of 0.3 has it, which 3 * 0.1 is not
    if kind is Bins.EQUAL_COUNT:
        place = np.searchsorted(np.quantile(values, edges), values, side="left")
    else:
        place = np.searchsorted(edges, values, side="right")
    count = np.bincount(place, minlength=bins).astype(np.int64)
    held = count > 0
    count = count[held]
    mean_score = np.bincount(place, weights=values, minlength=bins)[held] / count
    fraction = np.bincount(place, weights=labels.astype(float), minlength=bins)[held] / count
    share = quantile**2 / count
    centre = (fraction + share / 2) / (1 + share)
    reach = np.sqrt(share * (fraction * (1 - fraction) + share / 4)) / (1 + share)
    low, high = np.minimum(centre - reach, fraction), np.maximum(centre + reach, fraction)
    return CalibrationCurve(
        mean_score, fraction, count, np.maximum(low, 0.0), np.minimum(high, 1.0)
    )


def expected_calibration_error(
    y_true: npt.ArrayLike,
    scores: npt.ArrayLike,
    bins: int = 10,
    *,
    kind: Bins = Bins.EQUAL_WIDTH,
) -> float:
    """Mean distance between score and fraction of positives, weighted by cases; in [0, 1].

    It depends on the bins, and is above 0 by chance alone; less so with more cases.

    Raises:
        DataError: As :func:`calibration_curve`.
        UsageError: ``bins`` is not positive.
    """
    curve = calibration_curve(y_true, scores, bins, kind=kind)
    gaps = np.abs(curve.mean_score - curve.fraction)
    return float(np.sum(gaps * curve.count) / np.sum(curve.count))


def brier(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean squared distance between probability and outcome, in [0, 1]; 0 is best.

    Raises:
        DataError: Empty input, lengths that differ, scores that are no probabilities.
    """
    labels = read_labels(y_true)
    return float(np.mean((read_probabilities(labels, scores) - labels) ** 2))


def top_label_calibration_error(
    y_true: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    bins: int = 10,
    *,
    kind: Bins = Bins.EQUAL_WIDTH,
) -> float:
    """Calibration error of the class with the highest probability; in [0, 1].

    The score is that probability, the outcome whether the class is right. Of classes with the same
    probability the first counts. It says nothing about the other classes' probabilities.

    Args:
        y_true: Labels 0 to K - 1, shape (cases,); a class may be missing.
        probabilities: Shape (cases, K), rows that add up to 1.
        bins: Number of bins.
        kind: Of the bins.

    Raises:
        DataError: Empty input, shapes that do not fit, rows that are no probabilities.
        UsageError: ``bins`` is not positive.
    """
    values = read_class_probabilities(probabilities)
    labels = read_classes(y_true, values, least=0)
    right = values.argmax(axis=1) == labels
    return expected_calibration_error(right, values.max(axis=1), bins, kind=kind)


def brier_of_classes(y_true: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """Brier's score of K classes, in [0, 2]: squared distances summed over classes; 0 is best.

    For two classes it is twice :func:`brier`.

    Args:
        y_true: Labels 0 to K - 1, shape (cases,); a class may be missing.
        probabilities: Shape (cases, K), rows that add up to 1.

    Raises:
        DataError: Empty input, shapes that do not fit, rows that are no probabilities.
    """
    values = read_class_probabilities(probabilities)
    labels = read_classes(y_true, values, least=0)
    outcome = np.eye(values.shape[1])[labels]
    return float(np.mean(np.sum((values - outcome) ** 2, axis=1)))


def calibration_line(
    y_true: npt.ArrayLike, scores: npt.ArrayLike, level: float = 0.95
) -> CalibrationLine:
    """Calibration slope and intercept, with intervals.

    Scores of exactly 0 and 1 have no logit and count as :func:`logits_of` says.

    Args:
        y_true: Labels, shape (cases,).
        scores: Probabilities, shape (cases,).
        level: Confidence level, in (0, 1).

    Raises:
        DataError: Empty input, one class only, lengths that differ, no probabilities, the same
            score everywhere, or classes that the scores separate without error (no finite slope).
        UsageError: ``level`` is not between 0 and 1.
    """
    quantile = two_sided_quantile(level)
    labels = require_both_classes(read_labels(y_true), least=1)
    values = logits_of(read_probabilities(labels, scores))
    positives, negatives = values[labels], values[~labels]
    apart = positives.min() >= negatives.max() or positives.max() <= negatives.min()
    if apart:
        raise DataError(
            "The scores are all the same, or separate the classes without error, so that no"
            " calibration slope can be had.",
            hint="Measure it on more cases.",
        )
    targets = labels.astype(np.float64)
    ones = np.ones((values.size, 1))
    both = fit_logistic(np.column_stack([values, ones[:, 0]]), targets)
    alone = fit_logistic(ones, targets, offset=values)
    slope, intercept = float(both.weights[0]), float(alone.weights[0])
    slope_reach = quantile * math.sqrt(both.covariance[0, 0])
    intercept_reach = quantile * math.sqrt(alone.covariance[0, 0])
    return CalibrationLine(
        slope,
        slope - slope_reach,
        slope + slope_reach,
        intercept,
        intercept - intercept_reach,
        intercept + intercept_reach,
        level,
    )
