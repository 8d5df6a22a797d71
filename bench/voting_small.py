"""Whether evaluators with few cases make a ballot better or worse than without them.

From the votes of :mod:`bench.voting_ballots`: groups of 4 to 15 partners, some of whom have a small
hold-out. Each group is counted twice, once with these as evaluators and once without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.paired_scores import HoldOut
from cdistrim.protocol import quorum_of

__all__ = ["SmallResult", "compare_small"]

BoolArray = npt.NDArray[np.bool_]
Pools = Mapping[HoldOut, tuple[BoolArray, BoolArray]]
"""Votes on a candidate as good as the head, and on the worse one, by hold-out."""

LARGE = (HoldOut(25, 25), HoldOut(50, 50))
LEAST_PARTNERS, MOST_PARTNERS = 4, 15


@dataclass(frozen=True)
class SmallResult:
    """Over all groups with small hold-outs of one size.

    Attributes:
        small: Of those in question.
        large: Of the other evaluators, three or more.
        groups: How many there are.
        better: Share of the groups in which fewer ballots go wrong with the small ones.
        change: Mean change of the share of wrong ballots: good candidates refused plus bad ones
            accepted. Negative is better.
    """

    small: HoldOut
    large: HoldOut
    groups: int
    better: float
    change: float


def compare_small(pools: Pools, *, ballots: int, seed: int) -> Iterator[SmallResult]:
    """One result a pair of sizes.

    Args:
        pools: Votes by the rule that is looked at, of all sizes.
        ballots: To count for each group.
        seed: Of the random numbers.
    """
    rng = np.random.default_rng(seed)
    for large in LARGE:
        for small in pools:
            if small.cases > large.cases:
                continue
            changes = []
            for partners in range(LEAST_PARTNERS, MOST_PARTNERS + 1):
                for few in range(1, partners - 2):
                    sizes = (large, partners - few), (small, few)
                    without = _wrong(pools, sizes, False, ballots, rng)
                    changes.append(_wrong(pools, sizes, True, ballots, rng) - without)
            found = np.array(changes)
            yield SmallResult(
                small, large, len(found), float(np.mean(found < 0)), float(found.mean())
            )


def _wrong(
    pools: Pools,
    sizes: tuple[tuple[HoldOut, int], tuple[HoldOut, int]],
    small_evaluate: bool,
    ballots: int,
    rng: np.random.Generator,
) -> float:
    """Good candidates refused plus bad ones accepted, over the turns of all partners."""
    (large, many), (small, few) = sizes
    wrong = 0.0
    for turns, of_large, of_small in ((many, many - 1, few), (few, many, few - 1)):
        voters = {large: of_large}
        if small_evaluate:
            voters[small] = voters.get(small, 0) + of_small
        needed = quorum_of(sum(voters.values()) + 1)
        good, bad = (
            1 + sum(rng.binomial(n, pools[size][i].mean(), ballots) for size, n in voters.items())
            for i in (0, 1)
        )
        wrong += turns * float(np.mean(good < needed) + np.mean(bad >= needed))
    return wrong / (many + few)
