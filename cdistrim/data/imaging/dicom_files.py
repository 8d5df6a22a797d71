"""DICOM files (PS3.10) that may be broken: whole ones in memory, and their elements with types.

Nothing is allocated that the file itself does not fill: lengths in it are claims.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from cdistrim.data.imaging.guard import UnreadableError
from cdistrim.files import read_regular

__all__ = [
    "CT_IMAGE",
    "MAX_FILE",
    "MAX_SIDE",
    "MAX_VOXELS",
    "RT_STRUCTURE_SET",
    "SEGMENTATION",
    "integer",
    "items",
    "numbers",
    "parse",
    "plane_axes",
    "refuse_deflated",
    "text",
]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
RT_STRUCTURE_SET = "1.2.840.10008.5.1.4.1.1.481.3"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
"""Classes of objects that are read (PS3.4, B.5)."""

MAX_FILE = 1 << 30
"""Upper bound of a file, bytes."""
MAX_VOXELS = 1 << 29
"""Upper bound of a scan: 512 x 512 x 2048."""

MAX_SIDE = 8192
"""Upper bound of rows and of columns."""

_ORTHOGONAL = 1e-3
_UNDEFINED = 0xFFFFFFFF
_META = 4096


def parse(file: Path) -> FileDataset:
    """A whole DICOM file; one without preamble or meta information is taken, too.

    Raises:
        UnreadableError: It is too large, ends early, or is deflated.
        Exception: Whatever pydicom raises; see :func:`~cdistrim.data.imaging.guard.excluding`.
    """
    content = read_regular(file, MAX_FILE + 1)
    if len(content) > MAX_FILE:
        raise UnreadableError(f"a file of more than {MAX_FILE} bytes")
    refuse_deflated(content)
    dataset = dcmread(io.BytesIO(content), force=True)
    _require_whole(dataset)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = _assumed_syntax(dataset)
    return dataset


def refuse_deflated(content: bytes) -> None:
    """Before pydicom reads on: a deflated file may become a thousand times as large.

    Raises:
        UnreadableError: It is one.
    """
    if DeflatedExplicitVRLittleEndian.encode() in content[:_META]:
        raise UnreadableError("a deflated file")


def text(dataset: Dataset, keyword: str) -> str:
    """An element as text without outer blanks; empty if it is not there."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip(" \0")


def integer(dataset: Dataset, keyword: str, *, least: int = 0, most: int = MAX_VOXELS) -> int:
    """An element that is one whole number.

    Raises:
        UnreadableError: It is not there, or beyond the bounds.
    """
    value = dataset.get(keyword)
    if not isinstance(value, int):
        raise UnreadableError(f"no {keyword}")
    if not least <= value <= most:
        raise UnreadableError(f"{keyword} is not within {least} and {most}")
    return int(value)


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    """An element of ``count`` finite decimal numbers.

    Raises:
        UnreadableError: There are more, fewer, or ones that are not finite.
    """
    value = dataset.get(keyword)
    if value is None:
        raise UnreadableError(f"no {keyword}")
    several = [value] if isinstance(value, (int, float, str)) else list(value)
    if len(several) != count:
        raise UnreadableError(f"{keyword} has {len(several)} numbers instead of {count}")
    found = tuple(float(one) for one in several)
    if not all(math.isfinite(one) for one in found):
        raise UnreadableError(f"{keyword} is not finite")
    return found


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; none if it is not there."""
    return list(dataset.get(keyword) or ())


def plane_axes(orientation: Sequence[float], spacing: Sequence[float]) -> NDArray[np.float64]:
    """Shape (3, 2): steps to the next column and to the next row, mm.

    Args:
        orientation: ImageOrientationPatient, six direction cosines.
        spacing: PixelSpacing: distance of rows, distance of columns, mm.

    Raises:
        UnreadableError: The directions are not orthogonal unit vectors, or a distance is not
            positive.
    """
    directions = np.array(orientation, dtype=np.float64).reshape(2, 3)
    if np.abs(directions @ directions.T - np.eye(2)).max() > _ORTHOGONAL:
        raise UnreadableError("ImageOrientationPatient is no pair of orthogonal unit vectors")
    rows, columns = spacing
    if not (0 < rows < 1000 and 0 < columns < 1000):
        raise UnreadableError("PixelSpacing is 0 or beyond all bounds")
    axes: NDArray[np.float64] = directions.T * np.array([columns, rows])
    return axes


def _require_whole(dataset: Dataset) -> None:
    """See that no value ends before its length; pydicom takes what there is."""
    for element in dataset.values():
        if not isinstance(element, RawDataElement) or element.length == _UNDEFINED:
            continue
        # Not told by how much: in a damaged file that number may be four letters of a name.
        if len(element.value or b"") < element.length:
            raise UnreadableError("it ends too early")


def _assumed_syntax(dataset: FileDataset) -> UID:
    implicit, little_endian = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little_endian else ExplicitVRBigEndian
