"""NSCLC-Radiomics as published: CT series, the region "GTV-1", and who lived for two years.

Aerts et al. 2014; data: doi 10.7937/K9/TCIA.2015.PF0M9REI. The label is the paper's (section on
data): alive two years after the start of treatment. A patient whose follow-up ended before, alive,
has no label and is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.dicom import DicomRecipe, recipes_in
from cdistrim.data.sources.interface import (
    LeftOut,
    Listing,
    PendingCase,
    Plan,
    Shape,
    image_plan,
    key_of,
)
from cdistrim.data.sources.settings import NsclcRadiomicsSettings
from cdistrim.data.sources.table import Row, number, read_table
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = ["SURVIVAL_DAYS", "NsclcRadiomicsSource", "survival_label"]

SURVIVAL_DAYS = 730
"""Two years: who lived for so long is of class 1."""

PATIENT, TIME, EVENT = "PatientID", "Survival.time", "deadstatus.event"
"""Columns of the clinical table as published; found without regard to case and punctuation."""


@dataclass(frozen=True)
class NsclcRadiomicsSource:
    """A directory of DICOM files and the clinical table.

    Args:
        settings: Where they are, and the region's name.
        directory: What relative paths are relative to.
    """

    settings: NsclcRadiomicsSettings
    directory: Path
    kind: str = "nsclc-radiomics"
    classes: int = 2
    features: tuple[FeatureSpec, ...] = ()

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """As :class:`~cdistrim.data.sources.interface.CaseSource`."""
        return image_plan(shape, preprocessing)

    def list_cases(self) -> Listing:
        """All patients who are in the table or have files.

        Raises:
            DataError: The table or the directory can't be read, or the table lacks a column.
        """
        clinical = read_table(
            self.directory / self.settings.clinical,
            [PATIENT, TIME, EVENT],
            encoding=self.settings.encoding,
        )
        found = recipes_in(self.directory / self.settings.scans, self.settings.structure)
        scans: dict[str, tuple[str, DicomRecipe | CaseExcluded]] = {}
        for patient, recipe in found.recipes.items():
            if key_of(patient) in scans:
                recipe = CaseExcluded(Exclusion.SEVERAL_CASES, "in scans, written in several ways")
            scans[key_of(patient)] = (patient, recipe)
        rows: dict[str, list[Row]] = {}
        for row in clinical:
            rows.setdefault(key_of(row.patient(PATIENT)), []).append(row)
        entries = [_entry(rows[key], scans.get(key, ("", None))[1]) for key in rows]
        entries += [
            LeftOut(patient, CaseExcluded(Exclusion.NO_LABEL_ROW))
            for key, (patient, _) in scans.items()
            if key not in rows
        ]
        return Listing.of(entries, found.notes)


def _entry(rows: list[Row], scan: DicomRecipe | CaseExcluded | None) -> PendingCase | LeftOut:
    patient = rows[0].patient(PATIENT)
    try:
        label = _agreed_label(rows)
        if scan is None:
            raise CaseExcluded(Exclusion.NO_SCAN)
        if isinstance(scan, CaseExcluded):
            raise scan
    except CaseExcluded as excluded:
        return LeftOut(patient, excluded)
    return PendingCase(patient, label, scan)


def _agreed_label(rows: list[Row]) -> int:
    """The label of all rows of one patient."""
    labels = set()
    for row in rows:
        row.require_whole(PATIENT)
        labels.add(survival_label(row.cells[TIME], row.cells[EVENT]))
    if len(labels) > 1:
        raise CaseExcluded(Exclusion.SEVERAL_LABEL_ROWS, f"{len(rows)} rows")
    return labels.pop()


def survival_label(time: str, event: str) -> int:
    """1 for a patient who lived two years after the start of treatment, else 0.

    Args:
        time: Days until death, or until the end of the follow-up.
        event: 1 if the patient died then, 0 if not. Of no account from two years on.

    Raises:
        CaseExcluded: The follow-up ended before, or the cells can't be read.
    """
    days = number(time, Exclusion.BROKEN_LABEL)
    if days < 0:
        raise CaseExcluded(Exclusion.BROKEN_LABEL, f"{days:g} days")
    if days >= SURVIVAL_DAYS:
        return 1
    died = number(event, Exclusion.BROKEN_LABEL)
    if died not in (0, 1):
        raise CaseExcluded(Exclusion.BROKEN_LABEL, "deadstatus.event is neither 0 nor 1")
    if not died:
        raise CaseExcluded(Exclusion.CENSORED, f"{days:g} days")
    return 0
