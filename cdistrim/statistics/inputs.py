"""Labels and scores as they come in, checked. Messages carry counts only, never a value."""

from __future__ import annotations

from typing import Any

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
    "read_class_probabilities",
    "read_class_scores",
    "read_classes",
    "read_labels",
    "read_probabilities",
    "read_scores",
    "require_both_classes",
    "two_sided_quantile",
]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
_EXACT = float(2**53)
"""Up to here double precision has each whole number."""
_SUM_TOLERANCE = 1e-4
"""Softmax in half precision adds up to 1 within this."""


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
    return _doubles(values, array, what)


def _doubles(values: npt.ArrayLike, array: npt.NDArray[Any], what: str) -> FloatArray:
    """The array in double precision, if nothing of what it was made from is lost by that."""
    if np.ma.is_masked(values):
        raise DataError(f"Some of the {what} are masked.", hint="Leave those cases out.")
    doubles: FloatArray = array.astype(np.float64, copy=False)
    if array.dtype.kind in "iu" and array.size and np.abs(doubles).max() > _EXACT:
        raise DataError(
            f"Some of the {what} are whole numbers beyond 2^53, which doubles can't tell apart.",
            hint="Divide them before.",
        )
    return doubles


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


def read_class_scores(scores: npt.ArrayLike) -> FloatArray:
    """Scores of every class, shape (cases, classes), two classes or more, finite.

    Scores of shape (cases,) are those of class 1 of two; class 0 then has their negatives.

    Raises:
        DataError: Another shape, no numbers, or numbers that are not finite.
    """
    try:
        array = np.asarray(scores)
    except (TypeError, ValueError):
        array = np.empty(0, dtype=object)
    wide = array.ndim == 2 and array.shape[1] >= 2
    if array.dtype.kind not in "biuf" or not (array.ndim == 1 or wide):
        raise DataError(
            f"The scores are no table of numbers (type {array.dtype}, shape {array.shape}).",
            hint="Give a row per case and a column per class, two columns or more.",
        )
    values = _doubles(scores, array, "scores")
    broken = int(np.count_nonzero(~np.isfinite(values)))
    if broken:
        raise DataError(
            f"{broken} of {values.size} scores are not finite.",
            hint="Look for NaN or overflow in the model that made them.",
        )
    return values if wide else np.column_stack([-values, values])


def read_classes(y_true: npt.ArrayLike, scores: FloatArray, *, least: int) -> IntArray:
    """Labels 0 to K - 1 that fit ``scores`` of shape (cases, K), ``least`` cases of each or more.

    Raises:
        DataError: Empty input, other labels, too few cases of a class, or lengths that differ.
    """
    labels = numbers(y_true, "labels")
    if not labels.size:
        raise DataError("There are no cases.", hint="Give at least one case of each class.")
    if labels.size != scores.shape[0]:
        raise DataError(
            f"There are {labels.size} labels, but {scores.shape[0]} rows of scores.",
            hint="Give one row per case, in the order of the labels.",
        )
    classes = scores.shape[1]
    odd = int(np.count_nonzero(~np.isin(labels, np.arange(classes))))
    if odd:
        raise DataError(
            f"{odd} of {labels.size} labels are none of 0 to {classes - 1}.",
            hint="Label every case with the number of its class, which is its column's.",
        )
    found = labels.astype(np.int64)
    count = np.bincount(found, minlength=classes)
    if count.min() < least:
        rarest = int(count.argmin())
        raise DataError(
            f"The number of cases of class {rarest} is {int(count[rarest])};"
            f" at least {least} of each class are needed.",
            hint="Add cases of the rarest class.",
        )
    return found


def read_class_probabilities(probabilities: npt.ArrayLike) -> FloatArray:
    """Probabilities of every class, shape (cases, classes), rows that add up to 1 within 1e-4.

    Raises:
        DataError: Another shape, no numbers, or rows that are no probabilities.
    """
    values = read_class_scores(probabilities)
    if np.ndim(probabilities) != 2:
        raise DataError(
            f"The probabilities are no table (shape {np.shape(probabilities)}).",
            hint="Give a row per case and a column per class, two columns or more.",
        )
    fits = (values >= 0).all(axis=1) & (values <= 1).all(axis=1)
    odd = int(np.count_nonzero(~(fits & (np.abs(values.sum(axis=1) - 1) <= _SUM_TOLERANCE))))
    if odd:
        raise DataError(
            f"{odd} of {values.shape[0]} rows are no probabilities that add up to 1.",
            hint="Apply the softmax first.",
        )
    return values
