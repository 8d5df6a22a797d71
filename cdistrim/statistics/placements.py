"""DeLong's placement values by midranks, in O(n log n)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdistrim.statistics.inputs import BoolArray, FloatArray

__all__ = ["Placements", "midranks"]


@dataclass(frozen=True, eq=False)
class Placements:
    """DeLong's placement values, not divided by the size of the other class.

    ``above``: per positive, how many negatives lie below it, ties half (n times V10); ``below``:
    per negative, how many positives lie above it (m times V01). Multiples of 1/2, hence exact:
    equal models get exactly equal AUCs and exactly no variance.
    """

    above: FloatArray
    below: FloatArray

    @classmethod
    def of(cls, labels: BoolArray, values: FloatArray) -> Placements:
        positives, negatives = values[labels], values[~labels]
        ranks = midranks(values)
        return cls(
            above=ranks[labels] - midranks(positives),
            below=positives.size - (ranks[~labels] - midranks(negatives)),
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


def midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; tied values share the mean of their ranks."""
    order = np.argsort(values, kind="stable")
    rising = values[order]
    first = np.append(0, np.flatnonzero(np.diff(rising)) + 1)
    tied = np.diff(np.append(first, values.size))
    ranks = np.empty(values.size)
    ranks[order] = np.repeat(first + (tied + 1) / 2, tied)
    return ranks
