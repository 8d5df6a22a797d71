"""The ROC curve, the area under it, and the interval of that area."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cdistrim.statistics.inputs import (
    FloatArray,
    read_labels,
    read_scores,
    require_both_classes,
    two_sided_quantile,
)
from cdistrim.statistics.placements import Placements

__all__ = [
    "Interval",
    "RocCurve",
    "area_interval",
    "auc",
    "auc_interval",
    "hanley_mcneil_variance",
    "logistic",
    "roc_curve",
]


@dataclass(frozen=True)
class Interval:
    """An AUC with its two-sided confidence interval, all in [0, 1]."""

    auc: float
    low: float
    high: float
    level: float


@dataclass(frozen=True, eq=False)
class RocCurve:
    """Points of a ROC curve from (0, 0) to (1, 1), one per distinct score, thresholds falling.

    A case counts as positive if its score >= threshold; the first threshold is inf.
    """

    fpr: FloatArray
    tpr: FloatArray
    thresholds: FloatArray


def auc(y_true: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: P(positive scores higher), ties count half.

    Models that order the cases alike get bit-identical values, so comparing two is safe.

    Raises:
        DataError: Empty input, one class only, scores not finite, lengths that differ.
    """
    labels = require_both_classes(read_labels(y_true), least=1)
    return Placements.of(labels, read_scores(labels, scores)).auc


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
    labels = require_both_classes(read_labels(y_true), least=2)
    placements = Placements.of(labels, read_scores(labels, scores))
    pairs = min(placements.above.size, placements.below.size)
    return area_interval(placements.auc, placements.variance, pairs, level)


def area_interval(area: float, variance: float, pairs: int, level: float) -> Interval:
    """Interval of an AUC on the logit scale; exact binomial where all ``pairs`` are ordered alike.

    Args:
        area: The AUC, in [0, 1].
        variance: Its variance.
        pairs: Independent pairs of a positive and a negative that the cases can be sorted into.
        level: Confidence level, in (0, 1).

    Raises:
        UsageError: ``level`` is not between 0 and 1.
    """
    quantile = two_sided_quantile(level)
    bound = ((1 - level) / 2) ** (1 / pairs)
    if area == 1.0:
        return Interval(area, bound, 1.0, level)
    if area == 0.0:
        return Interval(area, 0.0, 1.0 - bound, level)
    centre = math.log(area / (1 - area))
    reach = quantile * math.sqrt(variance) / (area * (1 - area))
    if reach == 0.0:
        return Interval(area, area, area, level)
    return Interval(area, logistic(centre - reach), logistic(centre + reach), level)


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
    labels = require_both_classes(read_labels(y_true), least=1)
    values = read_scores(labels, scores)
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


def logistic(value: float) -> float:
    return float(0.5 * (1 + math.tanh(value / 2)))
