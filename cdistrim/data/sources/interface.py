"""What every source of cases offers: a list of patients with labels, and a recipe for each volume.

A source reads tables and indexes when it lists; scans are read by recipes, which travel to other
processes. What is wrong with one patient is a :class:`~cdistrim.data.scan.CaseExcluded` and leaves
the others alone; what is wrong with a table as a whole is a
:class:`~cdistrim.errors.DataError`. Neither ever names a patient.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.scan import CaseExcluded, Exclusion, Mask
from cdistrim.errors import ConfigurationError
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = [
    "CaseSource",
    "Crop",
    "LeftOut",
    "Listing",
    "PendingCase",
    "Plan",
    "Recipe",
    "Shape",
    "image_plan",
    "key_of",
    "row_plan",
]

Shape = tuple[int, int, int]
"""Voxels (x, y, z) of a case."""


@dataclass(frozen=True, eq=False)
class Crop:
    """One case as a model sees it.

    Args:
        volume: Shape (x, y, z), finite.
        region: The region in the same geometry; None for a row of a table.
    """

    volume: NDArray[np.float16]
    region: Mask | None = None


@dataclass(frozen=True)
class Plan:
    """What all cases of a site are made like.

    Args:
        shape: Voxels of a case.
        preprocessing: None for rows of a table.
    """

    shape: Shape
    preprocessing: PreprocessingSpec | None


class Recipe(Protocol):
    """How one case's volume is made. Picklable; its repr names nobody."""

    @property
    def scan_digest(self) -> bytes:
        """SHA-256 of the scan alone, by which patients who share one are found; empty for rows.

        Raises:
            CaseExcluded: It can't be read.
        """

    def digest(self) -> bytes:
        """SHA-256 over the bytes of all inputs and over what the recipe itself says, 32 bytes.

        Raises:
            CaseExcluded: An input can't be read.
        """

    def build(self, plan: Plan) -> Crop:
        """Make the volume; the same inputs give the same bits.

        Raises:
            CaseExcluded: The case can't be used.
        """


@dataclass(frozen=True, eq=False)
class PendingCase:
    """A patient whose label is known and whose volume is still to be made.

    Args:
        patient: As the source writes it; never leaves the site's own table of cases.
        label: A class, from 0 on.
        recipe: Makes the volume.
    """

    patient: str = field(repr=False)
    label: int
    recipe: Recipe = field(repr=False)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """A patient that can't be used, and why."""

    patient: str = field(repr=False)
    excluded: CaseExcluded


@dataclass(frozen=True, eq=False)
class Listing:
    """All patients of a source, each of them once.

    Args:
        pending: Those who may be usable.
        left_out: Those who are not.
        notes: What else was found, of nobody in particular; sentences that name nobody.
    """

    pending: tuple[PendingCase, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pending) + len(self.left_out)

    @classmethod
    def of(cls, entries: Iterable[PendingCase | LeftOut], notes: Iterable[str] = ()) -> Listing:
        """Patients in the order of their names; one with several entries is left out.

        A patient counts once: two cases of one patient are not independent, and could come to lie
        on both sides of the split.
        """
        patients: dict[str, list[PendingCase | LeftOut]] = {}
        for entry in entries:
            patients.setdefault(key_of(entry.patient), []).append(entry)
        single = [_single(patients[key]) for key in sorted(patients)]
        return cls(
            tuple(one for one in single if isinstance(one, PendingCase)),
            tuple(one for one in single if isinstance(one, LeftOut)),
            tuple(notes),
        )


class CaseSource(Protocol):
    """Where a hospital's cases come from.

    Attributes:
        kind: As in ``site.json``.
        classes: How many its labels tell apart.
        features: What a row is made of; empty where cases are scans. Those are read in processes
            of their own and kept; rows take no time and no foreign code.
    """

    @property
    def kind(self) -> str: ...

    @property
    def classes(self) -> int: ...

    @property
    def features(self) -> tuple[FeatureSpec, ...]: ...

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """What cases are made like, given what was agreed on or set; None for what was not.

        Raises:
            ConfigurationError: This source makes no such cases, or something is missing.
        """

    def list_cases(self) -> Listing:
        """All patients.

        Raises:
            DataError: A table or a directory can't be read at all.
        """


def key_of(patient: str) -> str:
    """What makes two names the same patient: white space around, case and Unicode form do not tell.

    The same patient on both sides of a split does more harm than two patients taken for one, who
    are left out and counted.
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", patient).strip().casefold())


def image_plan(shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
    """The plan of a source of scans: the paper's preprocessing, where no other is given.

    Raises:
        ConfigurationError: There is no shape.
    """
    if shape is None:
        raise ConfigurationError(
            "Nothing says which shape the site's volumes shall have.",
            hint="Take it from the campaign, --campaign NUMBER or --spec FILE, or set data.shape "
            "in site.json.",
        )
    return Plan(shape, preprocessing or PreprocessingSpec())


def row_plan(features: int, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
    """The plan of a source of rows.

    Raises:
        ConfigurationError: Another number of features is agreed on, or a preprocessing of scans.
    """
    own = (features, 1, 1)
    if shape not in (None, own):
        raise ConfigurationError(
            f"The campaign is for cases of shape {shape}; this site's table gives {own}.",
            hint="Name the agreed features in site.json, data.features.",
        )
    if preprocessing is not None:
        raise ConfigurationError(
            "The campaign's preprocessing is one of scans; this site's cases are rows of a table.",
            hint="Agree on a spec without preprocessing.",
        )
    return Plan(own, None)


def _single(entries: Sequence[PendingCase | LeftOut]) -> PendingCase | LeftOut:
    if len(entries) == 1:
        return entries[0]
    first = entries[0]
    labels = {one.label for one in entries if isinstance(one, PendingCase)}
    if not labels and isinstance(first, LeftOut):
        return first
    reason = Exclusion.SEVERAL_LABEL_ROWS if len(labels) > 1 else Exclusion.SEVERAL_CASES
    return LeftOut(first.patient, CaseExcluded(reason, f"{len(entries)} of them"))
