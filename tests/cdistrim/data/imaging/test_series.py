from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from cdistrim.data.imaging import read_series
from cdistrim.data.scan import CaseExcluded, Exclusion, Scan
from tests.dicom_objects import affine_of, make_ct, write_ct

AFFINE = affine_of(spacing=(0.9, 1.1, 2.5), origin=(-120.5, -80.25, 33.0))
OBLIQUE = affine_of(spacing=(0.7, 1.3, 3.0), origin=(10.0, -20.0, 30.0), degrees=(20, -15, 40))


@pytest.fixture
def hounsfield() -> NDArray[np.int_]:
    return np.random.default_rng(1).integers(-1000, 1500, (7, 9, 6))


def excluded(files: list[Path]) -> CaseExcluded:
    with pytest.raises(CaseExcluded) as caught:
        read_series(files)
    return caught.value


def assert_is(scan: Scan, hounsfield: NDArray[np.int_], affine: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(scan.values, hounsfield)
    np.testing.assert_allclose(scan.affine, affine, atol=1e-5)
    assert scan.values.dtype == np.float32


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["axial", "oblique"])
def test_voxels_and_their_places_are_as_written_whatever_files_are_called(
    tmp_path: Path, hounsfield: NDArray[np.int_], affine: NDArray[np.float64]
) -> None:
    slices = make_ct(hounsfield, affine)
    scan = read_series(write_ct(tmp_path, slices))
    assert_is(scan, hounsfield, affine)
    assert scan.frame == slices[0].FrameOfReferenceUID


@pytest.mark.parametrize("affine", [AFFINE, OBLIQUE], ids=["axial", "oblique"])
def test_another_library_finds_the_same_values_at_the_same_places(
    tmp_path: Path, hounsfield: NDArray[np.int_], affine: NDArray[np.float64]
) -> None:
    files = write_ct(tmp_path, make_ct(hounsfield, affine))
    reader: Any = SimpleITK.ImageSeriesReader
    names = reader.GetGDCMSeriesFileNames(str(tmp_path))
    image: Any = SimpleITK.ReadImage(names)
    scan = read_series(files)
    np.testing.assert_array_equal(
        SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), scan.values
    )
    for index in np.ndindex(2, 2, 2):
        place = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(scan.affine @ (*index, 1), (*place, 1), atol=1e-4)


