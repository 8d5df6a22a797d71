"""Slices that lie one above the other, and what their places say about the stack.

The order of slices is that of their positions along their normal. Numbers and names of files are
not asked: they follow the acquisition, the table's direction, or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.scan import CaseExcluded, Exclusion

__all__ = ["EVENNESS", "SliceStack", "stack", "straight_line"]

DOUBLED_MM = 0.01
"""Slices nearer than this lie at the same place."""
EVENNESS = 0.1
"""How far a slice may lie from its place in an even stack, in distances of slices: headers round
positions to tenths of a millimetre."""


@dataclass(frozen=True, eq=False)
class SliceStack:
    """An even stack.

    Args:
        order: Shape (n,): the slices from the first to the last, by their index in what was given.
        origin: Shape (3,): position of the first, mm.
        step: Shape (3,): from a slice to the next, mm. Not along the normal where a gantry was
            tilted.
    """

    order: NDArray[np.intp]
    origin: NDArray[np.float64]
    step: NDArray[np.float64]


def stack(positions: NDArray[np.float64], normal: NDArray[np.float64]) -> SliceStack:
    """Put parallel slices in order.

    Args:
        positions: Shape (n, 3): the same corner of every slice, mm.
        normal: Shape (3,): unit vector; slices are ordered along it.

    Raises:
        CaseExcluded: ``CONTRADICTORY_SCAN`` if two lie at the same place, ``MISSING_SLICES`` if a
            gap is a multiple of the others, or there are fewer than two, ``UNEVEN_SLICES``
            otherwise.
    """
    if len(positions) < 2:
        raise CaseExcluded(Exclusion.MISSING_SLICES, f"{len(positions)} in all")
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    gaps = np.diff(heights[order])
    if doubled := int((gaps < DOUBLED_MM).sum()):
        raise CaseExcluded(Exclusion.CONTRADICTORY_SCAN, f"{doubled} at places of others")
    places = _places(gaps)
    last = int(places[-1])
    origin, step = straight_line(positions[order], places)
    astray = np.linalg.norm(positions[order] - origin - places[:, None] * step, axis=1)
    if astray.max() > EVENNESS * np.linalg.norm(step):
        raise CaseExcluded(
            Exclusion.UNEVEN_SLICES, f"distances from {gaps.min():.2f} to {gaps.max():.2f} mm"
        )
    if missing := last + 1 - len(positions):
        raise CaseExcluded(
            Exclusion.MISSING_SLICES,
            f"{missing} of {last + 1}; the largest gap is {gaps.max():.2f} mm",
        )
    return SliceStack(order.astype(np.intp), origin, step)


def straight_line(
    positions: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Place 0 and the step to place 1, by least squares: single positions are rounded.

    Args:
        positions: Shape (n, 3), mm.
        places: Shape (n,), not all equal.
    """
    centred = places - places.mean()
    step: NDArray[np.float64] = centred @ positions / (centred @ centred)
    return positions.mean(axis=0) - places.mean() * step, step


def _places(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shape (n,): the slices' numbers in an even stack that has the smallest gap as distance.

    The smallest one alone would be off by its rounding, which adds up over many slices.
    """
    multiples = np.maximum(np.rint(gaps / gaps.min()), 1.0)
    distance = gaps.sum() / multiples.sum()
    multiples = np.maximum(np.rint(gaps / distance), 1.0)
    return np.concatenate([[0.0], np.cumsum(multiples)])
