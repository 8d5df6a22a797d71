from __future__ import annotations

from pathlib import Path

import pytest

from cdistrim.data.imaging import CtSeries, PatientFiles, RegionFile, RegionKind
from cdistrim.data.scan import CaseExcluded, Exclusion

FIRST = CtSeries((Path("1"),), "series-1", "frame-1")
SECOND = CtSeries((Path("2"),), "series-2", "frame-2")
BESIDE = CtSeries((Path("3"),), "series-3", "frame-1")


def region(
    *series: str,
    frame: str = "frame-1",
    name: str = "GTV-1",
    kind: RegionKind = RegionKind.STRUCTURES,
) -> RegionFile:
    file = Path(f"{kind}-{series}-{frame}-{name}")
    return RegionFile(
        file, kind, ("Heart", name), frozenset(series), frozenset([frame] if frame else [])
    )


def refused(*scans: CtSeries, regions: list[RegionFile]) -> Exclusion:
    with pytest.raises(CaseExcluded) as caught:
        PatientFiles(scans, tuple(regions)).choose("GTV-1")
    return caught.value.reason


def chosen(*scans: CtSeries, regions: list[RegionFile]) -> tuple[CtSeries, RegionFile]:
    return PatientFiles(scans, tuple(regions)).choose("GTV-1")


def test_a_region_belongs_to_the_series_that_it_refers_to() -> None:
    one = region("series-3")
    assert chosen(FIRST, SECOND, BESIDE, regions=[one]) == (BESIDE, one)


def test_without_that_series_it_belongs_to_the_only_one_in_its_coordinates() -> None:
    one = region("gone")
    assert chosen(FIRST, SECOND, regions=[one]) == (FIRST, one)
    assert refused(FIRST, BESIDE, regions=[one]) is Exclusion.SEVERAL_SCANS


def test_a_region_that_says_nothing_belongs_to_the_only_scan() -> None:
    one = region(frame="")
    assert chosen(SECOND, regions=[one]) == (SECOND, one)
    assert refused(FIRST, SECOND, regions=[one]) is Exclusion.SEVERAL_SCANS


def test_a_region_that_refers_to_two_of_the_scans_is_ambiguous() -> None:
    assert (
        refused(FIRST, SECOND, regions=[region("series-1", "series-2")]) is Exclusion.SEVERAL_SCANS
    )


def test_a_region_in_other_coordinates_belongs_to_no_scan() -> None:
    assert refused(FIRST, regions=[region("gone", frame="frame-9")]) is Exclusion.OTHER_FRAME


def test_an_rtstruct_goes_before_a_seg_unless_its_scan_is_missing() -> None:
    drawn, made = region("series-1"), region("series-1", kind=RegionKind.SEGMENTATION)
    assert chosen(FIRST, regions=[made, drawn]) == (FIRST, drawn)
    stray = region("gone", frame="frame-9")
    assert chosen(FIRST, regions=[stray, made]) == (FIRST, made)


def test_two_files_with_the_region_are_ambiguous_unless_one_belongs_to_no_scan() -> None:
    one, other = region("series-1"), region("series-2", frame="frame-2")
    assert refused(FIRST, SECOND, regions=[one, other]) is Exclusion.SEVERAL_REGIONS
    assert chosen(FIRST, regions=[one, other]) == (FIRST, one)


def test_files_with_other_regions_do_not_count() -> None:
    one = region("series-1", name="gtv_1")
    assert chosen(FIRST, regions=[region("series-1", name="Lung"), one]) == (FIRST, one)
    assert refused(FIRST, regions=[region("series-1", name="GTV-2")]) is Exclusion.NO_REGION
    assert refused(FIRST, regions=[]) is Exclusion.NO_REGION


def test_without_a_scan_there_is_nothing_to_choose() -> None:
    assert refused(regions=[region("series-1")]) is Exclusion.NO_SCAN
