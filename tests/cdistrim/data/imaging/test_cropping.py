"""Phantoms are functions of the place in mm, so every voxel of a crop has a known value."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cdistrim.data.imaging import crop, crop_mask
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan
from cdistrim.spec import PreprocessingSpec
from tests.dicom_objects import affine_of

CENTRE = np.array([12.0, -30.0, 55.0])
RADII = np.array([14.0, 10.0, 17.0])
GRADIENT = np.array([4.0, -3.0, 2.5])
WINDOW = (-1000.0, 400.0)

_FLIPPED = np.diag([-1.0, -1.0, 1.0, 1.0])
_CORONAL = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
_TILTED = affine_of(spacing=(0.9, 0.8, 2.0))
_TILTED[1, 2] = 0.5
AFFINES = {
    "axial": affine_of(spacing=(0.9, 0.8, 2.0)),
    "flipped": _FLIPPED @ affine_of(spacing=(0.9, 0.8, 2.0)),
    "coronal": _CORONAL @ affine_of(spacing=(0.9, 1.1, 2.0)),
    "oblique": affine_of(spacing=(0.9, 1.0, 1.5), degrees=(20, -15, 40)),
    "tilted": _TILTED,
}


def coordinates(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Shape (3, x, y, z): the place of every voxel, mm."""
    index = np.indices(shape).reshape(3, -1)
    return (affine[:3, :3] @ index + affine[:3, 3:]).reshape(3, *shape)


