"""Logistic regression of a few weights on outcomes between 0 and 1, by Newton's method."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from cdistrim.errors import DataError
from cdistrim.statistics.inputs import FloatArray

__all__ = ["LogisticFit", "fit_logistic"]

_MOST_STEPS = 200
_MOST_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class LogisticFit:
    """Weights, shape (weights,), and the inverse of the information, shape (weights, weights)."""

    weights: FloatArray
    covariance: FloatArray


def fit_logistic(
    design: FloatArray, targets: FloatArray, *, offset: FloatArray | None = None
) -> LogisticFit:
    """Maximise the likelihood of ``targets`` under ``expit(offset + design @ weights)``.

    The likelihood is concave; Newton's steps are halved until they improve it, so that the result
    does not depend on chance. scikit-learn's estimator takes neither an offset nor outcomes
    between 0 and 1.

    Args:
        design: Shape (cases, weights), columns that are not collinear.
        targets: Shape (cases,), in [0, 1].
        offset: Shape (cases,), added with weight 1.

    Raises:
        DataError: There is no finite maximum: the classes can be separated without error.
    """
    fixed = np.zeros(targets.size) if offset is None else offset
    scale = np.maximum(np.abs(design).max(axis=0), np.finfo(np.float64).tiny)
    columns = design / scale
    weights = np.zeros(design.shape[1])
    linear = fixed + columns @ weights
    loss = _loss(linear, targets)
    for _ in range(_MOST_STEPS):
        chance = expit(linear)
        gradient = columns.T @ (targets - chance)
        information = columns.T @ (columns * (chance * (1 - chance))[:, np.newaxis])
        try:
            step = np.linalg.solve(information, gradient)
        except np.linalg.LinAlgError:
            break
        if np.abs(step).max() <= 1e-12 * (1 + np.abs(weights).max()):
            covariance = np.linalg.inv(information) / np.outer(scale, scale)
            return LogisticFit(weights / scale, covariance)
        for _ in range(_MOST_HALVINGS):
            ahead = fixed + columns @ (weights + step)
            found = _loss(ahead, targets)
            if found <= loss + 1e-13 * abs(loss):
                break
            step = step / 2
        weights, linear, loss = weights + step, ahead, min(found, loss)
    raise DataError(
        "No finite recalibration exists: the scores separate the classes, or say nothing.",
        hint="Fit on more cases.",
    )


def _loss(linear: FloatArray, targets: FloatArray) -> float:
    return float(np.sum(np.logaddexp(0, linear) - targets * linear))
