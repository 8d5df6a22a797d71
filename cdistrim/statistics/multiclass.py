"""More than two classes: every class against the rest, and the mean of these AUCs.

Labels are 0 to K - 1, scores have shape (cases, K): a column says how much speaks for its class, on
a scale on which cases can be compared (probabilities, not logits of a softmax). Scores of shape
(cases,) are those of class 1 of two.

**Variance of the mean.** The AUC of class k against the rest is a two-sample U-statistic. Its
first-order (Hájek) projection gives each case an influence: with V10 and V01 DeLong's placement
values, m_k cases of the class and n_k of the rest,

    (V10 - AUC_k) / m_k  for a case of class k,      (V01 - AUC_k) / n_k  for a case of the rest.

A case's influence on the mean is the mean of its influences over k, since a sum's projection is the
sum of the projections. This brings in all covariances between classes, which share their cases. Of
two models on the same cases the influences are subtracted. The variance is, over classes c with n_c
cases whose influences have mean d_c and sample variance s_c^2 (divisor n_c - 1),

    sum of  n_c s_c^2  +  n_c d_c^2.

The first term is what remains if the numbers of cases per class are fixed (stratified); the second
is there because which class the next case of "the rest" has is chance, too. Both together treat the
rest as one sample, as DeLong's test of a class against the rest does. For two classes d_c = 0, and
the variance is DeLong's. In simulations the second term is small and changes little
(docs/statistics.md has the table); without it intervals would be too narrow wherever cases come as
they come.

Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; Fawcett, Pattern Recognition
Letters 27, 2006 (a class against the rest); van der Vaart, Asymptotic Statistics, 1998, chapters 11
and 12 (projection).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cdistrim.errors import DataError
from cdistrim.statistics.delong import DeLongTest, delong_test, paired_test
from cdistrim.statistics.inputs import FloatArray, IntArray, read_class_scores, read_classes
from cdistrim.statistics.placements import Placements
from cdistrim.statistics.roc import Interval, area_interval, auc_interval

__all__ = ["macro_auc", "macro_delong_test", "one_vs_rest", "one_vs_rest_delong"]

_ROUNDING = 1e-28
"""A variance below this is none: influences are sums of doubles, and constant ones don't cancel to
the last bit. A single pair of a million cases ordered otherwise gives more than 1e-25."""
_MIRRORED = 1e-5


def one_vs_rest(
    y_true: npt.ArrayLike, scores: npt.ArrayLike, level: float = 0.95
) -> tuple[Interval, ...]:
    """The AUC of every class against all others, with its interval; the place is the class.

    Args:
        y_true: Labels 0 to K - 1, shape (cases,).
        scores: Shape (cases, K), or (cases,) for two classes.
        level: Confidence level of each interval.

    Raises:
        DataError: Empty input, fewer than two cases in a class, scores not finite, shapes that do
            not fit.
        UsageError: ``level`` is not between 0 and 1.
    """
    values = read_class_scores(scores)
    labels = read_classes(y_true, values, least=2)
    return tuple(
        auc_interval(labels == number, column, level) for number, column in enumerate(values.T)
    )


def one_vs_rest_delong(
    y_true: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike
) -> tuple[DeLongTest, ...]:
    """DeLong's test of two models for every class against all others; the place is the class.

    Nothing is corrected for testing several classes.

    Raises:
        DataError: As :func:`one_vs_rest`, or numbers of classes that differ.
    """
    labels, a, b = _paired(y_true, scores_a, scores_b)
    return tuple(
        delong_test(labels == number, a[:, number], b[:, number]) for number in range(a.shape[1])
    )


def macro_auc(y_true: npt.ArrayLike, scores: npt.ArrayLike, level: float = 0.95) -> Interval:
    """The mean of all classes' AUCs, each class counting the same, with its interval.

    For two classes it is :func:`auc_interval` of class 1. An AUC of exactly 1 has an exact bound as
    there, with the smallest class for k: the cases hold k independent tuples of one case of each
    class, all ordered right.

    Raises:
        DataError: As :func:`one_vs_rest`; also two columns that do not mirror each other.
        UsageError: ``level`` is not between 0 and 1.
    """
    values = read_class_scores(scores)
    labels = read_classes(y_true, values, least=2)
    if values.shape[1] == 2:
        return auc_interval(labels, _second(values), level)
    macro = _Macro.of(labels, values)
    rarest = int(np.bincount(labels).min())
    return area_interval(macro.auc, _variance(labels, macro.influence), rarest, level)


def macro_delong_test(
    y_true: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike
) -> DeLongTest:
    """Compare two models' macro AUCs on the same cases; ``difference`` is a - b.

    For two classes it is :func:`delong_test` of class 1.

    Args:
        y_true: Labels 0 to K - 1, shape (cases,).
        scores_a: Scores of model a, shape (cases, K), or (cases,) for two classes.
        scores_b: Scores of model b, same cases in the same order.

    Raises:
        DataError: As :func:`macro_auc`, or numbers of classes that differ.
    """
    labels, a, b = _paired(y_true, scores_a, scores_b)
    if a.shape[1] == 2:
        return delong_test(labels, _second(a), _second(b))
    one, other = _Macro.of(labels, a), _Macro.of(labels, b)
    variance = _variance(labels, one.influence - other.influence)
    return paired_test(one.auc, other.auc, one.auc - other.auc, variance)


@dataclass(frozen=True, eq=False)
class _Macro:
    """A macro AUC and the influence of every case on it, shape (cases,)."""

    auc: float
    influence: FloatArray

    @classmethod
    def of(cls, labels: IntArray, values: FloatArray) -> _Macro:
        classes = values.shape[1]
        areas, influence = [], np.zeros(labels.size)
        for number in range(classes):
            own = labels == number
            placed = Placements.of(own, values[:, number])
            m, n = placed.above.size, placed.below.size
            influence[own] += (placed.above / n - placed.auc) / m
            influence[~own] += (placed.below / m - placed.auc) / n
            areas.append(placed.auc)
        return cls(sum(areas) / classes, influence / classes)


def _variance(labels: IntArray, influence: FloatArray) -> float:
    count = np.bincount(labels)
    mean = np.bincount(labels, weights=influence) / count
    squares = np.bincount(labels, weights=(influence - mean[labels]) ** 2)
    variance = float(np.sum(count * (squares / (count - 1) + mean**2)))
    return variance if variance > _ROUNDING else 0.0


def _paired(
    y_true: npt.ArrayLike, scores_a: npt.ArrayLike, scores_b: npt.ArrayLike
) -> tuple[IntArray, FloatArray, FloatArray]:
    a, b = read_class_scores(scores_a), read_class_scores(scores_b)
    if a.shape[1] != b.shape[1]:
        raise DataError(
            f"One model scores {a.shape[1]} classes, the other {b.shape[1]}.",
            hint="Compare models of the same task.",
        )
    labels = read_classes(y_true, a, least=2)
    read_classes(y_true, b, least=2)
    return labels, a, b


def _second(values: FloatArray) -> FloatArray:
    """Class 1's column of two. The other one must say the same, or it would be left out unseen."""
    total = values.sum(axis=1)
    if np.ptp(total) > _MIRRORED * max(1.0, float(np.abs(values).max())):
        raise DataError(
            "The scores of two classes don't add up to the same for every case.",
            hint="Give probabilities, or the scores of class 1 alone.",
        )
    return values[:, 1]
