"""NIfTI images and masks, named by a table with one row a patient."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cdistrim.data.imaging import crop, crop_mask, read_image, read_mask
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.contents import digest_of_files
from cdistrim.data.sources.interface import (
    Crop,
    LeftOut,
    Listing,
    PendingCase,
    Plan,
    Shape,
    image_plan,
)
from cdistrim.data.sources.settings import NiftiSettings
from cdistrim.data.sources.table import Row, read_table
from cdistrim.data.sources.tabular import class_of
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = ["ImageRecipe", "NiftiSource"]


@dataclass(frozen=True)
class ImageRecipe:
    """An image and a mask.

    Args:
        image: The image's file.
        mask: The mask's file.
        region: Value of the region's voxels in it; None for all that are not 0.
    """

    image: Path = field(repr=False)
    mask: Path = field(repr=False)
    region: int | None

    @cached_property
    def scan_digest(self) -> bytes:
        """As :class:`~cdistrim.data.sources.interface.Recipe`."""
        return digest_of_files([self.image], Exclusion.BROKEN_SCAN)

    def digest(self) -> bytes:
        """SHA-256 of both files and the region's value, 32 bytes."""
        hasher = hashlib.sha256(f"nifti/v1\0{self.region}\0".encode())
        hasher.update(self.scan_digest)
        hasher.update(digest_of_files([self.mask], Exclusion.BROKEN_REGION))
        return hasher.digest()

    def build(self, plan: Plan) -> Crop:
        """As :class:`~cdistrim.data.sources.interface.Recipe`."""
        preprocessing = plan.preprocessing or PreprocessingSpec()
        scan = read_image(self.image)
        mask = read_mask(self.mask, scan, self.region)
        volume = crop(scan, mask, preprocessing, plan.shape)
        return Crop(volume, crop_mask(scan, mask, preprocessing, plan.shape))


@dataclass(frozen=True)
class NiftiSource:
    """Images and masks that a table names.

    Args:
        settings: Table, columns, classes.
        directory: What relative paths are relative to.
    """

    settings: NiftiSettings
    directory: Path
    kind: str = "nifti"
    features: tuple[FeatureSpec, ...] = ()

    @property
    def classes(self) -> int:
        """How many the labels tell apart."""
        return len(set(self.settings.classes.values()))

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """As :class:`~cdistrim.data.sources.interface.CaseSource`."""
        return image_plan(shape, preprocessing)

    def list_cases(self) -> Listing:
        """All patients; equal rows count once.

        Raises:
            DataError: The table can't be read, or lacks a column.
        """
        names = self.settings.columns
        columns = [names.patient, names.image, names.mask, names.label]
        table = self.directory / self.settings.table
        rows = read_table(table, columns, encoding=self.settings.encoding)
        distinct = {(tuple(row.cells.values()), row.surplus): row for row in reversed(rows)}
        in_order = sorted(distinct.values(), key=lambda row: row.number)
        return Listing.of(self._entries(in_order, table.parent))

    def _entries(self, rows: list[Row], beside: Path) -> Iterator[PendingCase | LeftOut]:
        names = self.settings.columns
        for row in rows:
            patient = row.patient(names.patient)
            try:
                row.require_whole(names.patient)
                label = class_of(row.cells[names.label], self.settings.classes)
                recipe = ImageRecipe(
                    _file(beside, row.cells[names.image], Exclusion.NO_SCAN),
                    _file(beside, row.cells[names.mask], Exclusion.NO_REGION),
                    self.settings.region,
                )
            except CaseExcluded as excluded:
                yield LeftOut(patient, excluded)
            else:
                yield PendingCase(patient, label, recipe)


def _file(beside: Path, cell: str, missing: Exclusion) -> Path:
    path = beside / cell
    try:
        found = bool(cell) and path.is_file()
    except (OSError, ValueError):  # Too long for a name, or a NUL in it.
        found = False
    if not found:
        raise CaseExcluded(missing, "no file" if cell else "empty")
    return path
