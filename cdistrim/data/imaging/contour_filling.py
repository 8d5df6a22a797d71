"""Contours in a scan's index space to a mask: which slice is whose, and what is enclosed.

A voxel is in the region if its centre is inside of the contours of its slice, by the even-odd rule:
a contour within another one is a hole, and so is what a keyhole's two edges enclose.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cdistrim.data.imaging.guard import UnreadableError
from cdistrim.data.raster import even_odd
from cdistrim.data.scan import Mask

__all__ = ["fill", "slice_of"]

PARALLEL = 0.25
"""How far a contour may be from parallel to the slices, in distances of slices."""
SAME_PLANE = 0.15
"""Contours nearer than this lie in one plane, in distances of slices: heights are rounded."""

_ROUNDING = 1e-3

Contours = Sequence[NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Plane:
    """Contours at one height, in distances of slices from the first; each of shape (m, 2)."""

    height: float
    polygons: Contours


def fill(contours: Contours, shape: tuple[int, int, int]) -> Mask:
    """The voxels inside of closed contours.

    A plane of contours belongs to the nearest slice; of several planes that have the same one, the
    nearest to it counts (contours drawn on thinner slices). Slices without contours between two
    that have some are filled in between them if only one is missing, or no more than usually are
    in this region (contours drawn on every other slice); wider gaps separate parts. What they are
    filled with is where the mean of the two signed distances to the outlines is inside
    (Raya and Udupa 1990).

    Args:
        contours: Each of shape (m, 3): corners as indices of the scan, voxels' centres being the
            integers. Fewer than three enclose nothing; one that is there twice counts once.
        shape: Of the scan.

    Raises:
        UnreadableError: A contour is not parallel to the slices.
    """
    planes = _planes([one for one in contours if len(one) >= 3])
    mask = np.zeros(shape, dtype=np.bool_, order="F")
    chosen = _by_slice(planes)
    for number, plane in chosen.items():
        if 0 <= number < shape[2]:
            mask[:, :, number] = _fill_plane(plane.polygons, (shape[0], shape[1]))
    _bridge(mask, sorted(chosen), _usual_distance(planes))
    return mask


def slice_of(height: float) -> int:
    """The slice that a height belongs to, both counted in slices from the first.

    Half-way between two slices is the upper one's, also for a plane that rounding put lower:
    contours half a slice off must not share slices and leave gaps.
    """
    return int(np.floor(height + 0.5 + _ROUNDING))


def _planes(contours: Contours) -> list[_Plane]:
    """From the lowest to the highest."""
    if any(np.ptp(one[:, 2]) > PARALLEL for one in contours):
        raise UnreadableError("a contour is not parallel to the slices of the scan")
    heights = np.array([one[:, 2].mean() for one in contours])
    order = np.argsort(heights, kind="stable")
    starts = np.flatnonzero(np.diff(heights[order]) > SAME_PLANE) + 1
    groups = np.split(order, starts) if len(order) else []
    return [
        _Plane(float(heights[group].mean()), _distinct([contours[k][:, :2] for k in group]))
        for group in groups
    ]


def _distinct(polygons: Contours) -> Contours:
    """Some programs write a contour twice, which even-odd would take for nothing."""
    return list({one.tobytes(): one for one in polygons}.values())


def _by_slice(planes: Sequence[_Plane]) -> Mapping[int, _Plane]:
    chosen: dict[int, _Plane] = {}
    for plane in planes:
        number = slice_of(plane.height)
        other = chosen.get(number)
        if other is None or abs(plane.height - number) < abs(other.height - number):
            chosen[number] = plane
    return chosen


def _fill_plane(polygons: Contours, shape: tuple[int, int]) -> Mask:
    """Shape (x, y)."""
    corners = np.concatenate(polygons)
    limits = np.array(shape)
    low = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 1, low, limits).astype(int)
    columns, rows = (high - low).tolist()
    layers = [0] * len(polygons)
    inside = even_odd([one - low for one in polygons], layers, (1, rows, columns))[0]
    filled = np.zeros(shape, dtype=np.bool_)
    filled[low[0] : high[0], low[1] : high[1]] = inside.T
    return filled


def _usual_distance(planes: Sequence[_Plane]) -> int:
    """Of neighbouring planes, in whole slices."""
    if len(planes) < 3:  # Of two, nothing tells a habit from a gap.
        return 1
    return max(1, round(float(np.median(np.diff([plane.height for plane in planes])))))


def _bridge(mask: Mask, slices: Sequence[int], usual: int) -> None:
    """Fill narrow gaps between slices that have contours, in place."""
    within = [number for number in slices if 0 <= number < mask.shape[2]]
    for below, above in itertools.pairwise(within):
        if not 1 < above - below <= max(2, usual):
            continue
        low, high = (_signed_distance(mask[:, :, number]) for number in (below, above))
        for number in range(below + 1, above):
            share = (number - below) / (above - below)
            mask[:, :, number] = (1 - share) * low + share * high > 0


def _signed_distance(inside: Mask) -> NDArray[np.float64]:
    """To the outline, in pixels; positive inside. Far outside where nothing is inside."""
    if not inside.any():
        return np.full(inside.shape, -float(sum(inside.shape)))
    within = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    beyond = ndimage.distance_transform_edt(~inside)
    distance: NDArray[np.float64] = np.where(inside, within - 0.5, 0.5 - beyond)
    return distance
