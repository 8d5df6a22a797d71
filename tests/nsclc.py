"""A small collection like NSCLC-Radiomics, in DICOM: patients with a tumour of a known size."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tests.dicom_objects import (
    affine_of,
    make_ct,
    make_segmentation,
    make_structures,
    save,
    write_ct,
)

__all__ = ["COLUMNS", "Collection"]

COLUMNS = ("PatientID", "age", "Survival.time", "deadstatus.event")
AFFINE = affine_of(spacing=(2.0, 2.0, 3.0), origin=(-32.0, -32.0, 10.0))
SHAPE = (32, 32, 12)


@dataclass
class Collection:
    """A directory of scans, and the clinical table.

    Args:
        directory: Where.
    """

    directory: Path
    rows: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def scans(self) -> Path:
        """Below this the DICOM files lie."""
        return self.directory / "dicom"

    @property
    def table(self) -> Path:
        """The clinical table."""
        return self.directory / "clinical.csv"

    def patient(
        self,
        name: str,
        *,
        days: str = "1000",
        event: str = "0",
        radius: float = 12.0,
        structure: str = "GTV-1",
        segmentation: bool = False,
    ) -> list[Dataset]:
        """Add one; the slices of the CT, should a test want to break them."""
        slices = make_ct(_hounsfield(radius), AFFINE, patient=name)
        write_ct(self.scans / name / "ct", slices)
        save(self._region(slices, name, radius, structure, segmentation), self.region(name))
        self.row(name, days, event)
        return slices

    def region(self, name: str) -> Path:
        """The file with a patient's region."""
        return self.scans / name / "region.dcm"

    def row(self, name: str, days: str, event: str) -> None:
        """Add a row to the clinical table."""
        self.rows.append((name, "60", days, event))
        with self.table.open("w", newline="") as stream:
            csv.writer(stream).writerows([COLUMNS, *self.rows])

    def settings(self, **changes: object) -> dict[str, object]:
        """``data`` of a site with this source."""
        return {
            "source": "nsclc-radiomics",
            "scans": str(self.scans),
            "clinical": str(self.table),
            "shape": [12, 16, 8],
            **changes,
        }

    def _region(
        self, slices: list[Dataset], name: str, radius: float, structure: str, segmentation: bool
    ) -> Dataset:
        if segmentation:
            inside = _distance() <= radius
            frame, series = slices[0].FrameOfReferenceUID, slices[0].SeriesInstanceUID
            return make_segmentation(
                {structure: inside}, AFFINE, frame=frame, series=series, patient=name
            )
        return make_structures({structure: _circles(radius)}, slices, patient=name)


def _centre() -> NDArray[np.float64]:
    corner: NDArray[np.float64] = AFFINE[:3, 3] + AFFINE[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return corner


def _distance() -> NDArray[np.float64]:
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1)
    places = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    distance: NDArray[np.float64] = np.linalg.norm(places - _centre(), axis=-1)
    return distance


def _hounsfield(radius: float) -> NDArray[np.int_]:
    return np.where(_distance() <= radius, 40, -800)


def _circles(radius: float) -> list[NDArray[np.float64]]:
    """The sphere's outline on each slice."""
    circles = []
    x, y, z = _centre()
    for k in range(SHAPE[2]):
        height = AFFINE[2, 3] + 3.0 * k
        if abs(height - z) < radius:
            wide = np.sqrt(radius**2 - (height - z) ** 2)
            angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
            points = [
                (x + wide * np.cos(angle), y + wide * np.sin(angle), height) for angle in angles
            ]
            circles.append(np.array(points))
    return circles
