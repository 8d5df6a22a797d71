"""A region out of an RTSTRUCT (PS3.3, A.19 and C.8.8.6): contours in mm, on planes of a scan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement

from cdistrim.data.imaging.contour_filling import fill, slice_of
from cdistrim.data.imaging.dicom_files import RT_STRUCTURE_SET, integer, items, parse, text
from cdistrim.data.imaging.guard import UnreadableError, excluding
from cdistrim.data.imaging.region_names import choose_name
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan

__all__ = ["read_structure"]

MAX_POINTS = 1_000_000
"""Of a region's contours, in all."""
MAX_MM = 1e5
"""Nothing in a patient is so far from the origin."""

_CLOSED = ("", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@excluding(Exclusion.BROKEN_REGION)
def read_structure(file: Path, scan: Scan, name: str) -> Mask:
    """The voxels of a scan that a structure encloses.

    Points and open contours are passed over, and so is what lies beside the scan in its plane.
    :func:`~cdistrim.data.imaging.contour_filling.fill` says which slice a contour belongs to, how
    holes are told and which gaps are filled.

    Args:
        file: The RTSTRUCT.
        scan: The series that it was drawn on, or another one in the same coordinates.
        name: ROIName, e.g. "GTV-1". Case, blanks, hyphens and underscores do not matter, unless one
            is exactly the wanted one.

    Raises:
        CaseExcluded: ``NO_REGION``, ``SEVERAL_REGIONS``; ``OTHER_FRAME`` if it says that its
            coordinates are others than the scan's; ``BROKEN_REGION`` if it can't be read, a
            coordinate is missing or not finite, or a contour is not parallel to the slices;
            ``EMPTY_REGION`` if it encloses no voxel's centre; ``MISSING_SLICES`` if it goes on
            where the scan has no slices.
    """
    dataset = parse(file)
    if text(dataset, "SOPClassUID") != RT_STRUCTURE_SET:
        raise UnreadableError("no RTSTRUCT")
    outlines = _required(dataset, "ROIContourSequence")
    drawn = {integer(one, "ReferencedROINumber"): items(one, "ContourSequence") for one in outlines}
    structures = _required(dataset, "StructureSetROISequence")
    structure = _structure(structures, drawn, name)
    number = integer(structure, "ROINumber")
    _require_single(structures, "ROINumber", number)
    _require_single(outlines, "ReferencedROINumber", number)
    frame = _frame(dataset, structure)
    if frame and scan.frame and frame != scan.frame:
        raise CaseExcluded(Exclusion.OTHER_FRAME)
    contours = _closed_contours(drawn.get(number, ()))
    if not contours:
        raise CaseExcluded(Exclusion.EMPTY_REGION, "no closed contours")
    inverse = np.linalg.inv(scan.affine)
    placed = [one @ inverse[:3, :3].T + inverse[:3, 3] for one in contours]
    x, y, z = scan.values.shape
    mask = fill(placed, (x, y, z))
    if not mask.any():
        raise CaseExcluded(Exclusion.EMPTY_REGION, f"{len(contours)} contours")
    if beyond := sum(not 0 <= slice_of(float(one[:, 2].mean())) < z for one in placed):
        # The scan's first or last slices are not there: the region would be cut off unseen.
        told = f"{beyond} of {len(contours)} contours lie beyond the scan"
        raise CaseExcluded(Exclusion.MISSING_SLICES, told)
    return mask


def _required(dataset: Dataset, keyword: str) -> list[Dataset]:
    # pydicom leaves out a sequence of undefined length whose end is missing.
    if keyword not in dataset:
        raise UnreadableError(f"no {keyword}")
    return items(dataset, keyword)


def _require_single(several: Sequence[Dataset], keyword: str, number: int) -> None:
    """Two structures of one number, or two sets of contours, could each be the wanted one."""
    if (count := sum(integer(one, keyword) == number for one in several)) > 1:
        raise UnreadableError(f"{count} times the same {keyword}")


def _structure(
    structures: Sequence[Dataset], drawn: dict[int, list[Dataset]], name: str
) -> Dataset:
    """The named one; those without contours only if there is no other."""
    with_contours = [one for one in structures if drawn.get(integer(one, "ROINumber"))]
    try:
        chosen = choose_name([text(one, "ROIName") for one in with_contours], name)
        return with_contours[chosen]
    except CaseExcluded as error:
        if error.reason is not Exclusion.NO_REGION:
            raise
    return structures[choose_name([text(one, "ROIName") for one in structures], name)]


def _frame(dataset: Dataset, structure: Dataset) -> str:
    own = text(structure, "ReferencedFrameOfReferenceUID")
    if own:
        return own
    frames = {
        text(one, "FrameOfReferenceUID")
        for one in items(dataset, "ReferencedFrameOfReferenceSequence")
    }
    return frames.pop() if len(frames) == 1 else ""


def _closed_contours(contours: Sequence[Dataset]) -> list[NDArray[np.float64]]:
    """Each of shape (m, 3), mm; those that enclose something."""
    found: list[NDArray[np.float64]] = []
    points = 0
    for contour in contours:
        if text(contour, "ContourGeometricType").upper() not in _CLOSED:
            continue
        corners = _corners(contour)
        points += len(corners)
        if points > MAX_POINTS:
            raise UnreadableError(f"more than {MAX_POINTS} points")
        if len(corners) >= 3:
            found.append(corners)
    return found


def _corners(contour: Dataset) -> NDArray[np.float64]:
    values = _decimals(contour)
    if len(values) % 3:
        raise UnreadableError(f"a contour of {len(values)} coordinates")
    if not all(math.isfinite(value) and abs(value) < MAX_MM for value in values):
        raise UnreadableError("a coordinate is not finite, or beyond all bounds")
    return np.array(values, dtype=np.float64).reshape(-1, 3)


def _decimals(contour: Dataset) -> list[float]:
    """ContourData. Its bytes are read directly: there are tens of thousands of numbers."""
    if "ContourData" not in contour:
        return []
    element = contour.get_item("ContourData")
    if not isinstance(element, RawDataElement):
        several = contour.ContourData
        return [float(value) for value in several] if several else []
    content = element.value or b""
    if len(content) != element.length:
        raise UnreadableError("a contour ends too early")
    stripped = content.strip(b" \0")
    return [float(value) for value in stripped.split(b"\\")] if stripped else []