def test_slices_written_from_head_to_feet_are_put_along_the_normal(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    downwards = AFFINE.copy()
    downwards[2, 2] *= -1
    scan = read_series(write_ct(tmp_path, make_ct(hounsfield, downwards)))
    upwards = AFFINE.copy()
    upwards[:, 3] = downwards @ (0, 0, 5, 1)
    assert_is(scan, hounsfield[:, :, ::-1], upwards)


def test_a_tilted_gantry_gives_a_sheared_stack(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    tilted = AFFINE.copy()
    tilted[1, 2] = 0.8
    assert_is(read_series(write_ct(tmp_path, make_ct(hounsfield, tilted))), hounsfield, tilted)


@pytest.mark.parametrize(
    ("syntax", "bare"),
    [
        (ImplicitVRLittleEndian, False),
        (ImplicitVRLittleEndian, True),
        (ExplicitVRLittleEndian, True),
    ],
    ids=["implicit VR", "implicit VR, without preamble", "explicit VR, without preamble"],
)
def test_other_ways_to_write_a_file_change_nothing(
    tmp_path: Path, hounsfield: NDArray[np.int_], syntax: UID, bare: bool
) -> None:
    files = write_ct(tmp_path, make_ct(hounsfield, AFFINE), syntax=syntax, bare=bare)
    assert_is(read_series(files), hounsfield, AFFINE)


def test_big_endian_values_are_read(tmp_path: Path, hounsfield: NDArray[np.int_]) -> None:
    slices = make_ct(hounsfield, AFFINE)
    for one in slices:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    files = write_ct(tmp_path, slices, syntax=ExplicitVRBigEndian)
    assert_is(read_series(files), hounsfield, AFFINE)


def test_run_length_encoding_needs_no_decoder(tmp_path: Path, hounsfield: NDArray[np.int_]) -> None:
    slices = make_ct(hounsfield, AFFINE)
    _compress(slices)
    files = write_ct(tmp_path, slices, syntax=RLELossless)
    assert_is(read_series(files), hounsfield, AFFINE)


def test_compression_without_a_decoder_is_told(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    slices = make_ct(hounsfield, AFFINE)
    _compress(slices)
    files = write_ct(tmp_path, slices, syntax=JPEGLSLossless)
    assert excluded(files).reason is Exclusion.BROKEN_SCAN


def test_signed_values_and_each_slices_own_rescaling_are_taken(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    whole = make_ct(hounsfield * 2, AFFINE, slope=2.0, intercept=0.0)
    other = make_ct(hounsfield * 2, AFFINE, slope=0.5, intercept=-1024.0)
    assert {one.PixelRepresentation for one in whole} == {1}
    for k in (1, 4):
        whole[k].PixelData = other[k].PixelData
        whole[k].PixelRepresentation = other[k].PixelRepresentation
        whole[k].RescaleSlope, whole[k].RescaleIntercept = 0.5, -1024.0
    assert_is(read_series(write_ct(tmp_path, whole)), hounsfield * 2, AFFINE)


def test_bits_above_the_stored_ones_are_no_part_of_the_value(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    slices = make_ct(hounsfield, AFFINE)
    for one in slices:
        one.BitsStored, one.HighBit = 12, 11
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") | 0xA000).tobytes()
    assert_is(read_series(write_ct(tmp_path, slices)), hounsfield, AFFINE)


def test_localizers_secondary_captures_and_copies_do_not_spoil_a_series(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    slices = make_ct(hounsfield, AFFINE)
    files = write_ct(tmp_path / "scan", slices) + write_ct(tmp_path / "again", slices[2:4])
    scout, capture = make_ct(hounsfield[:, :, :2], OBLIQUE)
    scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    capture.SOPClassUID = SecondaryCaptureImageStorage
    del capture.ImagePositionPatient
    files += write_ct(tmp_path / "others", [scout, capture])
    assert_is(read_series(files), hounsfield, AFFINE)
    assert excluded(files[-2:]).reason is Exclusion.NO_SCAN


def test_missing_slices_are_counted(tmp_path: Path, hounsfield: NDArray[np.int_]) -> None:
    slices = make_ct(hounsfield, AFFINE)
    error = excluded(write_ct(tmp_path, [slices[k] for k in (0, 1, 2, 5)]))
    assert error.reason is Exclusion.MISSING_SLICES
    assert error.detail == "2 of 6; the largest gap is 7.50 mm"


def test_one_slice_is_no_scan(tmp_path: Path, hounsfield: NDArray[np.int_]) -> None:
    error = excluded(write_ct(tmp_path, make_ct(hounsfield[:, :, :1], AFFINE)))
    assert error.reason is Exclusion.MISSING_SLICES


def test_positions_rounded_to_tenths_of_a_millimetre_are_even(tmp_path: Path) -> None:
    affine = affine_of(spacing=(1.0, 1.0, 0.625))
    slices = make_ct(np.zeros((3, 4, 40), dtype=int), affine)
    for one in slices:
        x, y, z = one.ImagePositionPatient
        one.ImagePositionPatient = [x, y, f"{z:.1f}"]
    scan = read_series(write_ct(tmp_path, slices))
    assert scan.spacing[2] == pytest.approx(0.625, abs=0.003)


def _compress(slices: list[Dataset]) -> None:
    for one in slices:
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.compress(RLELossless, generate_instance_uid=False)


def _shift(one: Dataset, x: float, z: float) -> None:
    position = one.ImagePositionPatient
    one.ImagePositionPatient = [position[0] + x, position[1], position[2] + z]


def _set(one: Dataset, **elements: object) -> None:
    for keyword, value in elements.items():
        setattr(one, keyword, value)


def _turn(one: Dataset, degrees: float) -> None:
    one.ImageOrientationPatient = [
        1, 0, 0, 0, np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    ]  # fmt: skip


CHANGES: list[tuple[str, Callable[[Dataset], object], Exclusion]] = [
    ("a slice half-way astray", lambda one: _shift(one, 0, 1.0), Exclusion.UNEVEN_SLICES),
    ("a slice to the side", lambda one: _shift(one, 2.0, 0), Exclusion.UNEVEN_SLICES),
    ("a slice not parallel", lambda one: _turn(one, 3), Exclusion.UNEVEN_SLICES),
    ("another orientation", lambda one: _turn(one, 90), Exclusion.CONTRADICTORY_SCAN),
    ("two at one place", lambda one: _shift(one, 0, -2.5), Exclusion.CONTRADICTORY_SCAN),
    (
        "another frame",
        lambda one: _set(one, FrameOfReferenceUID=generate_uid()),
        Exclusion.CONTRADICTORY_SCAN,
    ),
    (
        "another series",
        lambda one: _set(one, SeriesInstanceUID=generate_uid()),
        Exclusion.CONTRADICTORY_SCAN,
    ),
    (
        "another size",
        lambda one: _set(one, Rows=7, Columns=9),
        Exclusion.CONTRADICTORY_SCAN,
    ),
    (
        "another pixel spacing",
        lambda one: _set(one, PixelSpacing=[1.1, 0.95]),
        Exclusion.CONTRADICTORY_SCAN,
    ),
    ("no position", lambda one: delattr(one, "ImagePositionPatient"), Exclusion.BROKEN_SCAN),
    ("no rescaling", lambda one: delattr(one, "RescaleSlope"), Exclusion.BROKEN_SCAN),
    ("a slope of 0", lambda one: _set(one, RescaleSlope=0), Exclusion.BROKEN_SCAN),
    ("no pixels", lambda one: delattr(one, "PixelData"), Exclusion.BROKEN_SCAN),
    ("fewer pixels", lambda one: _set(one, PixelData=b"\0\0"), Exclusion.BROKEN_SCAN),
    ("several frames", lambda one: _set(one, NumberOfFrames=2), Exclusion.BROKEN_SCAN),
    ("colours", lambda one: _set(one, SamplesPerPixel=3), Exclusion.BROKEN_SCAN),
    ("no units", lambda one: _set(one, RescaleType="ED"), Exclusion.BROKEN_SCAN),
    (
        "directions of no length",
        lambda one: _set(one, ImageOrientationPatient=[0] * 6),
        Exclusion.BROKEN_SCAN,
    ),
    (
        "no pixel spacing to speak of",
        lambda one: _set(one, PixelSpacing=[0, 1]),
        Exclusion.BROKEN_SCAN,
    ),
    (
        "far more pixels than there are",
        lambda one: _set(one, Rows=65535, Columns=65535),
        Exclusion.BROKEN_SCAN,
    ),
]


@pytest.mark.parametrize(
    ("change", "reason"), [one[1:] for one in CHANGES], ids=[one[0] for one in CHANGES]
)
def test_one_slice_that_does_not_fit_excludes_the_scan(
    tmp_path: Path,
    hounsfield: NDArray[np.int_],
    change: Callable[[Dataset], object],
    reason: Exclusion,
) -> None:
    slices = make_ct(hounsfield, AFFINE)
    change(slices[2])
    assert excluded(write_ct(tmp_path, slices)).reason is reason


def test_truncated_files_garbage_directories_and_nothing_are_broken(
    tmp_path: Path, hounsfield: NDArray[np.int_]
) -> None:
    files = write_ct(tmp_path, make_ct(hounsfield, AFFINE))
    whole = files[1].read_bytes()
    for content in (whole[:-1], whole[:500], whole[:131], b"", b"\xff" * 4000):
        files[1].write_bytes(content)
        assert excluded(files).reason is Exclusion.BROKEN_SCAN
    files[1].unlink()
    assert excluded(files).reason is Exclusion.BROKEN_SCAN
    files[1].mkdir()
    assert excluded(files).reason is Exclusion.BROKEN_SCAN
    assert excluded([]).reason is Exclusion.NO_SCAN
