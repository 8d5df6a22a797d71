"""DICOM files of many patients: which scan and which region are whose, and how a case is made."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cdistrim.data.imaging import (
    CtSeries,
    RegionFile,
    RegionKind,
    crop,
    crop_mask,
    find_patient_files,
    read_segmentation,
    read_series,
    read_structure,
)
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.contents import digest_of_files
from cdistrim.data.sources.interface import Crop, Plan
from cdistrim.report.wording import plural
from cdistrim.spec import PreprocessingSpec

__all__ = ["DicomFiles", "DicomRecipe", "recipes_in"]


@dataclass(frozen=True)
class DicomRecipe:
    """A CT series and a region that was drawn on it.

    Args:
        scan: The series.
        region: The file with the region.
        structure: The region's name.
    """

    scan: CtSeries = field(repr=False)
    region: RegionFile = field(repr=False)
    structure: str

    @cached_property
    def scan_digest(self) -> bytes:
        """As :class:`~cdistrim.data.sources.interface.Recipe`."""
        return digest_of_files(self.scan.files, Exclusion.BROKEN_SCAN)

    def digest(self) -> bytes:
        """SHA-256 of all files and the region's name, 32 bytes."""
        hasher = hashlib.sha256(f"dicom/v1\0{self.structure}\0{self.region.kind.name}\0".encode())
        hasher.update(self.scan_digest)
        hasher.update(digest_of_files([self.region.file], Exclusion.BROKEN_REGION))
        return hasher.digest()

    def build(self, plan: Plan) -> Crop:
        """As :class:`~cdistrim.data.sources.interface.Recipe`."""
        preprocessing = plan.preprocessing or PreprocessingSpec()
        scan = read_series(self.scan.files)
        structures = self.region.kind is RegionKind.STRUCTURES
        read = read_structure if structures else read_segmentation
        mask = read(self.region.file, scan, self.structure)
        volume = crop(scan, mask, preprocessing, plan.shape)
        return Crop(volume, crop_mask(scan, mask, preprocessing, plan.shape))


@dataclass(frozen=True)
class DicomFiles:
    """What a directory has.

    Args:
        recipes: By PatientID, or why there is none.
        notes: Of files that are nobody's, a sentence each.
    """

    recipes: dict[str, DicomRecipe | CaseExcluded] = field(repr=False)
    notes: tuple[str, ...]


def recipes_in(root: Path, structure: str) -> DicomFiles:
    """A recipe for each patient who has files below a directory.

    Args:
        root: The directory.
        structure: The region's name.

    Raises:
        DataError: The directory can't be read.
    """
    recipes: dict[str, DicomRecipe | CaseExcluded] = {}
    found = find_patient_files(root)
    for patient, files in found.patients.items():
        try:
            recipes[patient] = DicomRecipe(*files.choose(structure), structure)
        except CaseExcluded as excluded:
            recipes[patient] = excluded
    notes = []
    if found.unreadable:
        notes.append(f"{plural(found.unreadable, 'file')} among the scans can't be read.")
    if found.nameless:
        notes.append(f"{plural(found.nameless, 'file')} among the scans name no patient.")
    return DicomFiles(recipes, tuple(notes))
