from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from cdistrim.data.imaging import read_image, read_mask
from cdistrim.data.scan import CaseExcluded, Exclusion, Scan
from tests.dicom_objects import affine_of

AFFINE = affine_of(spacing=(0.8, 1.2, 2.0), origin=(-5.0, 7.0, 9.0), degrees=(15, -10, 30))
KINDS: dict[int, Any] = {1: nib.Nifti1Image, 2: nib.Nifti2Image}
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
VALUES = np.random.default_rng(4).integers(-1000, 2000, (9, 8, 7)).astype(np.int16)


def write(
    path: Path,
    values: NDArray[np.generic],
    affine: NDArray[np.float64] = AFFINE,
    *,
    sform: int = 1,
    version: int = 1,
) -> Path:
    image = KINDS[version](values, TO_RAS @ affine)
    image.set_sform(TO_RAS @ affine, code=sform)
    image.set_qform(None if sform else TO_RAS @ affine, code=0 if sform else 1)
    nib.save(image, path)
    return path


def image_refused(path: Path) -> CaseExcluded:
    with pytest.raises(CaseExcluded) as caught:
        read_image(path)
    return caught.value


def mask_refused(path: Path, scan: Scan, label: int | None = None) -> Exclusion:
    with pytest.raises(CaseExcluded) as caught:
        read_mask(path, scan, label)
    return caught.value.reason


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
@pytest.mark.parametrize("sform", [1, 0], ids=["sform", "qform"])
@pytest.mark.parametrize("version", [1, 2])
def test_values_and_places_are_as_written(
    tmp_path: Path, name: str, sform: int, version: int
) -> None:
    scan = read_image(write(tmp_path / name, VALUES, sform=sform, version=version))
    np.testing.assert_array_equal(scan.values, VALUES)
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-5)
    assert scan.values.dtype == np.float32
    assert scan.frame == ""


