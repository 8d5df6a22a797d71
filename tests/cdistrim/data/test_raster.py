from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cdistrim.data.raster import EDGES_AT_A_TIME, Contour, Grid, coverage, even_odd

GRID = Grid((0.0, 0.0, 0.0), (1.0, 1.0, 2.0), (20, 30, 10))


def polygon(*points: tuple[float, float]) -> NDArray[np.float64]:
    return np.array(points, dtype=np.float64)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> NDArray[np.float64]:
    return polygon((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def volume(contours: list[Contour], slab: float = 2.0) -> float:
    return float(coverage(contours, GRID, slab=slab).sum()) * 2.0


def test_a_box_has_its_volume_and_lies_where_it_should() -> None:
    covered = coverage([Contour(rectangle(2, 5, 8, 15), 7.0)], GRID, slab=2.0)
    expected = np.zeros(GRID.shape)
    expected[2:8, 5:15, 3] = 1.0
    np.testing.assert_allclose(covered, expected)


def test_a_slice_between_two_voxels_counts_half_in_each() -> None:
    covered = coverage([Contour(rectangle(2, 5, 8, 15), 6.0)], GRID, slab=2.0)
    np.testing.assert_allclose(covered[4, 10, 2:4], [0.5, 0.5])


def test_a_hole_is_cut_out_whatever_the_order() -> None:
    outer, hole = (
        Contour(rectangle(2, 5, 12, 15), 7.0),
        Contour(rectangle(4, 7, 7, 10), 7.0, hole=True),
    )
    assert volume([outer, hole]) == pytest.approx(2 * (100 - 9))
    assert volume([hole, outer]) == pytest.approx(2 * (100 - 9))


def test_overlapping_polygons_are_united() -> None:
    one, two = Contour(rectangle(2, 5, 8, 15), 7.0), Contour(rectangle(5, 5, 11, 15), 7.0)
    assert volume([one, two]) == pytest.approx(2 * 90)


def test_a_polygon_that_crosses_itself_follows_the_even_odd_rule() -> None:
    square = rectangle(2, 5, 8, 15)
    assert volume([Contour(np.concatenate([square, square]), 7.0)]) == 0.0


def test_the_direction_and_a_closing_point_do_not_matter() -> None:
    points = polygon((3, 3), (15, 6), (9, 20))
    closed = np.concatenate([points, points[:1]])
    covered = coverage([Contour(points, 7.0)], GRID, slab=2.0)
    for other in (points[::-1], closed):
        np.testing.assert_array_equal(coverage([Contour(other, 7.0)], GRID, slab=2.0), covered)


def test_a_circle_has_its_area_to_one_percent() -> None:
    angle = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    circle = np.stack([10 + 7 * np.cos(angle), 15 + 7 * np.sin(angle)], axis=1)
    assert volume([Contour(circle, 7.0)]) == pytest.approx(2 * np.pi * 49, rel=0.01)


def test_what_lies_outside_the_grid_is_cut_off() -> None:
    assert volume([Contour(rectangle(-50, -50, 50, 50), 7.0)]) == pytest.approx(2 * 20 * 30)
    assert volume([Contour(rectangle(-50, 2, -40, 9), 7.0)]) == 0.0
    assert volume([Contour(rectangle(2, 5, 8, 15), -7.0)]) == 0.0


def test_points_and_lines_cover_nothing() -> None:
    assert volume([Contour(polygon((3, 3)), 7.0), Contour(polygon((3, 3), (9, 9)), 7.0)]) == 0.0
    assert volume([]) == 0.0


def test_polygons_of_one_layer_follow_the_rule_together() -> None:
    outer, inner = rectangle(0.5, 0.5, 8.5, 6.5), rectangle(2.5, 2.5, 5.5, 4.5)
    inside = even_odd([outer, inner, inner], [0, 0, 1], (2, 8, 10))
    expected = np.zeros((2, 8, 10), dtype=bool)
    expected[0, 1:7, 1:9] = True
    expected[0, 3:5, 3:6] = False
    expected[1, 3:5, 3:6] = True
    np.testing.assert_array_equal(inside, expected)
    assert not even_odd([], [], (1, 8, 10)).any()


def test_a_polygon_of_any_number_of_corners_is_closed_once() -> None:
    angles = np.linspace(0, 2 * np.pi, 2 * EDGES_AT_A_TIME + 5, endpoint=False)
    circle = 20.3 + 15 * np.column_stack([np.cos(angles), np.sin(angles)])
    y, x = np.indices((40, 41))
    expected = (x - 20.3) ** 2 + (y - 20.3) ** 2 < 15**2
    np.testing.assert_array_equal(even_odd([circle], [0], (1, 40, 41))[0], expected)
