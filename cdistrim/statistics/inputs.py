"""Labels and scores as they come in, checked. Messages carry counts only, never a value."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from cdistrim.errors import DataError, UsageError

__all__ = [
    "BoolArray",
    "FloatArray",
    "IntArray",
    "class_counts",
    "numbers",
    "read_labels",
    "read_probabilities",
    "read_scores",
    "require_both_classes",
    "two_sided_quantile",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


def class_counts(y_true: npt.ArrayLike) -> tuple[int, int]:
    """Numbers of positives and negatives; either may be 0.

    Raises:
        DataError: No labels, or labels other than 0 and 1.
    """
    labels = read_labels(y_true)
    positives = int(labels.sum())
    return positives, labels.size - positives


def two_sided_quantile(level: float) -> float:
    if not 0 < level < 1:
        raise UsageError(
            f"The confidence level {level} is not between 0 and 1.", hint="0.95 is customary."
        )
    return float(ndtri(0.5 + level / 2))


def numbers(values: npt.ArrayLike, what: str) -> FloatArray:
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


def read_labels(y_true: npt.ArrayLike) -> BoolArray:
    labels = numbers(y_true, "labels")
    if not labels.size:
        raise DataError("There are no cases.", hint="Give at least one case of each class.")
    odd = int(np.count_nonzero((labels != 0) & (labels != 1)))
    if odd:
        raise DataError(
            f"{odd} of {labels.size} labels are neither 0 nor 1.",
            hint="Label every case 0 or 1; for more classes compare one class with the rest.",
        )
    return np.equal(labels, 1)


def require_both_classes(labels: BoolArray, *, least: int) -> BoolArray:
    positives = int(labels.sum())
    negatives = labels.size - positives
    if min(positives, negatives) < least:
        raise DataError(
            f"There are {positives} positive and {negatives} negative cases;"
            f" at least {least} of each are needed.",
            hint="Add cases of the rarer class.",
        )
    return labels


def read_scores(labels: BoolArray, scores: npt.ArrayLike) -> FloatArray:
    values = numbers(scores, "scores")
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


def read_probabilities(labels: BoolArray, scores: npt.ArrayLike) -> FloatArray:
    values = read_scores(labels, scores)
    outside = int(np.count_nonzero((values < 0) | (values > 1)))
    if outside:
        raise DataError(
            f"{outside} of {values.size} scores lie outside [0, 1].",
            hint="Apply the sigmoid first.",
        )
    return values
