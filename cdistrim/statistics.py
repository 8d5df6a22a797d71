"""Figures about scores: AUC with interval, DeLong's test, ROC and calibration curves.

Everything is computed from labels (0 or 1) and scores (higher means "more likely 1"), both of shape
(cases,). Cases are assumed independent: one nodule, one tumour per patient. Input may be float32 or
anything that numpy turns into numbers; computation is float64. Messages carry counts only.

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988 (variance and test); Sun and Xu,
IEEE Signal Processing Letters 21, 2014 (midranks, O(n log n)); Hanley and McNeil, Radiology 143,
1982 (variance from the AUC alone).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from cdistrim.errors import DataError, UsageError

__all__ = [
    "CalibrationCurve",
    "DeLongTest",
    "DifferenceInterval",
    "Interval",
    "RocCurve",
    "auc",
    "auc_interval",
    "brier",
    "calibration_curve",
    "class_counts",
    "delong_test",
    "expected_calibration_error",
    "hanley_mcneil_variance",
    "non_inferiority",
    "roc_curve",
    "z_score",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """An AUC with its two-sided confidence interval, all in [0, 1]."""

    auc: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class DifferenceInterval:
    """A difference of two AUCs with its two-sided confidence interval, all in [-1, 1]."""

    difference: float
    low: float
    high: float
    level: float


@dataclass(frozen=True)
class DeLongTest:
    """Two models on the same cases. ``difference`` is a - b, ``variance`` its variance.

    ``p`` is two-sided. Without variance (the models order every positive against every negative
    alike, or differ by the same amount everywhere): z = 0 and p = 1 if the AUCs are equal, else
    z = +inf or -inf and p = 0.
    """

    auc_a: float
    auc_b: float
    difference: float
    variance: float
    z: float
    p: float

    def interval(self, level: float = 0.95) -> DifferenceInterval:
        """Normal interval of the difference, clipped to [-1, 1].

        Raises:
            UsageError: ``level`` is not between 0 and 1.
        """
        reach = _two_sided_quantile(level) * math.sqrt(self.variance)
        return DifferenceInterval(
            self.difference,
            max(-1.0, self.difference - reach),
            min(1.0, self.difference + reach),
            level,
        )


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Points of a ROC curve from (0, 0) to (1, 1), one per distinct score, thresholds falling.

    A case counts as positive if its score >= threshold; the first threshold is inf.
    """

    fpr: FloatArray
    tpr: FloatArray
    thresholds: FloatArray


@dataclass(frozen=True, eq=False)
class CalibrationCurve:
    """Per bin that holds a case: mean score, fraction of positives, number of cases."""

    mean_score: FloatArray
    fraction: FloatArray
    count: IntArray


def class_counts(y_true: npt.ArrayLike) -> tuple[int, int]:
    """Numbers of positives and negatives; either may be 0.

    Raises:
        DataError: No labels, or labels other than 0 and 1.
    """
    labels = _labels(y_true)
    positives = int(labels.sum())
    return positives, labels.size - positives


