from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import KDTree

from cdistrim.data.imaging.placing import place
from cdistrim.data.scan import Scan
from tests.dicom_objects import affine_of

SHAPE = (17, 15, 11)
AFFINE = affine_of(spacing=(0.9, 1.3, 2.5), origin=(-10.0, 20.0, 5.0), degrees=(10, 20, -30))
SCAN = Scan(np.zeros(SHAPE, dtype=np.float32), AFFINE)


def places(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Shape (voxels, 3), mm."""
    return (affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]).T


@pytest.mark.parametrize("degrees", [(0, 0, 0), (-5, 7, 12), (180, 0, 90)], ids=str)
def test_each_voxel_has_the_value_of_the_nearest_one(degrees: tuple[float, float, float]) -> None:
    other, shape = affine_of(spacing=(1.1, 0.7, 1.7), degrees=degrees), (60, 80, 50)
    other[:3, 3] = places(AFFINE, SHAPE).mean(axis=0) - other[:3, :3] @ (np.array(shape) / 2 + 0.13)
    region = np.random.default_rng(6).random(shape) > 0.5
    _, nearest = KDTree(places(other, shape)).query(places(AFFINE, SHAPE))
    expected = region.ravel()[nearest].reshape(SHAPE)
    np.testing.assert_array_equal(place(region, other, SCAN), expected)


def test_beyond_the_regions_grid_there_is_none_of_it() -> None:
    other = AFFINE.copy()
    other[:, 3] = AFFINE @ np.array([5, 4, 3, 1.0])
    expected = np.zeros(SHAPE, dtype=bool)
    expected[5:9, 4:10, 3:5] = True
    np.testing.assert_array_equal(place(np.ones((4, 6, 2), dtype=bool), other, SCAN), expected)


def test_a_region_on_the_scans_grid_is_taken_as_it_is() -> None:
    region = np.random.default_rng(7).random(SHAPE) > 0.5
    placed = place(region, AFFINE + 1e-7, SCAN)
    np.testing.assert_array_equal(placed, region)
    assert not np.shares_memory(placed, region)
