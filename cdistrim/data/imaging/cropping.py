"""A volume for a model out of a scan and the region in it.

Conventions. A voxel's coordinates are those of its centre, and it reaches half a voxel to each
side: a scan of n slices is n slices high, from -0.5 to n - 0.5. The crop's axes are the patient's
(x to the left, y to the back, z to the head), whatever the scan's are. A crop from a to b mm with n
voxels has their centres at a + (i + 0.5) (b - a) / n.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan
from cdistrim.spec import PreprocessingSpec

__all__ = ["crop", "crop_mask"]

Shape = tuple[int, int, int]

MAX_SAMPLES = 16
"""Points per voxel of the crop and axis at which the scan is looked up, at most."""


@dataclass(frozen=True, eq=False)
class _Box:
    """Outer faces of a crop, mm, along the patient's axes; both of shape (3,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


def crop(
    scan: Scan, mask: Mask, preprocessing: PreprocessingSpec, shape: Shape
) -> NDArray[np.float16]:
    """The region and what is around it, as the model sees it (the paper's section on data).

    ``box``: the axial slices that the region touches; in their planes its bounding box with
    ``margin_mm`` on the four sides; resized. ``fixed``: ``field_of_view_mm`` about the mean of the
    region's voxels. Values are clipped to the window and scaled, then interpolated linearly; where
    voxels of the crop are larger than the scan's, each is the mean over its extent. What lies
    beyond the scan is 0, as air is.

    Args:
        scan: Axes may be oblique.
        mask: The region, of the scan's shape.
        preprocessing: Which crop, which window.
        shape: Voxels of the result along x, y, z.

    Returns:
        Shape ``shape``, in [0, 1].

    Raises:
        CaseExcluded: The region is empty.
    """
    low, high = preprocessing.window

    def scaled(block: NDArray[np.float32]) -> NDArray[np.float32]:
        clipped: NDArray[np.float32] = np.clip(block, low, high)
        return (clipped - np.float32(low)) / np.float32(high - low)

    sampler = _Sampler(scan.affine, _box(scan, mask, preprocessing), shape)
    block = sampler.block(mask.shape)
    mean = sampler.mean(scaled(scan.values[block]), [part.start for part in block], mask.shape)
    volume: NDArray[np.float16] = np.clip(mean, 0.0, 1.0).astype(np.float16)
    return volume


def crop_mask(scan: Scan, mask: Mask, preprocessing: PreprocessingSpec, shape: Shape) -> Mask:
    """The region in the geometry of :func:`crop`, for somebody to look at.

    Returns:
        Shape ``shape``: True where the region fills half of a voxel or more; of a region that is
        too small for that anywhere, the voxels that it fills most.

    Raises:
        CaseExcluded: The region is empty.
    """
    sampler = _Sampler(scan.affine, _box(scan, mask, preprocessing), shape)
    block = sampler.block(mask.shape)
    filled = mask[block].astype(np.float32)
    share = sampler.mean(filled, [part.start for part in block], mask.shape)
    most = float(share.max())
    found: Mask = share >= min(0.5, most) if most > 0 else np.zeros(shape, dtype=np.bool_)
    return found


def _box(scan: Scan, mask: Mask, preprocessing: PreprocessingSpec) -> _Box:
    if not mask.any():
        raise CaseExcluded(Exclusion.EMPTY_REGION)
    if preprocessing.crop == "fixed":
        half = np.array(preprocessing.field_of_view_mm) / 2
        centre = _centre(scan.affine, mask)
        return _Box(centre - half, centre + half)
    around = _bounding_box(scan.affine, mask)
    margin = np.array([preprocessing.margin_mm, preprocessing.margin_mm, 0.0])
    return _Box(around.low - margin, around.high + margin)