def auc(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: P(positive scores higher), ties count half.

    Models that order the cases alike get bit-identical values, so comparing two is safe.

    Raises:
        DataError: Empty input, one class only, scores not finite, lengths that differ.
    """
    labels = _both_classes(_labels(y_true), least=1)
    return _Placements.of(labels, _scores(labels, scores)).auc


def auc_interval(y_true: npt.ArrayLike, scores: npt.ArrayLike, level: float = 0.95) -> Interval:
    """AUC with a confidence interval: DeLong's variance on the logit scale, so it stays in [0, 1].

    An AUC of exactly 1 has variance 0, yet is no certainty. Its interval is [low, 1] with
    ``low = ((1 - level) / 2) ** (1 / k)`` and k the smaller class: the cases can be paired off
    into k independent pairs, all ordered right, and this is their exact binomial bound
    (Clopper-Pearson). AUC 0 mirrors it. Any other AUC without variance (every case has the same
    score) gives the point.

    Raises:
        DataError: As :func:`auc`; also with fewer than two cases in a class.
        UsageError: ``level`` is not between 0 and 1.
    """
    quantile = _two_sided_quantile(level)
    labels = _both_classes(_labels(y_true), least=2)
    placements = _Placements.of(labels, _scores(labels, scores))
    area, variance = placements.auc, placements.variance
    bound = ((1 - level) / 2) ** (1 / min(placements.above.size, placements.below.size))
    if area == 1.0:
        return Interval(area, bound, 1.0, level)
    if area == 0.0:
        return Interval(area, 0.0, 1.0 - bound, level)
    centre = math.log(area / (1 - area))
    reach = quantile * math.sqrt(variance) / (area * (1 - area))
    if reach == 0.0:
        return Interval(area, area, area, level)
    return Interval(area, _logistic(centre - reach), _logistic(centre + reach), level)


def delong_test(
    y_true: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike
) -> DeLongTest:
    """Compare two models on the same cases with DeLong's test for correlated ROC curves.

    Args:
        y_true: Labels, shape (cases,).
        scores_a: Scores of model a, same shape.
        scores_b: Scores of model b, same cases in the same order.

    Raises:
        DataError: Empty input, fewer than two cases in a class, scores not finite, lengths that
            differ.
    """
    labels = _both_classes(_labels(y_true), least=2)
    a = _Placements.of(labels, _scores(labels, scores_a))
    b = _Placements.of(labels, _scores(labels, scores_b))
    difference = a.auc - b.auc
    variance = _Placements(a.above - b.above, a.below - b.below).variance
    z = z_score(difference, variance)
    return DeLongTest(a.auc, b.auc, difference, variance, z, float(2 * ndtr(-abs(z))))


def z_score(difference: float, variance: float) -> float:
    """``difference / sqrt(variance)``; without variance 0 for no difference, else +-inf."""
    if variance > 0:
        return difference / math.sqrt(variance)
    return math.copysign(math.inf, difference) if difference else 0.0


def non_inferiority(test: DeLongTest, margin: float, alpha: float = 0.025) -> bool:
    """Whether model a is shown to be no more than ``margin`` worse than model b.

    True if the lower one-sided (1 - alpha) bound of a - b lies above -margin. This is a proof of
    non-inferiority, which p > 0.05 of DeLong's test is not.

    Raises:
        UsageError: ``margin`` is negative, or ``alpha`` not between 0 and 0.5.
    """
    if not (margin >= 0 and 0 < alpha < 0.5):
        raise UsageError(
            f"margin {margin} and alpha {alpha} can't be used.",
            hint="Take a margin of at least 0 and an alpha between 0 and 0.5.",
        )
    return test.difference - float(ndtri(1 - alpha)) * math.sqrt(test.variance) > -margin


def hanley_mcneil_variance(area: float, positives: int, negatives: int) -> float:
    """Variance of an AUC of which the scores are not known (exponential model); 0 at 0 and 1."""
    q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area)
    spread += (positives - 1) * (q1 - area * area) + (negatives - 1) * (q2 - area * area)
    return max(0.0, spread / (positives * negatives))


def roc_curve(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> RocCurve:
    """ROC curve with a point for every distinct score; its trapezoid area is :func:`auc`.

    Raises:
        DataError: As :func:`auc`.
    """
    labels = _both_classes(_labels(y_true), least=1)
    values = _scores(labels, scores)
    order = np.argsort(-values, kind="stable")
    falling, hits = values[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(falling)), falling.size - 1)
    true_positives = np.cumsum(hits)[last]
    false_positives = last + 1 - true_positives
    return RocCurve(
        fpr=np.append(0.0, false_positives / false_positives[-1]),
        tpr=np.append(0.0, true_positives / true_positives[-1]),
        thresholds=np.append(np.inf, falling[last]),
    )


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
    labels = _labels(y_true)
    values = _probabilities(labels, scores)
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
    labels = _labels(y_true)
    return float(np.mean((_probabilities(labels, scores) - labels) ** 2))


@dataclass(frozen=True, eq=False)
class _Placements:
    """DeLong's placement values, not divided by the size of the other class.

    ``above``: per positive, how many negatives lie below it, ties half (n times V10); ``below``:
    per negative, how many positives lie above it (m times V01). Multiples of 1/2, hence exact:
    equal models get exactly equal AUCs and exactly no variance.
    """

    above: FloatArray
    below: FloatArray

    @classmethod
    def of(cls, labels: BoolArray, values: FloatArray) -> _Placements:
        positives, negatives = values[labels], values[~labels]
        ranks = _midranks(values)
        return cls(
            above=ranks[labels] - _midranks(positives),
            below=positives.size - (ranks[~labels] - _midranks(negatives)),
        )

    @property
    def auc(self) -> float:
        return float(self.above.sum() / (self.above.size * self.below.size))

    @property
    def variance(self) -> float:
        m, n = self.above.size, self.below.size
        within_positives = float(np.var(self.above, ddof=1)) / n / n
        within_negatives = float(np.var(self.below, ddof=1)) / m / m
        return within_positives / m + within_negatives / n


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; tied values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    rising = values[order]
    first = np.append(0, np.flatnonzero(np.diff(rising)) + 1)
    tied = np.diff(np.append(first, values.size))
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(first + (tied + 1) / 2, tied)
    return ranks


def _logistic(value: float) -> float:
    return float(0.5 * (1 + math.tanh(value / 2)))


def _two_sided_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(
            f"The confidence level {level} is not between 0 and 1.", hint="0.95 is customary."
        )
    return float(ndtri(0.5 + level / 2))


def _numbers(values: npt.ArrayLike, what: str) -> FloatArray:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):
        # numpy's message may quote a value, and a value may be an identifier
        array = np.empty(0, dtype=object)
    if array.dtype.kind not in "biuf" or array.ndim != 1:
        raise DataError(
            f"The {what} are no list of numbers (type {array.dtype}, shape {array.shape}).",
            hint="Give one number per case.",
        )
    return array.astype(np.float64, copy=False)


def _labels(y_true: npt.ArrayLike) -> BoolArray:
    labels = _numbers(y_true, "labels")
    if not labels.size:
        raise DataError("There are no cases.", hint="Give at least one case of each class.")
    odd = int(np.count_nonzero((labels != 0) & (labels != 1)))
    if odd:
        raise DataError(
            f"{odd} of {labels.size} labels are neither 0 nor 1.",
            hint="Label every case 0 or 1; for more classes compare one class with the rest.",
        )
    return np.equal(labels, 1)


def _both_classes(labels: BoolArray, *, least: int) -> BoolArray:
    positives = int(labels.sum())
    negatives = labels.size - positives
    if min(positives, negatives) < least:
        raise DataError(
            f"There are {positives} positive and {negatives} negative cases;"
            f" at least {least} of each are needed.",
            hint="Add cases of the rarer class.",
        )
    return labels


def _scores(labels: BoolArray, scores: npt.ArrayLike) -> FloatArray:
    values = _numbers(scores, "scores")
    if values.size != labels.size:
        raise DataError(
            f"There are {labels.size} labels, but {values.size} scores.",
            hint="Give one score per case, in the order of the labels.",
        )
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise DataError(
            f"{broken} of {values.size} scores are not finite.",
            hint="Look for NaN or overflow in the model that made them.",
        )
    return values


def _probabilities(labels: BoolArray, scores: npt.ArrayLike) -> FloatArray:
    values = _scores(labels, scores)
    outside = int(np.count_nonzero((values < 0) | (values > 1)))
    if outside:
        raise DataError(
            f"{outside} of {values.size} scores lie outside [0, 1].",
            hint="Apply the sigmoid first.",
        )
    return values
