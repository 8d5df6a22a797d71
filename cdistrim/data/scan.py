"""A scan and a region in it, in the patient's coordinates; and why a case can't be used.

Axes of arrays are (x, y, z), as everywhere in :mod:`cdistrim.data`. Coordinates are those of DICOM
(PS3.3, C.7.6.2.1.1): millimetres, x to the patient's left, y to the back, z to the head (LPS).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

__all__ = ["CaseExcluded", "Exclusion", "Mask", "Scan"]

Mask = NDArray[np.bool_]
"""Shape of the scan that it belongs to, True inside the region."""


@dataclass(frozen=True, eq=False)
class Scan:
    """A volume with its place in the patient.

    Args:
        values: Shape (x, y, z), float32; Hounsfield units where the scan is a CT.
        affine: Shape (4, 4), float64: maps the index (i, j, k, 1) of a voxel's centre to its
            coordinates in mm. Its columns may be oblique, of different length, and of any sign.
        frame: Which coordinate system that is (DICOM's Frame of Reference UID); empty if the file
            does not say.
    """

    values: NDArray[np.float32]
    affine: NDArray[np.float64]
    frame: str = ""

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along the three axes of the array, mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(x), float(y), float(z)


class Exclusion(Enum):
    """Why a case is left out; the words are shown and counted, and name nobody."""

    NO_SCAN = "no scan"
    SEVERAL_SCANS = "several scans, and nothing says which one the region belongs to"
    BROKEN_SCAN = "the scan can't be read"
    MISSING_SLICES = "slices of the scan are missing"
    UNEVEN_SLICES = "slices of the scan are not evenly spaced, or not parallel"
    CONTRADICTORY_SCAN = "files of the scan contradict each other"
    FLAT_SCAN = "the scan has about one value all over the crop: empty, in other units, or no scan"
    NO_REGION = "no region of the wanted name"
    SEVERAL_REGIONS = "several regions of the wanted name"
    BROKEN_REGION = "the region can't be read"
    EMPTY_REGION = "the region is empty, or lies outside of the scan"
    OTHER_FRAME = "scan and region are in different coordinate systems"
    NO_PATIENT = "no patient is named"
    SEVERAL_CASES = "several cases of one patient, who counts once"
    SAME_SCAN = "the same files stand for several patients"
    BROKEN_ROW = "the row of the table does not fit its columns"
    NO_LABEL_ROW = "not in the table of labels"
    SEVERAL_LABEL_ROWS = "several rows in the table of labels, which contradict each other"
    BROKEN_LABEL = "the label, or what it follows from, can't be read"
    CENSORED = "followed up too short to know the label"
    UNDECIDED = "the readers do not agree on a label"
    MISSING_VALUE = "a value is missing, no number or too large"


class CaseExcluded(Exception):
    """One case can't be used. The others can.

    Args:
        reason: One of the fixed ones.
        detail: Numbers that help to repair it (how many slices, which distance in mm). Never an
            identifier, a date, a path or a text out of a file: those may name a patient.
    """

    def __init__(self, reason: Exclusion, detail: str = "") -> None:
        super().__init__(f"{reason.value} ({detail})" if detail else reason.value)
        self.reason = reason
        self.detail = detail
