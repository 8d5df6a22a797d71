"""What one patient has of DICOM files, and which scan a region belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cdistrim.data.imaging.region_names import is_named
from cdistrim.data.scan import CaseExcluded, Exclusion

__all__ = ["CtSeries", "PatientFiles", "RegionFile", "RegionKind"]


class RegionKind(Enum):
    """How a region is written down; in the order of preference."""

    STRUCTURES = "RTSTRUCT"
    SEGMENTATION = "SEG"


@dataclass(frozen=True)
class CtSeries:
    """A series of CT images, without localizers.

    Args:
        files: Its slices, in no order that means anything.
        uid: SeriesInstanceUID.
        frame: FrameOfReferenceUID; empty if the files do not say.
        shared: Other slices of it name another patient, or none.
    """

    files: tuple[Path, ...] = field(repr=False)
    uid: str = field(repr=False)
    frame: str = field(repr=False)
    shared: bool = False


@dataclass(frozen=True)
class RegionFile:
    """A file with regions.

    Args:
        file: Where it is.
        kind: Which reader takes it.
        names: Of the regions in it.
        series: SeriesInstanceUIDs that it says it was drawn on.
        frames: Coordinate systems that it says it is in.
    """

    file: Path = field(repr=False)
    kind: RegionKind
    names: tuple[str, ...] = field(repr=False)
    series: frozenset[str] = field(repr=False)
    frames: frozenset[str] = field(repr=False)


@dataclass(frozen=True)
class PatientFiles:
    """All files of a patient that can be of use.

    Args:
        scans: CT series.
        regions: Files with regions.
    """

    scans: tuple[CtSeries, ...]
    regions: tuple[RegionFile, ...]

    def choose(self, name: str) -> tuple[CtSeries, RegionFile]:
        """The region of a name, and the scan that it belongs to.

        That is the series which the region's file refers to; if that is not there, the only series
        in the same coordinate system. An RTSTRUCT goes before a SEG, as collections publish SEGs
        that were made of RTSTRUCTs. A region whose scan is not there leaves others alone.

        Args:
            name: As :func:`~cdistrim.data.imaging.read_structure` takes it.

        Raises:
            CaseExcluded: ``NO_SCAN``, ``NO_REGION``, ``SEVERAL_SCANS``, ``OTHER_FRAME`` if the
                region belongs to none of the scans, ``SEVERAL_REGIONS`` if several files have one,
                ``CONTRADICTORY_SCAN`` if the scan's slices name several patients.
        """
        if not self.scans:
            raise CaseExcluded(Exclusion.NO_SCAN)
        named = [one for one in self.regions if any(is_named(other, name) for other in one.names)]
        if not named:
            raise CaseExcluded(Exclusion.NO_REGION, f"none in {len(self.regions)} files")
        failures: list[CaseExcluded] = []
        for kind in RegionKind:
            pairs = []
            for region in named:
                if region.kind is not kind:
                    continue
                try:
                    pairs.append((self._scan_of(region), region))
                except CaseExcluded as error:
                    failures.append(error)
            if len(pairs) > 1:
                raise CaseExcluded(Exclusion.SEVERAL_REGIONS, f"in {len(pairs)} files")
            if pairs:
                return pairs[0]
        raise CaseExcluded(failures[0].reason, failures[0].detail)

    def _scan_of(self, region: RegionFile) -> CtSeries:
        referred = [scan for scan in self.scans if scan.uid in region.series]
        if referred:
            return _only(referred)
        alike = [scan for scan in self.scans if scan.frame and scan.frame in region.frames]
        if alike:
            return _only(alike)
        if region.series or region.frames:
            raise CaseExcluded(Exclusion.OTHER_FRAME, f"{len(self.scans)} scans are in others")
        return _only(self.scans)


def _only(scans: Sequence[CtSeries]) -> CtSeries:
    if len(scans) > 1:
        raise CaseExcluded(Exclusion.SEVERAL_SCANS, f"{len(scans)} of them")
    if scans[0].shared:
        raise CaseExcluded(Exclusion.CONTRADICTORY_SCAN, "not all of one patient")
    return scans[0]
