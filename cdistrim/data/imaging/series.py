"""A CT series out of DICOM files.

Geometry: PS3.3, C.7.6.2.1.1. ImageOrientationPatient has the direction in which columns are counted
(along a row), then that in which rows are counted; PixelSpacing the distance of rows, then that of
columns. ImagePositionPatient is the centre of the first pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset

from cdistrim.data.imaging.dicom_files import (
    CT_IMAGE,
    MAX_SIDE,
    MAX_VOXELS,
    integer,
    numbers,
    parse,
    plane_axes,
    text,
)
from cdistrim.data.imaging.guard import UnreadableError, excluding
from cdistrim.data.imaging.slice_stack import stack
from cdistrim.data.scan import CaseExcluded, Exclusion, Scan

__all__ = ["is_ct_slice", "read_series"]

_PARALLEL = 1e-3
_OTHER_ORIENTATION = 0.1
_SAME_SPACING = 1e-3
_HOUNSFIELD = ("", "HU", "US")


@dataclass(frozen=True, eq=False)
class _Slice:
    instance: str
    series: str
    frame: str
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    values: NDArray[np.float32]

    @property
    def directions(self) -> NDArray[np.float64]:
        lengths: NDArray[np.float64] = np.linalg.norm(self.axes, axis=0)
        return self.axes / lengths


@excluding(Exclusion.BROKEN_SCAN)
def read_series(files: Sequence[Path]) -> Scan:
    """The scan that the files of one series make up, in Hounsfield units.

    Localizers and whatever is no CT image are passed over, and so is a second copy of a slice.

    Args:
        files: In any order, with any names.

    Returns:
        Axes as in the file: x along its rows, y down its columns, z along the cross product of the
        two. The affine is oblique where the slices are.

    Raises:
        CaseExcluded: ``NO_SCAN`` if no CT image is among them; ``BROKEN_SCAN`` if one can't be
            read, which includes compressed ones without a decoder, and ones with several frames;
            ``CONTRADICTORY_SCAN`` if series, coordinate system, size or orientation are not the
            same everywhere, or different slices lie at one place; ``MISSING_SLICES``;
            ``UNEVEN_SLICES``.
    """
    slices: list[_Slice] = []
    voxels = 0
    for file in files:
        dataset = parse(file)
        if "SOPClassUID" not in dataset and "Modality" not in dataset:
            raise UnreadableError("a file that does not say what it is")
        if not is_ct_slice(dataset):
            continue
        slices.append(_read_slice(dataset))
        voxels += slices[-1].values.size
        if voxels > MAX_VOXELS:
            raise UnreadableError(f"more than {MAX_VOXELS} voxels")
    if not slices:
        raise CaseExcluded(Exclusion.NO_SCAN, f"no CT image among {len(files)} files")
    slices = _without_copies(slices)
    _require_agreement(slices)

    axes = slices[0].axes
    normal = np.cross(*slices[0].directions.T)
    stacked = stack(np.array([one.position for one in slices]), normal)
    # Slice by slice in memory, as they come: any other order takes longer to write than to read.
    values = np.empty((len(slices), *slices[0].values.shape), dtype=np.float32)
    for place, index in enumerate(stacked.order):
        values[place] = slices[index].values
    affine = np.eye(4)
    affine[:3, :2] = axes
    affine[:3, 2] = stacked.step
    affine[:3, 3] = stacked.origin
    return Scan(values.transpose(2, 1, 0), affine, slices[0].frame)


def is_ct_slice(dataset: Dataset) -> bool:
    """Whether an object is a slice of a CT scan, and no localizer or secondary capture."""
    if (text(dataset, "SOPClassUID") or CT_IMAGE) != CT_IMAGE:
        return False
    if text(dataset, "Modality") != "CT":
        return False
    return "LOCALIZER" not in str(dataset.get("ImageType", "")).upper()


def _read_slice(dataset: FileDataset) -> _Slice:
    return _Slice(
        instance=text(dataset, "SOPInstanceUID"),
        series=text(dataset, "SeriesInstanceUID"),
        frame=text(dataset, "FrameOfReferenceUID"),
        position=np.array(numbers(dataset, "ImagePositionPatient", 3)),
        axes=plane_axes(
            numbers(dataset, "ImageOrientationPatient", 6), numbers(dataset, "PixelSpacing", 2)
        ),
        values=_hounsfield(dataset),
    )


def _hounsfield(dataset: FileDataset) -> NDArray[np.float32]:
    """Shape (rows, columns)."""
    rows = integer(dataset, "Rows", least=1, most=MAX_SIDE)
    columns = integer(dataset, "Columns", least=1, most=MAX_SIDE)
    if dataset.get("NumberOfFrames", 1) not in (None, 1):
        raise UnreadableError("several frames in one file")
    integer(dataset, "SamplesPerPixel", least=1, most=1)
    allocated = integer(dataset, "BitsAllocated", least=8, most=32)
    if "PixelData" not in dataset:
        raise UnreadableError("no PixelData")
    there, needed = len(dataset.PixelData), rows * columns * allocated // 8
    if not dataset.file_meta.TransferSyntaxUID.is_compressed and there < needed:
        raise UnreadableError(f"{there} bytes of pixels instead of {needed}")
    (slope,) = numbers(dataset, "RescaleSlope", 1)
    (intercept,) = numbers(dataset, "RescaleIntercept", 1)
    if slope == 0:
        raise UnreadableError("RescaleSlope is 0")
    if text(dataset, "RescaleType").upper() not in _HOUNSFIELD:
        raise UnreadableError("values are not in Hounsfield units")
    stored = dataset.pixel_array
    if stored.shape != (rows, columns):
        raise UnreadableError(f"pixels of shape {stored.shape} instead of {(rows, columns)}")
    values = (stored * np.float64(slope) + intercept).astype(np.float32)
    if not np.isfinite(values).all():
        raise UnreadableError("values beyond all bounds")
    return values


def _without_copies(slices: Sequence[_Slice]) -> list[_Slice]:
    """One of each instance, unless copies differ: downloads that were repeated have files twice."""
    kept: list[_Slice] = []
    by_instance: dict[str, _Slice] = {}
    for one in slices:
        other = by_instance.setdefault(one.instance, one) if one.instance else one
        if other is one or not _is_copy(one, other):
            kept.append(one)
    return kept


def _is_copy(one: _Slice, other: _Slice) -> bool:
    return np.array_equal(one.position, other.position) and np.array_equal(one.values, other.values)


def _require_agreement(slices: Sequence[_Slice]) -> None:
    first = slices[0]
    for what, several in (
        ("series", {one.series for one in slices}),
        ("coordinate systems", {one.frame for one in slices}),
        ("sizes", {one.values.shape for one in slices}),
    ):
        if len(several) > 1:
            raise CaseExcluded(Exclusion.CONTRADICTORY_SCAN, f"{len(several)} {what}")
    spacings = np.array([np.linalg.norm(one.axes, axis=0) for one in slices])
    if np.abs(spacings / spacings[0] - 1).max() > _SAME_SPACING:
        raise CaseExcluded(Exclusion.CONTRADICTORY_SCAN, "several pixel spacings")
    turned = max(np.abs(one.directions - first.directions).max() for one in slices)
    if turned > _OTHER_ORIENTATION:
        raise CaseExcluded(Exclusion.CONTRADICTORY_SCAN, "several orientations")
    if turned > _PARALLEL:
        raise CaseExcluded(Exclusion.UNEVEN_SLICES, "not parallel")
