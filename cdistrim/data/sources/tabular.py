"""Rows of a table: one patient a row, features as volumes of shape (features, 1, 1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import (
    Crop,
    LeftOut,
    Listing,
    PendingCase,
    Plan,
    Shape,
    key_of,
    row_plan,
)
from cdistrim.data.sources.settings import TabularSettings
from cdistrim.data.sources.table import Row, number, read_table
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = ["RowRecipe", "TabularSource", "class_of"]


@dataclass(frozen=True)
class RowRecipe:
    """A row's features, scaled.

    Args:
        values: In the model's order, as they are given to it.
    """

    values: tuple[float, ...] = field(repr=False)

    @property
    def scan_digest(self) -> bytes:
        """Empty: patients may have the same values."""
        return b""

    def digest(self) -> bytes:
        """SHA-256 of the scaled values, 32 bytes."""
        return hashlib.sha256(np.array(self.values, dtype="<f8").tobytes()).digest()

    def build(self, plan: Plan) -> Crop:
        """The row, of shape (features, 1, 1).

        Raises:
            CaseExcluded: A value does not fit into half precision.
        """
        with np.errstate(over="ignore"):
            row = np.array(self.values).astype(np.float16)
        if not np.isfinite(row).all():
            raise CaseExcluded(Exclusion.MISSING_VALUE, "beyond 65504 after scaling")
        return Crop(row.reshape(plan.shape))


@dataclass(frozen=True)
class TabularSource:
    """Any CSV.

    Args:
        settings: Columns, classes, scales.
        directory: What relative paths are relative to.
    """

    settings: TabularSettings
    directory: Path
    kind: str = "tabular"

    @property
    def classes(self) -> int:
        """How many the labels tell apart."""
        return len(set(self.settings.classes.values()))

    @property
    def features(self) -> tuple[FeatureSpec, ...]:
        """What a row is made of, in the model's order."""
        return self.settings.as_spec()

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """As :class:`~cdistrim.data.sources.interface.CaseSource`."""
        return row_plan(len(self.settings.features), shape, preprocessing)

    def list_cases(self) -> Listing:
        """All patients; equal rows count once.

        Raises:
            DataError: The table can't be read, or lacks a column.
        """
        settings = self.settings
        features = [feature.column for feature in settings.features]
        columns = list(dict.fromkeys([settings.patient, settings.label, *features]))
        rows = read_table(
            self.directory / settings.table,
            columns,
            encoding=settings.encoding,
            delimiter=settings.delimiter,
        )
        distinct = {self._said_by(row): row for row in reversed(rows)}
        return Listing.of(self._entries(sorted(distinct.values(), key=lambda row: row.number)))

    def _said_by(self, row: Row) -> tuple[object, ...]:
        """Equal for rows that say the same of the same patient, however that one is written."""
        patient = self.settings.patient
        others = tuple(cell for column, cell in row.cells.items() if column != patient)
        return key_of(row.patient(patient)), others, row.surplus

    def _entries(self, rows: list[Row]) -> Iterator[PendingCase | LeftOut]:
        settings = self.settings
        for row in rows:
            patient = row.patient(settings.patient)
            try:
                row.require_whole(settings.patient)
                label = class_of(row.cells[settings.label], settings.classes)
                values = tuple(
                    (_value(row, one.column) - one.centre) / one.scale for one in settings.features
                )
                recipe = RowRecipe(values)
                recipe.build(Plan((len(values), 1, 1), None))
            except CaseExcluded as excluded:
                yield LeftOut(patient, excluded)
            else:
                yield PendingCase(patient, label, recipe)


def _value(row: Row, column: str) -> float:
    """The number in a column.

    Raises:
        CaseExcluded: There is none; the column is told, which is in the settings.
    """
    try:
        return number(row.cells[column], Exclusion.MISSING_VALUE)
    except CaseExcluded as excluded:
        told = f"{column!r}: {excluded.detail or 'no number'}"
        raise CaseExcluded(excluded.reason, told) from None


def class_of(cell: str, classes: dict[str, int]) -> int:
    """The class that a cell stands for.

    Raises:
        CaseExcluded: It is empty, or stands for none.
    """
    if cell not in classes:
        raise CaseExcluded(Exclusion.BROKEN_LABEL, "of no class" if cell else "empty")
    return classes[cell]
