"""A region on a grid of its own, brought onto a scan's."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.scan import Mask, Scan

__all__ = ["place"]

SAME = 1e-3
"""Grids that differ by less, in voxels, are the same."""

_TIE = 1e-6


def place(region: Mask, affine: NDArray[np.float64], scan: Scan) -> Mask:
    """The region's value at each voxel's centre: that of the nearest of its own voxels.

    Args:
        region: Shape (x, y, z), on a grid of its own.
        affine: Of that grid, as a scan's.
        scan: Gives the wanted grid.

    Returns:
        Shape of the scan; False where the region's grid does not reach.
    """
    shape = scan.values.shape
    to_region: NDArray[np.float64] = np.linalg.inv(affine) @ scan.affine
    farthest = np.array([*region.shape, 1.0])
    moved = np.abs((to_region - np.eye(4)) @ np.diag(farthest)).sum(axis=1).max()
    if region.shape == shape and moved < SAME:
        return region.copy()
    mask = np.zeros(shape, dtype=np.bool_)
    if not region.any():
        return mask
    low, high = _reach(region, np.linalg.inv(scan.affine) @ affine, shape)
    if (low >= high).any():
        return mask
    x, y = np.arange(low[0], high[0])[:, None], np.arange(low[1], high[1])[None, :]
    for z in range(low[2], high[2]):
        inside = np.ones((x.size, y.size), dtype=np.bool_)
        nearest = []
        for axis in range(3):
            along_x, along_y, along_z, first = to_region[axis]
            index = np.floor(x * along_x + (y * along_y + z * along_z + first) + 0.5 + _TIE)
            inside &= (index >= 0) & (index < region.shape[axis])
            nearest.append(np.clip(index, 0, region.shape[axis] - 1).astype(np.intp))
        found = region[nearest[0], nearest[1], nearest[2]] & inside
        mask[low[0] : high[0], low[1] : high[1], z] = found
    return mask


def _reach(
    region: Mask, to_scan: NDArray[np.float64], shape: tuple[int, ...]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First voxel of the scan that the region may reach, and the one after the last."""
    ends = []
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        filled = np.flatnonzero(region.any(axis=others))
        ends.append((filled[0] - 0.5, filled[-1] + 0.5))
    corners = np.array(list(itertools.product(*ends)))
    reached = corners @ to_scan[:3, :3].T + to_scan[:3, 3]
    limits = np.array(shape)
    low = np.clip(np.floor(reached.min(axis=0)), 0, limits).astype(int)
    high = np.clip(np.ceil(reached.max(axis=0)) + 1, 0, limits).astype(int)
    return low, high
