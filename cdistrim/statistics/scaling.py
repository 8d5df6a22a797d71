"""Scores made probabilities: temperature and Platt scaling.

**Fit on cases that no vote used, and no training.** A model was accepted because it did well on
the hold-outs that voted: scores there are too good, and a scale fitted there too sure. Test cases
that a result is reported on are used up by a fit, too.

For two classes neither changes the order of the cases, so AUCs stay what they are (unless Platt's
slope is negative). For more, a temperature leaves the likeliest class of each case; AUCs of classes
may move a little. Targets are Platt's: with n_k cases of class k out of K, a case of class k counts
as (n_k + 1) / (n_k + K) of its class and 1 / (n_k + K) of each other. So a fit is finite even where
the classes are separated without error, and bolder with more cases.

Sources: Platt, Advances in Large Margin Classifiers, 1999; Lin, Lin and Weng, Machine Learning 68,
2007; Guo, Pleiss, Sun and Weinberger, ICML 2017 (temperature).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, softmax

from cdistrim.errors import DataError
from cdistrim.statistics.inputs import (
    FloatArray,
    read_class_scores,
    read_classes,
    read_labels,
    read_scores,
    require_both_classes,
)
from cdistrim.statistics.logistic import fit_logistic

__all__ = ["PlattScaling", "TemperatureScaling", "fit_platt", "fit_temperature", "logits_of"]

_LEAST_CHANCE = 2.0**-24
"""float32 can't tell a probability above 1 - 2^-24 from 1."""
_LEAST_TEMPERATURE, _MOST_TEMPERATURE = 1e-6, 1e6


@dataclass(frozen=True)
class TemperatureScaling:
    """Divides logits by ``temperature``: above 1 it makes scores less extreme."""

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise DataError(
                f"A temperature of {self.temperature} scales nothing; it is above 0 and finite.",
                hint="Fit it anew, by fit_temperature or `cdistrim data calibrate`.",
            )

    def apply(self, logits: npt.ArrayLike) -> FloatArray:
        """Probabilities: of class 1 for logits (cases,), of every class for (cases, K).

        Raises:
            DataError: Logits of another shape, or not finite.
        """
        values = read_class_scores(logits) / self.temperature
        if np.ndim(logits) == 1:
            return np.asarray(expit(values[:, 1]))
        return np.asarray(softmax(values, axis=1))


@dataclass(frozen=True)
class PlattScaling:
    """``expit(slope * logit + intercept)``. With a negative slope the model had the order wrong."""

    slope: float
    intercept: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.slope) or not math.isfinite(self.intercept):
            raise DataError(
                f"A line of slope {self.slope} and intercept {self.intercept} scales nothing.",
                hint="Fit it anew, by fit_platt or `cdistrim data calibrate`.",
            )

    def apply(self, logits: npt.ArrayLike) -> FloatArray:
        """Probabilities of class 1, shape (cases,).

        Raises:
            DataError: Logits of another shape, or not finite.
        """
        values = read_class_scores(logits)
        _require_one_column(logits)
        return np.asarray(expit(self.slope * values[:, 1] + self.intercept))


def fit_temperature(y_true: npt.ArrayLike, logits: npt.ArrayLike) -> TemperatureScaling:
    """The temperature that makes the targets most likely. Read the module's warning first.

    Args:
        y_true: Labels, shape (cases,): 0 or 1, or 0 to K - 1.
        logits: Of class 1, shape (cases,), or of every class, shape (cases, K).

    Raises:
        DataError: Empty input, a class without cases, logits not finite, shapes that do not fit;
            or no temperature helps, since the logits say nothing or the opposite of the truth.
    """
    # Late, as in combination.py.
    from scipy.optimize import brentq

    values = read_class_scores(logits)
    if np.ndim(logits) == 1:
        # expit(x) is the softmax of (-x / 2, x / 2).
        values = values / 2
    labels = read_classes(y_true, values, least=1)
    classes = values.shape[1]
    count = np.bincount(labels, minlength=classes)
    targets = np.repeat((1 / (count + classes))[labels][:, np.newaxis], classes, axis=1)
    targets[np.arange(labels.size), labels] *= count[labels] + 1
    # Where everything is far from 0, a temperature of 1 is far from any sensible one.
    scale = float(np.abs(values - values.mean(axis=1, keepdims=True)).max())

    def slope(log_sharpness: float) -> float:
        """Of the mean log likelihood, in the inverse temperature (times ``scale``)."""
        chance = softmax(values * (np.exp(log_sharpness) / scale), axis=1)
        return float(np.mean(np.sum((targets - chance) * values, axis=1))) / scale

    low, high = np.log(_LEAST_TEMPERATURE), np.log(_MOST_TEMPERATURE)
    if scale == 0 or slope(low) <= 0 or slope(high) >= 0:
        raise DataError(
            "No temperature makes these scores better: they say nothing about the classes, or the"
            " opposite.",
            hint="Look at the AUC first; a model that ranks no better than chance has no scale.",
        )
    root = float(brentq(slope, low, high, xtol=1e-14, rtol=1e-14))
    return TemperatureScaling(scale / float(np.exp(root)))


def fit_platt(y_true: npt.ArrayLike, logits: npt.ArrayLike) -> PlattScaling:
    """Slope and intercept that make the targets most likely. Read the module's warning first.

    Args:
        y_true: Labels 0 or 1, shape (cases,).
        logits: Of class 1, shape (cases,); any scores will do.

    Raises:
        DataError: Empty input, one class only, logits not finite or all the same, lengths that
            differ.
    """
    labels = require_both_classes(read_labels(y_true), least=1)
    values = read_scores(labels, logits)
    centre, spread = float(values.mean()), float(np.ptp(values))
    if spread == 0:
        raise DataError(
            "The scores are all the same, so no slope can be fitted.",
            hint="Look for a model that has collapsed.",
        )
    positives = int(labels.sum())
    negatives = labels.size - positives
    targets = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([(values - centre) / spread, np.ones(values.size)])
    fit = fit_logistic(design, targets)
    slope = float(fit.weights[0]) / spread
    return PlattScaling(slope, float(fit.weights[1]) - slope * centre)


def logits_of(probabilities: npt.ArrayLike) -> FloatArray:
    """Logits of probabilities; 0 and 1 count as 2^-24 away from there.

    Args:
        probabilities: Of class 1, shape (cases,); or of each class, shape (cases, classes), where
            logits are the logarithms, up to a constant of each case.

    Raises:
        DataError: No numbers, or none in [0, 1].
    """
    values = np.asarray(probabilities)
    if values.dtype.kind not in "biuf" or not np.all((values >= 0) & (values <= 1)):
        raise DataError(
            f"These are no probabilities (type {values.dtype}, shape {values.shape}).",
            hint="Give numbers in [0, 1].",
        )
    if values.ndim > 1:
        return np.asarray(np.log(np.maximum(values.astype(np.float64), _LEAST_CHANCE)))
    clipped = np.clip(values.astype(np.float64), _LEAST_CHANCE, 1 - _LEAST_CHANCE)
    return np.asarray(logit(clipped))


def _require_one_column(logits: npt.ArrayLike) -> None:
    if np.ndim(logits) != 1:
        raise DataError(
            f"Platt's scaling is for two classes (shape {np.shape(logits)}).",
            hint="Give the logits of class 1, or scale by temperature.",
        )
