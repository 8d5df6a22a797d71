"""NSCLC-Radiomics as one set of cases: public data, so one machine may pool them.

A site's own cases go another way (:mod:`cdistrim.data.preparation`), with names under a secret.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np

from cdistrim.data.building import Kitchen, Made, make_cases
from cdistrim.data.case_cache import CaseCache
from cdistrim.data.cases import CaseSet
from cdistrim.data.public_cache import public_cache
from cdistrim.data.sources.nsclc_radiomics import NsclcRadiomicsSource
from cdistrim.data.sources.settings import NsclcRadiomicsSettings
from cdistrim.errors import DataError
from cdistrim.progress import listener
from cdistrim.report.wording import plural
from cdistrim.spec import ModelSpec, PreprocessingSpec

__all__ = ["load_nsclc_radiomics"]


def load_nsclc_radiomics(model: ModelSpec, directory: Path) -> tuple[CaseSet, tuple[str, ...]]:
    """Every usable patient, and who was left out and why, in numbers.

    Args:
        model: Its shape is the volumes'.
        directory: Of the collection as published, with the clinical table as the only CSV in it
            (not counting directories below).

    Raises:
        DataError: There is no directory, no or more than one table, or nothing usable in them.
    """
    settings = NsclcRadiomicsSettings(
        source="nsclc-radiomics", scans=".", clinical=_table_in(directory).name
    )
    source = NsclcRadiomicsSource(settings, directory)
    plan = source.plan(model.shape, PreprocessingSpec())
    listing = source.list_cases()
    cache = CaseCache(public_cache() / source.kind)
    try:
        cache.make()
    except OSError as error:
        raise DataError(
            f"{cache.directory} can't be written to: {error.strerror}.",
            hint="Set XDG_CACHE_HOME to a directory that can.",
        ) from None
    names = {_name(one.patient): one for one in listing.pending}
    made: dict[str, Made] = {}

    def told(case: str, one: Made) -> None:
        made[case] = one
        if len(made) % 20 == 0 or len(made) == len(names):
            listener().note(f"{len(made)} of {plural(len(names), 'scan')} read")

    make_cases(
        {case: one.recipe for case, one in names.items()},
        Kitchen(source.kind, plan, cache),
        workers=len(os.sched_getaffinity(0)),
        told=told,
    )
    usable = {case: one.crop for case, one in sorted(made.items()) if one.crop is not None}
    reasons = Counter(one.excluded.reason.value for one in listing.left_out)
    reasons.update(one.excluded.reason.value for one in made.values() if one.excluded)
    if not usable:
        raise DataError(
            f"Of {plural(len(listing), 'patient')} in {directory} none is usable: "
            f"{_told(reasons) or 'there are none'}.",
            hint="docs/data.md says what the collection has to look like.",
        )
    cases = CaseSet(
        np.stack([crop.volume for crop in usable.values()])[:, None],
        np.array([names[case].label for case in usable], dtype=np.int8),
        tuple(usable),
    )
    note = (
        f"{len(cases)} of {plural(len(listing), 'patient')} are usable; {cases.positives} of them "
        "lived for two years."
    )
    if reasons:
        note += f" Left out: {_told(reasons)}."
    return cases, (note, *listing.notes)


def _table_in(directory: Path) -> Path:
    if not directory.is_dir():
        raise DataError(
            f"There is no directory {directory}.",
            hint="Give the collection's directory with --data.",
        )
    tables = sorted(directory.glob("*.csv"))
    if len(tables) != 1:
        raise DataError(
            f"{directory} has {plural(len(tables), 'CSV file')}; the clinical table is expected, "
            "and no other.",
            hint="Put the collection's clinical table beside its directories of scans.",
        )
    return tables[0]


def _name(patient: str) -> str:
    return hashlib.sha256(b"nsclc-radiomics\0" + patient.encode()).hexdigest()[:16]


def _told(reasons: Counter[str]) -> str:
    return "; ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