def _centre(affine: NDArray[np.float64], mask: Mask) -> NDArray[np.float64]:
    """Shape (3,): mean of the region's voxels, mm."""
    index = np.empty(3)
    for axis in range(3):
        counts = np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis))
        index[axis] = counts @ np.arange(len(counts)) / counts.sum()
    centre: NDArray[np.float64] = affine[:3, :3] @ index + affine[:3, 3]
    return centre


def _bounding_box(affine: NDArray[np.float64], mask: Mask) -> _Box:
    """The faces of the region's outermost voxels."""
    # The extremes in any direction are among the first and the last voxels of the lines along z.
    x, y = np.nonzero(mask.any(axis=2))
    lines = mask[x, y]
    first = lines.argmax(axis=1)
    last = lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
    ends = np.array([[*x, *x], [*y, *y], [*first, *last]], dtype=np.float64)
    centres = affine[:3, :3] @ ends + affine[:3, 3:]
    reach = np.abs(affine[:3, :3]).sum(axis=1) / 2
    return _Box(centres.min(axis=1) - reach, centres.max(axis=1) + reach)


class _Sampler:
    """Looks a scan up at the places of a crop's voxels.

    Args:
        affine: The scan's.
        box: Faces of the crop.
        shape: Voxels of the crop.
    """

    def __init__(self, affine: NDArray[np.float64], box: _Box, shape: Shape) -> None:
        inverse = np.linalg.inv(affine)
        self._shape = shape
        self._voxel = (box.high - box.low) / np.array(shape)
        # Column a: by how much the scan's index changes from a voxel of the crop to the next.
        self._step = inverse[:3, :3] * self._voxel
        self._first = inverse[:3, :3] @ (box.low + self._voxel / 2) + inverse[:3, 3]

    def block(self, available: tuple[int, ...]) -> tuple[slice, slice, slice]:
        """The part of a scan of this shape that is looked at."""
        corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
        sides = corners * np.array(self._shape) + (np.array(self._shape) - 1) / 2
        reached = sides @ self._step.T + self._first
        last = np.array(available) - 1
        low = np.clip(np.floor(reached.min(axis=0)) - 1, 0, last).astype(int)
        high = np.clip(np.ceil(reached.max(axis=0)) + 1, 0, last).astype(int)
        x, y, z = (slice(a, b + 1) for a, b in zip(low.tolist(), high.tolist(), strict=True))
        return x, y, z

    def mean(
        self, values: NDArray[np.float32], begin: Sequence[int], available: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Shape of the crop: the mean over each of its voxels; 0 outside of the scan.

        Args:
            values: A part of the scan, as :meth:`block` named it.
            begin: Index of the part's first voxel.
            available: Shape of the whole scan.
        """
        fineness = np.abs(self._step).max(axis=0)
        samples = np.clip(np.ceil(fineness - 1e-6), 1, MAX_SAMPLES).astype(int).tolist()
        within = [(np.arange(count) + 0.5) / count - 0.5 for count in samples]
        limits = np.array(available)[:, None, None, None] - 0.5
        begun = np.array(begin)[:, None, None, None]
        total = np.zeros(self._shape)
        for offset in itertools.product(*within):
            index = self._index(np.array(offset))
            inside = ((index >= -0.5) & (index <= limits)).all(axis=0)
            # Within the outer half of the outermost voxels their own value holds.
            found = ndimage.map_coordinates(values, index - begun, order=1, mode="nearest")
            total += np.where(inside, found, 0.0)
        mean: NDArray[np.float64] = total / np.prod(samples)
        return mean

    def _index(self, offset: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shape (3, x, y, z): the scan's index at a place in every voxel of the crop."""
        x, y, z = (np.arange(count) + away for count, away in zip(self._shape, offset, strict=True))
        along = [self._step[:, axis, None] * places for axis, places in enumerate((x, y, z))]
        index: NDArray[np.float64] = (
            self._first[:, None, None, None]
            + along[0][:, :, None, None]
            + along[1][:, None, :, None]
            + along[2][:, None, None, :]
        )
        return index
