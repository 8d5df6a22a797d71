"""Two models on the same cases: DeLong's test, its interval, and non-inferiority."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt
from scipy.special import ndtr, ndtri

from cdistrim.errors import UsageError
from cdistrim.statistics.inputs import (
    read_labels,
    read_scores,
    require_both_classes,
    two_sided_quantile,
)
from cdistrim.statistics.placements import Placements

__all__ = [
    "DeLongTest",
    "DifferenceInterval",
    "delong_test",
    "non_inferiority",
    "paired_test",
    "z_score",
]


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
    z = +inf or -inf and p = 0. That is no certainty: two models that both rank four cases without
    a mistake have no variance either.
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
        reach = two_sided_quantile(level) * math.sqrt(self.variance)
        return DifferenceInterval(
            self.difference,
            max(-1.0, self.difference - reach),
            min(1.0, self.difference + reach),
            level,
        )


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
    labels = require_both_classes(read_labels(y_true), least=2)
    a = Placements.of(labels, read_scores(labels, scores_a))
    b = Placements.of(labels, read_scores(labels, scores_b))
    difference = a.auc - b.auc
    variance = Placements(a.above - b.above, a.below - b.below).variance
    return paired_test(a.auc, b.auc, difference, variance)


def paired_test(auc_a: float, auc_b: float, difference: float, variance: float) -> DeLongTest:
    """The test that a difference and its variance make; p is two-sided."""
    z = z_score(difference, variance)
    return DeLongTest(auc_a, auc_b, difference, variance, z, float(2 * ndtr(-abs(z))))


def z_score(difference: float, variance: float) -> float:
    """``difference / sqrt(variance)``; without variance 0 for no difference, else +-inf."""
    if variance > 0:
        return difference / math.sqrt(variance)
    return math.copysign(math.inf, difference) if difference else 0.0


def non_inferiority(test: DeLongTest, margin: float, alpha: float = 0.025) -> bool:
    """Whether model a is shown to be no more than ``margin`` worse than model b.

    True if the lower one-sided (1 - alpha) bound of a - b lies above -margin. This is a proof of
    non-inferiority, which p > 0.05 of DeLong's test is not. False without variance, which shows
    nothing.

    Raises:
        UsageError: ``margin`` is negative, or ``alpha`` not between 0 and 0.5.
    """
    if not (margin >= 0 and 0 < alpha < 0.5):
        raise UsageError(
            f"margin {margin} and alpha {alpha} can't be used.",
            hint="Take a margin of at least 0 and an alpha between 0 and 0.5.",
        )
    bound = test.difference - float(ndtri(1 - alpha)) * math.sqrt(test.variance)
    return test.variance > 0 and bound > -margin
