from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from cdistrim.data.imaging import RegionKind, find_patient_files, read_series
from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.errors import DataError
from tests.dicom_objects import (
    affine_of,
    make_ct,
    make_segmentation,
    make_structures,
    save,
    write_ct,
)

AFFINE = affine_of()
VALUES = np.zeros((6, 5, 4), dtype=int)
TRIANGLE = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])
MASK = np.ones(VALUES.shape, dtype=bool)


def write_patient(directory: Path, patient: str) -> None:
    """A series, a localizer in it, an RTSTRUCT, a SEG and a screenshot; names that say nothing."""
    slices = make_ct(VALUES, AFFINE, patient=patient)
    scout = make_ct(VALUES[:, :, :1], AFFINE, patient=patient, series=slices[0].SeriesInstanceUID)[
        0
    ]
    scout.ImageType = ["DERIVED", "SECONDARY", "LOCALIZER"]
    write_ct(directory / "a" / "b" / "c", [*slices, scout])
    save(make_structures({"GTV-1": [TRIANGLE]}, slices, patient=patient), directory / "0001")
    frame, series = slices[0].FrameOfReferenceUID, slices[0].SeriesInstanceUID
    segments = {"Lung": MASK, "GTV-1": MASK}
    seg = make_segmentation(segments, AFFINE, frame=frame, series=series, patient=patient)
    save(seg, directory / "a" / "image.png")
    shot = make_ct(VALUES[:, :, :1], AFFINE, patient=patient)[0]
    shot.SOPClassUID = SecondaryCaptureImageStorage
    save(shot, directory / "shot.dcm")


def test_files_are_grouped_by_what_their_headers_say(tmp_path: Path) -> None:
    write_patient(tmp_path / "x", "one")
    write_patient(tmp_path / "x" / "y", "two")
    seen: list[int] = []
    found = find_patient_files(tmp_path, seen.append)
    assert list(found.patients) == ["one", "two"]
    assert (found.files, found.other, found.foreign) == (16, 4, 0)
    assert (found.unreadable, found.nameless) == (0, 0)
    assert seen == list(range(1, 17))
    for files in found.patients.values():
        (scan,) = files.scans
        assert len(scan.files) == 4
        assert read_series(scan.files).frame == scan.frame
        kinds = {one.kind: one for one in files.regions}
        assert kinds[RegionKind.STRUCTURES].names == ("GTV-1",)
        assert kinds[RegionKind.SEGMENTATION].names == ("Lung", "GTV-1")
        for region in files.regions:
            assert region.series == {scan.uid}
            assert region.frames == {scan.frame}
        assert files.choose("gtv 1") == (scan, kinds[RegionKind.STRUCTURES])


def test_no_description_of_what_was_found_names_a_patient(tmp_path: Path) -> None:
    write_patient(tmp_path / "NEEDLEid", "NEEDLEid")
    found = find_patient_files(tmp_path)
    assert list(found.patients) == ["NEEDLEid"]
    for one in (found, found.patients["NEEDLEid"]):
        assert "NEEDLE" not in repr(one)
        assert "1.2.826" not in repr(one)


def test_files_without_preamble_and_with_long_headers_are_found(tmp_path: Path) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    slices[1].ImageComments = "long " * 1000
    for one in slices:
        one.add_new(0x00091001, "OB", b"\1" * 30000)
    write_ct(tmp_path / "bare", slices[:2], syntax=ImplicitVRLittleEndian, bare=True)
    write_ct(tmp_path, slices[2:])
    found = find_patient_files(tmp_path)
    assert len(found.patients["one"].scans[0].files) == 4


def test_a_long_list_of_structures_is_found_whole(tmp_path: Path) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    contours = {f"structure {number}": [TRIANGLE] for number in range(500)} | {"GTV-1": [TRIANGLE]}
    save(make_structures(contours, slices, patient="one"), tmp_path / "s")
    (region,) = find_patient_files(tmp_path).patients["one"].regions
    assert len(region.names) == 501


def test_other_files_are_counted_and_broken_ones_stop_nothing(tmp_path: Path) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    files = write_ct(tmp_path / "ct", slices)
    (tmp_path / "LICENSE").write_text("CC BY-NC 3.0")
    (tmp_path / "empty").touch()
    (tmp_path / "zeros").write_bytes(bytes(40000))
    whole = files[0].read_bytes()
    (tmp_path / "garbled").write_bytes(whole[:132] + b"\xff" * 500)
    (tmp_path / "cut").write_bytes(whole[:140])
    nameless = make_ct(VALUES[:, :, :1], AFFINE, patient="")
    write_ct(tmp_path / "nameless", nameless)
    save(slices[0], tmp_path / "deflated", syntax=DeflatedExplicitVRLittleEndian)
    found = find_patient_files(tmp_path)
    assert list(found.patients) == ["one"]
    assert len(found.patients["one"].scans[0].files) == 4
    assert found.foreign == 3
    assert found.nameless == 1
    assert found.unreadable + found.other == 3
    assert found.files == 11


