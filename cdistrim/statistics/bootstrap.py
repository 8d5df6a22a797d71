"""Two models over several seeds: a hierarchical bootstrap of the difference of their AUCs.

A seed brings its own split, first weights and order, hence its own pair of models and, unless the
test set is the same for all, its own patients. What another reader of the study could have got
differs in both: in seeds and in patients. So both are drawn again, patients within each seed, class
by class, and seeds, and the mean over the drawn seeds is taken each time. With the seeds alone an
interval would be too narrow where few of them agree by chance, with the patients alone where
training varies.

What seeds differ by holds patients' chance already, where each seed has its own. Drawing both anew
would count it twice; so the seeds' deviations from their mean are first shrunk by the variance
that the patients within them explain (sqrt(1 - patients' / observed), 0 where that is negative).

Five seeds are few to draw from: the spread of a mean of k drawn seeds is too small by a factor of
sqrt((k - 1) / k), and uncertain itself, which Student's t allows for. The deviations are stretched
by the reciprocal of that factor, times the quantile of t with k - 1 degrees of freedom over the
normal one. Coverage of 95 % intervals: tests/cdistrim/statistics/test_bootstrap.py.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentiles);
Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8 (hierarchical data,
and why two levels drawn with replacement are too many).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri, stdtrit

from cdistrim.errors import UsageError
from cdistrim.statistics.inputs import FloatArray, read_labels, read_scores, require_both_classes

__all__ = ["BootstrapInterval", "SeedScores", "hierarchical_bootstrap"]

_BATCH = 512
"""Resamples at a time: memory stays small, whatever their number."""


class SeedScores(NamedTuple):
    """One seed: labels (0 or 1) and scores of two models on the same cases, shape (cases,)."""

    labels: npt.ArrayLike
    scores_a: npt.ArrayLike
    scores_b: npt.ArrayLike


@dataclass(frozen=True)
class BootstrapInterval:
    """A mean over seeds with its two-sided percentile interval.

    ``error`` is the standard deviation over the resamples; with one seed, patients alone are drawn.
    """

    estimate: float
    low: float
    high: float
    level: float
    error: float
    resamples: int


def hierarchical_bootstrap(
    seeds: Sequence[SeedScores],
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    random: int = 0,
    crossed: bool = False,
) -> tuple[BootstrapInterval, BootstrapInterval]:
    """Mean AUC of model a, and mean difference a - b, over seeds and patients.

    Args:
        seeds: At least one; two cases or more of each class in each.
        level: Confidence level of both intervals.
        resamples: How often seeds and patients are drawn.
        random: The same number gives the same draws.
        crossed: Whether all seeds have the same patients, in the same order: these are then drawn
            once for all drawn seeds.

    Returns:
        The interval of model a's AUC, clipped to [0, 1], and that of the difference, to [-1, 1].

    Raises:
        DataError: Fewer than two cases in a class, scores not finite, lengths that differ.
        UsageError: No seeds, a level not between 0 and 1, fewer than 100 resamples, or ``crossed``
            with labels that differ.
    """
    read = [_Seed.of(one) for one in seeds]
    if not read or not 0 < level < 1 or resamples < 100:
        raise UsageError(
            f"{len(read)} seeds, level {level} and {resamples} resamples give no interval.",
            hint="Take at least one seed, a level like 0.95 and at least 100 resamples.",
        )
    if crossed and any(not np.array_equal(read[0].labels, one.labels) for one in read):
        raise UsageError(
            "The seeds have different labels, so their patients are not the same.",
            hint="Leave crossed out, or give all seeds the same cases in the same order.",
        )
    generator = np.random.default_rng(random)
    estimates = np.array([one.estimates for one in read])
    patients = np.concatenate(
        [
            _redrawn(read, min(_BATCH, resamples - begin), generator, crossed=crossed)
            for begin in range(0, resamples, _BATCH)
        ]
    )
    between = estimates - estimates.mean(axis=0)
    if not crossed:
        between = between * _shrinkage(between, patients.var(axis=0, ddof=1).mean(axis=0))
    drawn = patients.mean(axis=1) + _seeds_drawn(between, resamples, level, generator)
    estimates = estimates.mean(axis=0)
    return (
        _interval(float(estimates[0]), drawn[:, 0], level, 0.0),
        _interval(float(estimates[1]), drawn[:, 1], level, -1.0),
    )


@dataclass(frozen=True, eq=False)
class _Seed:
    """``pairs``: shape (2, positives, negatives); how model a orders a pair, and a minus b."""

    labels: npt.NDArray[np.bool_]
    pairs: FloatArray

    @classmethod
    def of(cls, seed: SeedScores) -> _Seed:
        labels = require_both_classes(read_labels(seed.labels), least=2)
        a, b = (_ordered(labels, read_scores(labels, one)) for one in seed[1:])
        return cls(labels, np.stack([a, a - b]))

    @property
    def estimates(self) -> FloatArray:
        """AUC of a, and a - b."""
        means: FloatArray = self.pairs.mean(axis=(1, 2))
        return means

    def redrawn(self, positives: FloatArray, negatives: FloatArray) -> FloatArray:
        """Shape (resamples, 2), for weights of shapes (resamples, cases of the class)."""
        sums = np.einsum("kpn,rp,rn->rk", self.pairs, positives, negatives, optimize=True)
        scaled: FloatArray = sums / (positives.shape[1] * negatives.shape[1])
        return scaled


def _ordered(labels: npt.NDArray[np.bool_], scores: FloatArray) -> FloatArray:
    gaps = scores[labels][:, None] - scores[~labels][None, :]
    return (np.sign(gaps) + 1) / 2


def _redrawn(
    seeds: Sequence[_Seed], count: int, random: np.random.Generator, *, crossed: bool
) -> FloatArray:
    """Shape (count, seeds, 2): both figures of each seed with patients drawn anew."""
    found = []
    same: tuple[FloatArray, FloatArray] | None = None
    for seed in seeds:
        if same is None or not crossed:
            same = _weights(seed.labels, count, random)
        found.append(seed.redrawn(*same))
    return np.stack(found, axis=1)


def _shrinkage(between: FloatArray, patients: FloatArray) -> FloatArray:
    """What is left of the seeds' deviations without the patients' part; for each figure, to 1."""
    if len(between) < 2:
        return np.zeros(between.shape[1])
    observed = between.var(axis=0, ddof=1)
    share = np.divide(patients, observed, out=np.ones_like(patients), where=observed > 0)
    left: FloatArray = np.sqrt(np.clip(1 - share, 0.0, 1.0))
    return left


def _seeds_drawn(
    between: FloatArray, count: int, level: float, random: np.random.Generator
) -> FloatArray:
    """Shape (count, 2): how far the mean over drawn seeds is from that over all."""
    number = len(between)
    if number < 2:
        return np.zeros((count, between.shape[1]))
    quantile = 0.5 + level / 2
    stretch = math.sqrt(number / (number - 1)) * stdtrit(number - 1, quantile) / ndtri(quantile)
    often = random.multinomial(number, np.full(number, 1 / number), size=count)
    drawn: FloatArray = stretch * (often @ between) / number
    return drawn


def _weights(
    labels: npt.NDArray[np.bool_], count: int, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """How often each positive and each negative is drawn, shapes (count, cases of the class)."""

    def drawn(cases: int) -> FloatArray:
        return random.multinomial(cases, np.full(cases, 1 / cases), size=count).astype(np.float64)

    positives = int(labels.sum())
    return drawn(positives), drawn(labels.size - positives)


def _interval(estimate: float, drawn: FloatArray, level: float, least: float) -> BootstrapInterval:
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return BootstrapInterval(
        estimate,
        float(np.clip(low, least, 1.0)),
        float(np.clip(high, least, 1.0)),
        level,
        float(drawn.std(ddof=1)),
        drawn.size,
    )
