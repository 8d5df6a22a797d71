"""Contours in millimetres to the share of every voxel that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contour", "Grid", "coverage", "even_odd"]

SAMPLES = 3
"""Points per voxel and in-plane axis at which a polygon is tested: 3 x 3 a voxel."""
EDGES_AT_A_TIME = 1 << 13
"""Each may cross every row, which takes memory."""


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed planar polygon: ``points`` of shape (m, 2), x and y in mm, at height ``z`` in mm.

    ``hole`` marks a polygon whose inside is not part of the structure.
    """

    points: NDArray[np.float64]
    z: float
    hole: bool = False


@dataclass(frozen=True)
class Grid:
    """Regular voxels, axes (x, y, z): corner of the first one and voxel size in mm."""

    origin: tuple[float, float, float]
    voxel: tuple[float, float, float]
    shape: tuple[int, int, int]

    @classmethod
    def around(
        cls,
        centre: Sequence[float],
        field_of_view: tuple[float, float, float],
        shape: tuple[int, int, int],
    ) -> Grid:
        """The grid with this centre and these outer dimensions in mm."""
        cx, cy, cz = centre
        fx, fy, fz = field_of_view
        nx, ny, nz = shape
        return cls((cx - fx / 2, cy - fy / 2, cz - fz / 2), (fx / nx, fy / ny, fz / nz), shape)


def coverage(contours: Sequence[Contour], grid: Grid, *, slab: float) -> NDArray[np.float64]:
    """Share of each voxel inside a structure given by contours on parallel slices.

    A point is inside a polygon by the even-odd rule. On a slice the structure is the union of its
    polygons without the union of its holes, and a slice stands for ``slab`` mm of height.

    Args:
        contours: The structure; polygons with fewer than three points cover nothing.
        grid: The voxels.
        slab: Distance of the slices in mm.

    Returns:
        Shape ``grid.shape``, values in [0, 1].
    """
    if not contours:
        return np.zeros(grid.shape)
    heights = np.unique([contour.z for contour in contours])
    nx, ny, _ = grid.shape
    masks = _inside_each(contours, grid)
    inside = np.zeros((len(heights), ny * SAMPLES, nx * SAMPLES), dtype=bool)
    holes = np.zeros_like(inside)
    for contour, mask in zip(contours, masks, strict=True):
        target = holes if contour.hole else inside
        target[np.searchsorted(heights, contour.z)] |= mask
    planes = (inside & ~holes).reshape(-1, ny, SAMPLES, nx, SAMPLES).mean(axis=(2, 4))
    shares = np.tensordot(_slab_shares(heights, grid, slab), planes, axes=1)
    return np.clip(shares.transpose(2, 1, 0), 0.0, 1.0)


def _slab_shares(heights: NDArray[np.float64], grid: Grid, slab: float) -> NDArray[np.float64]:
    """(nz, slices): the part of each voxel's height that each slice stands for."""
    size = grid.voxel[2]
    low = grid.origin[2] + size * np.arange(grid.shape[2])[:, None]
    overlap = np.minimum(low + size, heights + slab / 2) - np.maximum(low, heights - slab / 2)
    shares: NDArray[np.float64] = np.clip(overlap, 0.0, None) / size
    return shares


def _inside_each(contours: Sequence[Contour], grid: Grid) -> NDArray[np.bool_]:
    """(contours, y, x) of sample points inside each polygon."""
    scale = SAMPLES / np.array(grid.voxel[:2])
    # Sample i lies at i + 0.5 of these units; the shift puts it on the integer i.
    polygons = [(one.points - np.array(grid.origin[:2])) * scale - 0.5 for one in contours]
    samples = (grid.shape[1] * SAMPLES, grid.shape[0] * SAMPLES)
    return even_odd(polygons, range(len(polygons)), (len(polygons), *samples))


def even_odd(
    polygons: Sequence[NDArray[np.float64]], layers: Sequence[int], shape: tuple[int, int, int]
) -> NDArray[np.bool_]:
    """Which points of a grid lie inside of polygons, by the even-odd rule.

    Every edge toggles, on every row that it crosses, all points to its right; a running parity
    along the row is then the rule for all polygons at once. Several polygons of one layer follow it
    together: one inside of another is a hole.

    Args:
        polygons: Each of shape (m, 2): x and y of its corners; the grid's points are the integers.
        layers: Of each polygon.
        shape: (layers, rows, columns): rows count y, columns x.

    Returns:
        Shape ``shape``. A polygon with fewer than three corners covers nothing.
    """
    count, rows, columns = shape
    starts = np.concatenate([*polygons, np.empty((0, 2))])
    ends = np.concatenate([*(np.roll(one, -1, axis=0) for one in polygons), np.empty((0, 2))])
    owners = np.repeat(np.asarray(layers, dtype=np.intp), [len(one) for one in polygons])
    toggles = np.zeros(count * rows * (columns + 1), dtype=np.intp)
    for begin in range(0, len(starts), EDGES_AT_A_TIME):
        part = slice(begin, begin + EDGES_AT_A_TIME)
        flat = _crossings(starts[part], ends[part], owners[part], rows, columns)
        toggles += np.bincount(flat, minlength=len(toggles))
    parity = np.cumsum(toggles.reshape(count, rows, columns + 1), axis=2) % 2
    inside: NDArray[np.bool_] = parity[:, :, :columns] == 1
    return inside


def _crossings(
    starts: NDArray[np.float64],
    ends: NDArray[np.float64],
    owners: NDArray[np.intp],
    rows: int,
    columns: int,
) -> NDArray[np.intp]:
    """Where each edge crosses a row: the first point to its right, as a flat index."""
    (x0, y0), (x1, y1) = starts.T, ends.T
    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, rows).astype(np.intp)
    after = np.clip(np.ceil(np.maximum(y0, y1)), 0, rows).astype(np.intp)
    crossed = after - first
    edge = np.repeat(np.arange(len(crossed)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    x = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    column = np.clip(np.ceil(x), 0, columns).astype(np.intp)
    flat: NDArray[np.intp] = (owners[edge] * rows + row) * (columns + 1) + column
    return flat
