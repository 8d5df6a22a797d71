"""Contours in millimetres to the share of every voxel that they cover."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Contour", "Grid", "coverage"]

SAMPLES = 3
"""Points per voxel and in-plane axis at which a polygon is tested: 3 x 3 a voxel."""


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
    masks = _even_odd(contours, grid)
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


def _even_odd(contours: Sequence[Contour], grid: Grid) -> NDArray[np.bool_]:
    """(contours, y, x) of sample points inside each polygon.

    Every edge toggles, on every row of samples that it crosses, all samples to its right; a
    running parity along the row is then the even-odd rule for all polygons at once.
    """
    columns, rows = grid.shape[0] * SAMPLES, grid.shape[1] * SAMPLES
    scale = SAMPLES / np.array(grid.voxel[:2])
    starts, ends, owners = [], [], []
    for number, contour in enumerate(contours):
        # Sample i lies at i + 0.5 of these units; the shift puts it on the integer i.
        points = (contour.points - np.array(grid.origin[:2])) * scale - 0.5
        starts.append(points)
        ends.append(np.roll(points, -1, axis=0))
        owners.append(np.full(len(points), number))
    (x0, y0), (x1, y1) = np.concatenate(starts).T, np.concatenate(ends).T
    owner = np.concatenate(owners)

    first = np.clip(np.ceil(np.minimum(y0, y1)), 0, rows).astype(np.intp)
    after = np.clip(np.ceil(np.maximum(y0, y1)), 0, rows).astype(np.intp)
    crossed = after - first
    edge = np.repeat(np.arange(len(crossed)), crossed)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(crossed) - crossed, crossed) + first[edge]
    x = x0[edge] + (row - y0[edge]) * (x1[edge] - x0[edge]) / (y1[edge] - y0[edge])
    column = np.clip(np.ceil(x), 0, columns).astype(np.intp)

    flat = (owner[edge] * rows + row) * (columns + 1) + column
    toggles = np.bincount(flat, minlength=len(contours) * rows * (columns + 1))
    parity = np.cumsum(toggles.reshape(len(contours), rows, columns + 1), axis=2) % 2
    inside: NDArray[np.bool_] = parity[:, :, :columns] == 1
    return inside
