"""A region out of a DICOM SEG (PS3.3, A.51 and C.8.20): frames of pixels, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset
from pydicom.pixels.utils import pixel_array

from cdistrim.data.imaging.dicom_files import (
    MAX_SIDE,
    MAX_VOXELS,
    SEGMENTATION,
    integer,
    items,
    numbers,
    parse,
    plane_axes,
    text,
)
from cdistrim.data.imaging.guard import UnreadableError, excluding
from cdistrim.data.imaging.placing import place
from cdistrim.data.imaging.region_names import choose_name
from cdistrim.data.imaging.slice_stack import EVENNESS, straight_line
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan

__all__ = ["read_segmentation"]


@dataclass(frozen=True, eq=False)
class _Frame:
    """A frame of the wanted segment: its number in the file, and its place."""

    number: int
    position: NDArray[np.float64]
    axes: NDArray[np.float64]
    measures: Dataset


@excluding(Exclusion.BROKEN_REGION)
def read_segmentation(file: Path, scan: Scan, name: str) -> Mask:
    """The voxels of a scan that a segment covers.

    Frames lie where they say; slices without a frame are empty. A segment on another grid than the
    scan's is brought onto it: each voxel has the value of the nearest one of the segment. Of a
    fractional segment, what is at least half covered (or probable) is inside.

    Args:
        file: The SEG, binary or fractional.
        scan: In the same coordinates.
        name: SegmentLabel; spelled as in :func:`~cdistrim.data.imaging.read_structure`.

    Raises:
        CaseExcluded: ``NO_REGION``, ``SEVERAL_REGIONS``; ``OTHER_FRAME`` if it says that its
            coordinates are others than the scan's; ``BROKEN_REGION`` if it can't be read, or its
            frames are not parallel or not evenly spaced; ``EMPTY_REGION`` if it covers no voxel's
            centre.
    """
    dataset = parse(file)
    kind = text(dataset, "SegmentationType").upper()
    if text(dataset, "SOPClassUID") != SEGMENTATION or kind not in ("BINARY", "FRACTIONAL"):
        raise UnreadableError("no binary or fractional SEG")
    segments = items(dataset, "SegmentSequence")
    segment = segments[choose_name([text(one, "SegmentLabel") for one in segments], name)]
    frame = text(dataset, "FrameOfReferenceUID")
    if frame and scan.frame and frame != scan.frame:
        raise CaseExcluded(Exclusion.OTHER_FRAME)
    shape = _require_pixels(dataset, kind)
    frames = list(_frames(dataset, integer(segment, "SegmentNumber")))
    if not frames:
        raise CaseExcluded(Exclusion.EMPTY_REGION, "no frames")
    places, affine = _grid(frames, scan)
    planes = int(places.max()) + 1
    if shape[0] * shape[1] * planes > MAX_VOXELS:
        raise UnreadableError(f"{planes} planes of {shape} pixels")
    volume = np.zeros((*shape, planes), dtype=np.bool_)
    least = integer(dataset, "MaximumFractionalValue", least=1) / 2 if kind == "FRACTIONAL" else 1
    for one, at in zip(frames, places.astype(int).tolist(), strict=True):
        volume[:, :, at] |= _pixels(dataset, one.number, shape) >= least
    mask = place(volume, affine, scan)
    if not mask.any():
        raise CaseExcluded(Exclusion.EMPTY_REGION, f"{len(frames)} frames")
    return mask


def _require_pixels(dataset: FileDataset, kind: str) -> tuple[int, int]:
    """See that there are as many pixels as the header says; columns and rows."""
    rows = integer(dataset, "Rows", least=1, most=MAX_SIDE)
    columns = integer(dataset, "Columns", least=1, most=MAX_SIDE)
    frames = integer(dataset, "NumberOfFrames", least=1)
    bits = integer(dataset, "BitsAllocated", least=1, most=8)
    integer(dataset, "SamplesPerPixel", least=1, most=1)
    if bits not in (1, 8) or (kind == "FRACTIONAL" and bits != 8):
        raise UnreadableError(f"{bits} bits a pixel")
    if rows * columns * frames > MAX_VOXELS:
        raise UnreadableError(f"more than {MAX_VOXELS} pixels")
    if "PixelData" not in dataset:
        raise UnreadableError("no PixelData")
    there, needed = len(dataset.PixelData), (rows * columns * frames * bits + 7) // 8
    if not dataset.file_meta.TransferSyntaxUID.is_compressed and there < needed:
        raise UnreadableError(f"{there} bytes of pixels instead of {needed}")
    return columns, rows


def _pixels(dataset: FileDataset, frame: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Of one frame, shape (columns, rows)."""
    columns, rows = shape
    pixels: NDArray[np.uint8]
    if dataset.BitsAllocated == 1 and not dataset.file_meta.TransferSyntaxUID.is_compressed:
        # Frames of single bits do not begin at bytes, and pydicom takes all of them or none.
        first, after = frame * columns * rows, (frame + 1) * columns * rows
        content = np.frombuffer(dataset.PixelData, np.uint8)[first // 8 : (after + 7) // 8]
        bits = np.unpackbits(content, bitorder="little")
        pixels = bits[first % 8 :][: columns * rows].reshape(rows, columns)
    else:
        pixels = pixel_array(dataset, index=frame)
        if pixels.shape != (rows, columns):
            raise UnreadableError(f"a frame of {pixels.shape} pixels instead of {(rows, columns)}")
    return pixels.T


def _frames(dataset: Dataset, segment: int) -> Iterator[_Frame]:
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")
    if len(groups) != integer(dataset, "NumberOfFrames"):
        raise UnreadableError(f"{len(groups)} groups of {dataset.NumberOfFrames} frames")
    shared = items(dataset, "SharedFunctionalGroupsSequence")
    for number, group in enumerate(groups):
        found = _macro([group, *shared], "SegmentIdentificationSequence")
        if integer(found, "ReferencedSegmentNumber") != segment:
            continue
        measures = _macro([group, *shared], "PixelMeasuresSequence")
        orientation = _macro([group, *shared], "PlaneOrientationSequence")
        position = _macro([group, *shared], "PlanePositionSequence")
        yield _Frame(
            number,
            np.array(numbers(position, "ImagePositionPatient", 3)),
            plane_axes(
                numbers(orientation, "ImageOrientationPatient", 6),
                numbers(measures, "PixelSpacing", 2),
            ),
            measures,
        )


def _macro(groups: Sequence[Dataset], keyword: str) -> Dataset:
    """A functional group: of the frame itself, else of all."""
    for group in groups:
        if found := items(group, keyword):
            return found[0]
    raise UnreadableError(f"no {keyword}")


def _grid(frames: Sequence[_Frame], scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Number of each frame's plane, counted from the lowest, and the affine of these planes."""
    axes = frames[0].axes
    if any(np.abs(one.axes - axes).max() > 1e-3 for one in frames):
        raise UnreadableError("frames of several orientations or spacings")
    normal = np.cross(*(axes / np.linalg.norm(axes, axis=0)).T)
    positions = np.array([one.position for one in frames])
    heights = positions @ normal
    heights -= heights.min()
    for distance in _distances(frames[0].measures, scan, normal, heights):
        places = np.rint(heights / distance)
        if np.abs(heights - places * distance).max() <= EVENNESS * distance:
            break
    else:
        raise UnreadableError("frames are not evenly spaced")
    affine = np.eye(4)
    affine[:3, :2] = axes
    affine[:3, 2], affine[:3, 3] = distance * normal, positions[heights.argmin()]
    if places.any():
        affine[:3, 3], affine[:3, 2] = straight_line(positions, places)
    astray = np.linalg.norm(positions - affine[:3, 3] - places[:, None] * affine[:3, 2], axis=1)
    if astray.max() > EVENNESS * distance:
        raise UnreadableError("frames do not lie above each other")
    return places, affine


def _distances(
    measures: Dataset, scan: Scan, normal: NDArray[np.float64], heights: NDArray[np.float64]
) -> Iterator[float]:
    """Of neighbouring planes, the likeliest first: frames of empty slices are not there."""
    between = measures.get("SpacingBetweenSlices")
    if between is not None:
        yield from _positive(abs(float(between)))
    yield from _positive(abs(float(scan.affine[:3, 2] @ normal)))
    thickness = measures.get("SliceThickness")
    if thickness is not None:
        yield from _positive(float(thickness))
    gaps = np.diff(np.unique(heights))
    if len(gaps):
        yield from _positive(float(gaps.min()))


def _positive(distance: float) -> Iterator[float]:
    if 1e-3 < distance < 1e3:
        yield distance