def test_another_librarys_files_lie_where_it_says(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(VALUES.transpose(2, 1, 0))
    spacing = np.linalg.norm(AFFINE[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())  # type: ignore[no-untyped-call]
    directions = (AFFINE[:3, :3] / spacing).ravel().tolist()
    image.SetDirection(directions)  # type: ignore[no-untyped-call]
    image.SetOrigin(AFFINE[:3, 3].tolist())  # type: ignore[no-untyped-call]
    SimpleITK.WriteImage(image, str(tmp_path / "image.nii.gz"))
    scan = read_image(tmp_path / "image.nii.gz")
    np.testing.assert_array_equal(scan.values, VALUES)
    np.testing.assert_allclose(scan.affine, AFFINE, atol=1e-4)


def test_the_files_scaling_and_unit_are_applied(tmp_path: Path) -> None:
    image = KINDS[1](VALUES, TO_RAS @ AFFINE / 1000)
    image.header.set_slope_inter(0.5, -10)
    image.header.set_xyzt_units("meter")
    nib.save(image, tmp_path / "image.nii")
    scan = read_image(tmp_path / "image.nii")
    np.testing.assert_allclose(scan.values, VALUES * 0.5 - 10)
    np.testing.assert_allclose(scan.affine[:3], AFFINE[:3], atol=1e-4)


def test_one_volume_in_four_dimensions_is_a_volume_and_several_are_not(tmp_path: Path) -> None:
    scan = read_image(write(tmp_path / "one.nii", VALUES[..., None]))
    np.testing.assert_array_equal(scan.values, VALUES)
    several = write(tmp_path / "two.nii", np.stack([VALUES, VALUES], axis=3))
    assert image_refused(several).reason is Exclusion.BROKEN_SCAN


def test_values_that_are_no_hounsfield_units_are_refused(tmp_path: Path) -> None:
    for content in (np.nan, np.inf):
        values = VALUES.astype(np.float32)
        values[1, 2, 3] = content
        assert image_refused(write(tmp_path / "a.nii", values)).reason is Exclusion.BROKEN_SCAN
    path = write(tmp_path / "b.nii", VALUES.astype(np.complex64))
    assert image_refused(path).reason is Exclusion.BROKEN_SCAN
    colours = np.zeros((4, 4, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    path = write(tmp_path / "c.nii", colours)
    assert image_refused(path).reason is Exclusion.BROKEN_SCAN


def test_voxels_of_no_possible_size_are_refused(tmp_path: Path) -> None:
    for unit in ("micron", "meter"):
        image = KINDS[1](VALUES, TO_RAS @ AFFINE)
        image.header.set_xyzt_units(unit)
        nib.save(image, tmp_path / f"{unit}.nii")
        assert image_refused(tmp_path / f"{unit}.nii").reason is Exclusion.BROKEN_SCAN


def test_a_file_that_does_not_say_where_it_lies_is_refused(tmp_path: Path) -> None:
    image = KINDS[1](VALUES, None)
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    nib.save(image, tmp_path / "image.nii")
    assert image_refused(tmp_path / "image.nii").reason is Exclusion.BROKEN_SCAN


def test_broken_files_are_told(tmp_path: Path) -> None:
    for name in ("image.nii", "image.nii.gz"):
        whole = write(tmp_path / name, VALUES).read_bytes()
        cuts = [whole[: len(whole) * part // 10] for part in range(10)]
        for content in (*cuts, whole[:-1], b"\xff" * 1000, b"\x1f\x8b" + b"\xff" * 1000):
            (tmp_path / name).write_bytes(content)
            assert image_refused(tmp_path / name).reason is Exclusion.BROKEN_SCAN
    assert image_refused(tmp_path / "gone.nii").reason is Exclusion.BROKEN_SCAN
    assert image_refused(tmp_path).reason is Exclusion.BROKEN_SCAN


@pytest.mark.parametrize("packed", [False, True])
def test_a_header_that_claims_more_than_the_file_can_hold_is_refused(
    tmp_path: Path, packed: bool
) -> None:
    path = write(tmp_path / "image.nii", VALUES)
    whole = bytearray(path.read_bytes())
    for shape in ((32767, 32767, 32767), (800, 800, 800)):
        whole[42:48] = np.array(shape, "<i2").tobytes()
        path.write_bytes(gzip.compress(bytes(whole)) if packed else bytes(whole))
        error = image_refused(path)
        assert error.reason is Exclusion.BROKEN_SCAN
        assert "voxels" in error.detail or "at most" in error.detail


def test_a_mask_is_taken_by_its_label_or_whole(tmp_path: Path) -> None:
    scan = Scan(VALUES.astype(np.float32), AFFINE)
    labels = np.random.default_rng(5).integers(0, 3, VALUES.shape).astype(np.uint8)
    path = write(tmp_path / "mask.nii.gz", labels)
    for label in (1, 2):
        np.testing.assert_array_equal(read_mask(path, scan, label), labels == label)
    np.testing.assert_array_equal(read_mask(path, scan, None), labels > 0)
    assert mask_refused(path, scan, 7) is Exclusion.NO_REGION


def test_a_mask_on_another_grid_gives_each_voxel_the_nearest_value(tmp_path: Path) -> None:
    scan = Scan(np.zeros((40, 40, 20), dtype=np.float32), affine_of(spacing=(1, 1, 2)))
    fine = affine_of(spacing=(0.5, 0.5, 0.5), degrees=(0, 0, 90), origin=(39.85, 0.35, 0.15))
    values = np.zeros((80, 80, 80), dtype=np.uint8)
    values[20:40, 10:30, 40:60] = 1
    path = write(tmp_path / "mask.nii", values, fine)
    expected = np.zeros(scan.values.shape, dtype=bool)
    # Turned by 90 degrees: the fine x runs along the scan's y, its y against the scan's x.
    expected[26:36, 11:21, 10:15] = True
    np.testing.assert_array_equal(read_mask(path, scan, None), expected)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("end", ["low", "high"])
def test_a_region_that_its_own_grid_cuts_off_is_refused(
    tmp_path: Path, axis: int, end: str
) -> None:
    scan = Scan(np.zeros((12, 12, 12), dtype=np.float32), AFFINE)
    region = np.zeros((12, 12, 12), dtype=np.uint8)
    region[3:9, 3:9, 3:9] = 1
    kept = [slice(None)] * 3
    kept[axis] = slice(5, None) if end == "low" else slice(None, 7)
    part, affine = region[tuple(kept)], AFFINE.copy()
    affine[:3, 3] += affine[:3, axis] * (5 if end == "low" else 0)
    path = write(tmp_path / "part.nii", part, affine)
    assert mask_refused(path, scan) is Exclusion.BROKEN_REGION
    # Whole within a smaller grid, or at the edge of a scan that ends there as well: as drawn.
    kept[axis] = slice(2, None) if end == "low" else slice(None, 10)
    affine[:3, 3] = AFFINE[:3, 3] + AFFINE[:3, axis] * (2 if end == "low" else 0)
    np.testing.assert_array_equal(
        read_mask(write(tmp_path / "whole.nii", region[tuple(kept)], affine), scan, None), region
    )
    region[:] = 1
    assert read_mask(write(tmp_path / "all.nii", region), scan, None).all()


def test_an_empty_mask_or_one_off_the_scan_is_empty(tmp_path: Path) -> None:
    scan = Scan(VALUES.astype(np.float32), AFFINE)
    assert mask_refused(write(tmp_path / "a.nii", np.zeros_like(VALUES)), scan) is (
        Exclusion.EMPTY_REGION
    )
    away = AFFINE.copy()
    away[:3, 3] += 300
    assert mask_refused(write(tmp_path / "b.nii", VALUES, away), scan) is Exclusion.EMPTY_REGION


def test_a_broken_mask_breaks_the_region(tmp_path: Path) -> None:
    scan = Scan(VALUES.astype(np.float32), AFFINE)
    values = np.ones(VALUES.shape, dtype=np.float32)
    values[0, 0, 0] = np.nan
    assert mask_refused(write(tmp_path / "a.nii", values), scan) is Exclusion.BROKEN_REGION
    (tmp_path / "b.nii").write_bytes(b"\0" * 400)
    assert mask_refused(tmp_path / "b.nii", scan) is Exclusion.BROKEN_REGION


def test_values_that_single_precision_can_not_hold_break_the_image(tmp_path: Path) -> None:
    values = VALUES.astype(np.float64)
    values[1, 2, 3] = 1e300
    assert image_refused(write(tmp_path / "a.nii", values)).reason is Exclusion.BROKEN_SCAN