def test_links_that_lead_in_circles_or_nowhere_and_other_names_of_a_file_do_no_harm(
    tmp_path: Path,
) -> None:
    files = write_ct(tmp_path / "ct", make_ct(VALUES, AFFINE, patient="one"))
    (tmp_path / "ct" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    (tmp_path / "again").symlink_to(files[0])
    (tmp_path / "hard").hardlink_to(files[1])
    os.mkfifo(tmp_path / "pipe")
    found = find_patient_files(tmp_path)
    assert len(found.patients["one"].scans[0].files) == 4
    assert (found.files, found.unreadable) == (4, 2)


def test_a_directory_that_is_linked_to_is_entered(tmp_path: Path) -> None:
    write_ct(tmp_path / "elsewhere", make_ct(VALUES, AFFINE, patient="one"))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    assert list(find_patient_files(tmp_path / "root").patients) == ["one"]


def test_a_copy_of_an_rtstruct_is_no_second_region(tmp_path: Path) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    write_ct(tmp_path / "ct", slices)
    structures = make_structures({"GTV-1": [TRIANGLE]}, slices, patient="one")
    save(structures, tmp_path / "a")
    save(structures, tmp_path / "b")
    assert len(find_patient_files(tmp_path).patients["one"].regions) == 1


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        find_patient_files(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="can't be read"):
        find_patient_files(tmp_path / "file")


def _end(content: bytes) -> bytes:
    return content[:200]


def _garble(content: bytes) -> bytes:
    return content[:132] + b"\xff" * 100 + content[232:]


def _empty(_content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("spoil", [_end, _garble, _empty])
def test_a_scan_whose_last_slice_can_not_be_read_is_not_taken_for_a_shorter_one(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    last = [save(one, tmp_path / f"{k}.dcm") for k, one in enumerate(slices)][-1]
    last.write_bytes(spoil(last.read_bytes()))
    found = find_patient_files(tmp_path)
    assert found.unreadable == 1
    (scan,) = found.patients["one"].scans
    assert last in scan.files
    with pytest.raises(CaseExcluded) as caught:
        read_series(scan.files)
    assert caught.value.reason is Exclusion.BROKEN_SCAN


def test_a_broken_file_among_several_patients_spoils_none_of_them(tmp_path: Path) -> None:
    for patient in ("one", "two"):
        for k, one in enumerate(make_ct(VALUES, AFFINE, patient=patient)):
            save(one, tmp_path / f"{patient}{k}.dcm")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 100)
    found = find_patient_files(tmp_path)
    assert found.unreadable == 1
    assert [len(one.scans[0].files) for one in found.patients.values()] == [4, 4]


@pytest.mark.parametrize("other", ["two", ""], ids=["another patient", "nobody"])
def test_a_series_of_which_slices_name_others_is_contradictory(tmp_path: Path, other: str) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    slices[-1].PatientID = other
    write_ct(tmp_path, slices)
    save(make_structures({"GTV-1": [TRIANGLE]}, slices, patient="one"), tmp_path / "structures")
    with pytest.raises(CaseExcluded) as caught:
        find_patient_files(tmp_path).patients["one"].choose("GTV-1")
    assert caught.value.reason is Exclusion.CONTRADICTORY_SCAN


def test_different_objects_of_one_uid_are_two_regions(tmp_path: Path) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    write_ct(tmp_path / "ct", slices)
    first, second = (
        make_structures({"GTV-1": [TRIANGLE * size]}, slices, patient="one") for size in (1, 2)
    )
    second.SOPInstanceUID = first.SOPInstanceUID
    save(first, tmp_path / "a")
    save(second, tmp_path / "b")
    with pytest.raises(CaseExcluded) as caught:
        find_patient_files(tmp_path).patients["one"].choose("GTV-1")
    assert caught.value.reason is Exclusion.SEVERAL_REGIONS


@pytest.mark.parametrize("comment", [14000, 15000, 15600, 16200])
def test_where_the_first_part_of_a_file_ends_does_not_matter(tmp_path: Path, comment: int) -> None:
    slices = make_ct(VALUES, AFFINE, patient="one")
    contours = {f"structure {number}": [TRIANGLE] for number in range(30)} | {"GTV-1": [TRIANGLE]}
    structures = make_structures(contours, slices, patient="one")
    structures.add_new("PatientComments", "UT", "x" * comment)
    for keyword in ("StructureSetROISequence", "ReferencedFrameOfReferenceSequence"):
        structures[keyword].is_undefined_length = True
    save(structures, tmp_path / "structures")
    (region,) = find_patient_files(tmp_path).patients["one"].regions
    assert len(region.names) == 31
