"""Scores of models on hold-outs that nobody has: binormal, and paired as those of real models are.

The scores of a class are normal with variance 1; the classes lie so far apart that the AUC is what
was asked for. A case's score has a part that all models share (the case is easy or hard) and one of
its own, so that the scores of any two models are correlated in each class. Each evaluator has cases
of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

__all__ = ["CORRELATION", "HoldOut", "Site"]

FloatArray = npt.NDArray[np.float64]

CORRELATION = 0.8
"""Of the scores of two models of one campaign on the cases of one class."""


@dataclass(frozen=True)
class HoldOut:
    """How many cases of each class an evaluator has."""

    positives: int
    negatives: int

    @property
    def cases(self) -> int:
        """All of them."""
        return self.positives + self.negatives


class Site:
    """One evaluator's cases, and what models score on them."""

    def __init__(self, holdout: HoldOut, rng: np.random.Generator) -> None:
        self.labels = np.repeat([1, 0], [holdout.positives, holdout.negatives])
        self._rng = rng
        self._shared = rng.normal(0, math.sqrt(CORRELATION), holdout.cases)

    def scores(self, area: float) -> FloatArray:
        """What a new model of true AUC ``area`` scores here, shape (cases,)."""
        own = self._rng.normal(0, math.sqrt(1 - CORRELATION), self._shared.size)
        apart = math.sqrt(2) * float(ndtri(area))
        scores: FloatArray = apart * self.labels + self._shared + own
        return scores
