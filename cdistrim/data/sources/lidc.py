"""Nodules of LIDC-IDRI as cases of a site; what they are worth: :mod:`cdistrim.data.lidc`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cdistrim.data.lidc import (
    FIELD_OF_VIEW_MM,
    Nodule,
    choose_nodules,
    find_database,
    soft_volume,
)
from cdistrim.data.scan import CaseExcluded
from cdistrim.data.sources.interface import (
    Crop,
    LeftOut,
    Listing,
    PendingCase,
    Plan,
    Shape,
    image_plan,
)
from cdistrim.data.sources.parts import in_part
from cdistrim.data.sources.settings import LidcSettings
from cdistrim.errors import ConfigurationError
from cdistrim.spec import FeatureSpec, PreprocessingSpec

__all__ = ["LIDC_PREPROCESSING", "LidcSource", "NoduleRecipe"]

LIDC_PREPROCESSING = PreprocessingSpec(crop="fixed", field_of_view_mm=FIELD_OF_VIEW_MM)
"""Where nobody agreed on another one. There are no intensities, so its window means nothing."""


@dataclass(frozen=True, eq=False)
class NoduleRecipe:
    """One patient's nodule, as its readers outlined it."""

    nodule: Nodule = field(repr=False)

    @property
    def scan_digest(self) -> bytes:
        """Of the contours, which stand for the scan."""
        return self.digest()

    def digest(self) -> bytes:
        """SHA-256 of the contours, 32 bytes."""
        return hashlib.sha256(b"lidc-nodule/v1\0" + self.nodule.digest()).digest()

    def build(self, plan: Plan) -> Crop:
        """The readers' average; the region is what half of them outlined, or the most of them."""
        agreed = plan.preprocessing or LIDC_PREPROCESSING
        soft = soft_volume(self.nodule, plan.shape, agreed.field_of_view_mm)
        # A nodule on whose place readers do not agree is nowhere half of theirs.
        inside = soft >= min(0.5, float(soft.max()) / 2)
        return Crop(soft.astype(np.float16), inside & (soft > 0))


@dataclass(frozen=True)
class LidcSource:
    """All patients of the collection, or one of several disjoint parts of them.

    Args:
        settings: Which database, which part.
        directory: What relative paths are relative to.
    """

    settings: LidcSettings
    directory: Path
    kind: str = "lidc"
    classes: int = 2
    features: tuple[FeatureSpec, ...] = ()

    def plan(self, shape: Shape | None, preprocessing: PreprocessingSpec | None) -> Plan:
        """As :class:`~cdistrim.data.sources.interface.CaseSource`.

        Raises:
            ConfigurationError: There is no shape, or another crop than a fixed field of view is
                asked for.
        """
        if preprocessing is not None and preprocessing.crop != "fixed":
            raise ConfigurationError(
                f"LIDC-IDRI's nodules can't be cropped by {preprocessing.crop!r}: resized boxes "
                "would hide their size.",
                hint='Set preprocessing.crop to "fixed", in the spec or in site.json.',
            )
        return image_plan(shape, preprocessing or LIDC_PREPROCESSING)

    def list_cases(self) -> Listing:
        """One nodule a patient.

        Raises:
            DataError: The annotations are not installed, or the file has not its tables.
        """
        named = self.settings.database
        database = find_database() if named is None else self.directory / named
        entries: list[PendingCase | LeftOut] = []
        part = self.settings.part
        for patient, nodule in choose_nodules(database, lambda one: in_part(one, part)).items():
            if isinstance(nodule, CaseExcluded):
                entries.append(LeftOut(patient, nodule))
            else:
                entries.append(PendingCase(patient, nodule.label or 0, NoduleRecipe(nodule)))
        return Listing.of(entries)
