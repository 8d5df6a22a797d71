"""NIfTI images and masks. Their coordinates are RAS: x to the right and y to the front."""

from __future__ import annotations

import gzip
import io
import itertools
import math
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from cdistrim.data.imaging.dicom_files import MAX_FILE, MAX_VOXELS
from cdistrim.data.imaging.guard import UnreadableError, excluding
from cdistrim.data.imaging.placing import place
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan
from cdistrim.files import read_regular

__all__ = ["read_image", "read_mask"]

MAX_OFFSET = 1 << 24
"""Where values begin, at most, bytes."""

_BEYOND = 0.75
"""Voxels of a mask from which on a voxel of the scan lies beyond its grid: more than rounding."""
_DEFLATE_AT_MOST = 1032
"""No deflated file becomes more times as large."""
_KINDS: dict[int, Any] = {348: nib.Nifti1Image, 540: nib.Nifti2Image}
_MM = {"meter": 1000.0, "micron": 0.001}


@excluding(Exclusion.BROKEN_SCAN)
def read_image(path: Path) -> Scan:
    """A three-dimensional NIfTI file (``.nii`` or ``.nii.gz``, told by its content).

    Where it has two affines, the sform counts. The scan is in LPS, in mm.

    Raises:
        CaseExcluded: ``BROKEN_SCAN`` if it can't be read, has several volumes, colours or complex
            values, NaN or infinity, or does not say where it lies in the patient.
    """
    values, affine = _load(path)
    single = values.astype(np.float32)
    if not np.isfinite(single).all():
        raise UnreadableError("values beyond all bounds")
    return Scan(single, affine)


@excluding(Exclusion.BROKEN_REGION)
def read_mask(path: Path, scan: Scan, label: int | None) -> Mask:
    """A region out of a NIfTI file, on the scan's grid.

    From another grid each voxel has the value of the nearest one.

    Args:
        path: The file.
        scan: In the same coordinates; a NIfTI file can't say that they are others.
        label: Value of the region's voxels; None for all that are not 0.

    Raises:
        CaseExcluded: ``BROKEN_REGION`` as in :func:`read_image`, or if the region reaches an edge
            of its own grid beyond which the scan goes on: it may be cut off there; ``NO_REGION`` if
            no voxel has the label; ``EMPTY_REGION`` if all are 0, or none lies in the scan.
    """
    values, affine = _load(path)
    region = values != 0 if label is None else values == label
    if not region.any():
        if label is not None and values.any():
            raise CaseExcluded(Exclusion.NO_REGION, f"no voxel is {label}")
        raise CaseExcluded(Exclusion.EMPTY_REGION)
    mask = place(region, affine, scan)
    if not mask.any():
        raise CaseExcluded(Exclusion.EMPTY_REGION, f"{int(region.sum())} voxels beyond the scan")
    if _is_cut_off(region, affine, scan):
        raise CaseExcluded(
            Exclusion.BROKEN_REGION, f"cut off at the edge of the mask's own grid {region.shape}"
        )
    return mask


def _is_cut_off(region: Mask, affine: NDArray[np.float64], scan: Scan) -> bool:
    """Whether a region touches a face of its grid, and the scan has voxels beyond that face."""
    last = np.array(scan.values.shape) - 1
    corners = np.array(list(itertools.product(*((0, end) for end in last), (1,))))
    # The scan's outermost voxels in the mask's own indices.
    inside = (np.linalg.inv(affine) @ scan.affine @ corners.T)[:3]
    for axis, size in enumerate(region.shape):
        low, high = np.take(region, 0, axis).any(), np.take(region, size - 1, axis).any()
        if low and inside[axis].min() < -_BEYOND:
            return True
        if high and inside[axis].max() > size - 1 + _BEYOND:
            return True
    return False


def _load(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values of shape (x, y, z) with the file's scaling, and the affine to LPS."""
    content = read_regular(path, MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise UnreadableError(f"a file of more than {MAX_FILE} bytes")
    packed = content[:2] == b"\x1f\x8b"
    begin = gzip.GzipFile(fileobj=io.BytesIO(content)).read(540) if packed else content[:540]
    size = {int.from_bytes(begin[:4], "little"), int.from_bytes(begin[:4], "big")} & _KINDS.keys()
    if not size:
        raise UnreadableError("no NIfTI file")
    kind = _KINDS[size.pop()]
    header = kind.header_class.from_fileobj(io.BytesIO(begin))
    if not (header["sform_code"] > 0 or header["qform_code"] > 0):
        raise UnreadableError("it does not say where it lies in the patient")
    needed = _needed(header.get_data_shape(), header.get_data_dtype(), float(header["vox_offset"]))
    available = len(content) * (_DEFLATE_AT_MOST if packed else 1)
    if available < needed:
        raise UnreadableError(f"{available} bytes, at most, instead of {needed}")
    if packed:
        # One more than needed: at the end of a packed file its checksum is compared.
        content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(needed + 1)
    if len(content) < needed:
        raise UnreadableError(f"it ends {needed - len(content)} bytes too early")
    image = kind.from_stream(io.BytesIO(content))
    values = np.asanyarray(image.dataobj)
    values = values.reshape(values.shape[:3])
    if not np.isfinite(values).all():
        raise UnreadableError("values that are not finite")
    return values, _to_lps(image.affine, image.header.get_xyzt_units()[0])


def _needed(shape: tuple[int, ...], dtype: np.dtype[np.generic], offset: float) -> int:
    """Bytes that a file with this header has at least."""
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or min(shape) < 1:
        raise UnreadableError(f"{len(shape)} dimensions, or several volumes")
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise UnreadableError("values are no real numbers")
    voxels = math.prod(shape)
    if voxels > MAX_VOXELS or not 0 <= offset <= MAX_OFFSET:
        raise UnreadableError(f"{voxels} voxels")
    return int(offset) + voxels * dtype.itemsize


def _to_lps(affine: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
    scale = _MM.get(unit, 1.0)
    turned: NDArray[np.float64] = np.diag([-scale, -scale, scale, 1.0]) @ affine
    lengths = np.linalg.norm(turned[:3, :3], axis=0)
    if not np.isfinite(turned).all() or lengths.min() < 1e-2 or lengths.max() > 1e2:
        raise UnreadableError("distances of voxels beyond all bounds")
    if abs(np.linalg.det(turned[:3, :3] / lengths)) < 1e-2:
        raise UnreadableError("axes that lie in one plane")
    return turned