def gradient(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hounsfield units, within the window near the region."""
    return -300.0 + np.tensordot(GRADIENT, places - CENTRE[:, None, None, None], axes=1)


def ellipsoid(places: NDArray[np.float64]) -> Mask:
    offset = (places - CENTRE[:, None, None, None]) / RADII[:, None, None, None]
    inside: Mask = (offset**2).sum(axis=0) <= 1
    return inside


def phantom(affine: NDArray[np.float64], size: int = 66) -> tuple[Scan, Mask]:
    """A scan about the ellipsoid, and the region's voxels."""
    placed = affine.copy()
    shape = (size, size + 8, size - 8)
    placed[:3, 3] = CENTRE - affine[:3, :3] @ ((np.array(shape) - 1) / 2 + 0.3)
    places = coordinates(placed, shape)
    return Scan(gradient(places).astype(np.float32), placed), ellipsoid(places)


def crop_places(
    low: NDArray[np.float64], high: NDArray[np.float64], shape: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Where the voxels of a crop lie, by the convention: centres of equal parts."""
    axes = [
        a + (np.arange(n) + 0.5) * (b - a) / n for a, b, n in zip(low, high, shape, strict=True)
    ]
    return np.array(np.meshgrid(*axes, indexing="ij"))


def in_window(hounsfield: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip((hounsfield - WINDOW[0]) / (WINDOW[1] - WINDOW[0]), 0, 1)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("shape", [(40, 30, 20), (6, 8, 5), (3, 2, 2)], ids=str)
def test_a_fixed_field_of_view_lies_about_the_regions_mean_with_values_at_their_places(
    name: str, shape: tuple[int, int, int]
) -> None:
    scan, mask = phantom(AFFINES[name])
    size = np.array([30.0, 24.0, 36.0])
    asked = PreprocessingSpec(crop="fixed", field_of_view_mm=(30.0, 24.0, 36.0), window=WINDOW)
    mean = coordinates(scan.affine, scan.values.shape)[:, mask].mean(axis=1)
    np.testing.assert_allclose(mean, CENTRE, atol=0.2)
    expected = in_window(gradient(crop_places(mean - size / 2, mean + size / 2, shape)))
    volume = crop(scan, mask, asked, shape)
    assert volume.dtype == np.float16
    np.testing.assert_allclose(volume, expected, atol=1e-3)


@pytest.mark.parametrize("name", AFFINES)
@pytest.mark.parametrize("shape", [(48, 50, 16), (7, 6, 5)], ids=str)
def test_a_box_is_the_regions_with_a_margin_in_the_axial_planes_only(
    name: str, shape: tuple[int, int, int]
) -> None:
    scan, mask = phantom(AFFINES[name])
    asked = PreprocessingSpec(crop="box", margin_mm=4.0, window=WINDOW)
    centres = coordinates(scan.affine, scan.values.shape)[:, mask]
    half = np.abs(scan.affine[:3, :3]).sum(axis=1) / 2
    margin = np.array([4.0, 4.0, 0.0])
    low, high = centres.min(axis=1) - half - margin, centres.max(axis=1) + half + margin
    expected = in_window(gradient(crop_places(low, high, shape)))
    np.testing.assert_allclose(crop(scan, mask, asked, shape), expected, atol=1e-3)


@pytest.mark.parametrize("name", AFFINES)
def test_the_mask_of_a_crop_is_the_region_in_the_same_places(name: str) -> None:
    scan, mask = phantom(AFFINES[name])
    asked = PreprocessingSpec(crop="fixed", field_of_view_mm=(40.0, 40.0, 40.0))
    shape = (40, 40, 40)
    truth = ellipsoid(crop_places(CENTRE - 20, CENTRE + 20, shape))
    found = crop_mask(scan, mask, asked, shape)
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.95


def test_a_crop_of_the_scans_own_voxels_is_the_scan() -> None:
    random = np.random.default_rng(3)
    values = random.uniform(-900, 300, (6, 5, 4)).astype(np.float32)
    mask = np.zeros(values.shape, dtype=bool)
    mask[1:5, 1:4, 1:3] = True
    scan = Scan(values, affine_of(spacing=(2.0, 3.0, 4.0), origin=(7, 8, 9)))
    volume = crop(scan, mask, PreprocessingSpec(margin_mm=0.0), (4, 3, 2))
    expected = in_window(values[1:5, 1:4, 1:3].astype(np.float64))
    np.testing.assert_allclose(volume, expected, atol=5e-4)


def test_the_patients_left_back_and_head_are_where_indices_grow() -> None:
    for name, affine in AFFINES.items():
        scan, mask = phantom(affine)
        ahead = coordinates(scan.affine, scan.values.shape)
        for axis in range(3):
            marked = Scan(
                np.where(ahead[axis] > CENTRE[axis], 400, -1000).astype(np.float32), scan.affine
            )
            asked = PreprocessingSpec(crop="fixed", field_of_view_mm=(20.0, 20.0, 20.0))
            volume = np.moveaxis(crop(marked, mask, asked, (8, 8, 8)), axis, 0)
            assert volume[0].max() == 0.0, name
            assert volume[-1].min() == 1.0, name


def test_down_sampling_takes_the_mean_and_no_stray_voxels() -> None:
    pattern = np.indices((24, 24, 24)).sum(axis=0) % 2
    scan = Scan(np.where(pattern, 400, -1000).astype(np.float32), affine_of(spacing=(1, 1, 1)))
    mask = np.zeros(pattern.shape, dtype=bool)
    mask[6:18, 6:18, 6:18] = True
    for shape in ((6, 4, 3), (4, 4, 4)):
        volume = crop(scan, mask, PreprocessingSpec(margin_mm=0.0), shape)
        np.testing.assert_allclose(volume, 0.5, atol=0.02)


def test_beyond_the_scan_there_is_the_windows_lower_end_and_up_to_its_faces_the_scan() -> None:
    scan = Scan(np.full((10, 10, 4), 400, dtype=np.float32), affine_of(spacing=(1, 1, 5)))
    asked = PreprocessingSpec(crop="fixed", field_of_view_mm=(20.0, 10.0, 40.0))
    volume = crop(scan, np.ones(scan.values.shape, dtype=bool), asked, (20, 10, 80))
    expected = np.zeros((20, 10, 80))
    expected[5:15, :, 20:60] = 1.0
    np.testing.assert_array_equal(volume, expected)


def test_what_is_beyond_the_window_is_clipped_before_it_can_shine_through() -> None:
    values = np.full((9, 9, 9), -1000, dtype=np.float32)
    values[4, 4, 4] = 30000
    values[0:2] = -32768
    scan = Scan(values, affine_of(spacing=(1, 1, 1)))
    volume = crop(
        scan, np.ones(values.shape, dtype=bool), PreprocessingSpec(margin_mm=0.0), (9, 9, 9)
    )
    expected = np.zeros((9, 9, 9))
    expected[4, 4, 4] = 1.0
    np.testing.assert_array_equal(volume, expected)


def test_a_region_smaller_than_a_voxel_of_the_crop_is_still_shown() -> None:
    scan, mask = phantom(AFFINES["oblique"])
    index = tuple(np.argwhere(mask)[0])
    one = np.zeros_like(mask)
    one[index] = True
    asked = PreprocessingSpec(crop="fixed", field_of_view_mm=(60.0, 60.0, 60.0))
    found = crop_mask(scan, one, asked, (5, 5, 5))
    assert found.sum() == 1
    assert found[2, 2, 2]


def test_an_empty_region_excludes_the_case() -> None:
    scan, mask = phantom(AFFINES["axial"])
    for kind in ("box", "fixed"):
        asked = PreprocessingSpec.model_validate({"crop": kind})
        with pytest.raises(CaseExcluded) as caught:
            crop(scan, np.zeros_like(mask), asked, (4, 4, 4))
        assert caught.value.reason is Exclusion.EMPTY_REGION
