"""Regions are discs and ellipsoids: which voxels' centres are inside follows from their formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid

from cdistrim.data.imaging import read_series, read_structure
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan
from tests.dicom_objects import affine_of, make_ct, make_structures, save, write_ct

SHAPE = (64, 56, 12)
AXIAL = affine_of(spacing=(0.8, 1.1, 3.0), origin=(-25.0, 10.0, -100.0))
OBLIQUE = affine_of(spacing=(1.2, 0.7, 2.5), origin=(40.0, 5.0, 60.0), degrees=(25, -20, 35))
Points = NDArray[np.float64]


class Drawing:
    """A series, and contours drawn in the plane of its slices.

    In-plane lengths are mm from the corner voxel's centre along the scan's own axes.
    """

    def __init__(self, directory: Path, affine: NDArray[np.float64] = AXIAL) -> None:
        self.directory, self.affine = directory, affine
        self.slices = make_ct(np.zeros(SHAPE, dtype=int), affine)
        self.scan: Scan = read_series(write_ct(directory / "ct", self.slices))
        self.spacing = np.linalg.norm(affine[:3, :3], axis=0)

    def at(self, plane: Points, height: float) -> Points:
        """Corners of shape (m, 2) to patient coordinates; ``height`` in slices from the first."""
        index = np.column_stack([plane / self.spacing[:2], np.full(len(plane), height)])
        placed: Points = index @ self.affine[:3, :3].T + self.affine[:3, 3]
        return placed

    def read(self, structures: Dataset, name: str = "GTV-1") -> Mask:
        return read_structure(self.save(structures), self.scan, name)

    def save(self, structures: Dataset) -> Path:
        return save(structures, self.directory / "structures.dcm")

    def mask_of(self, contours: Sequence[Points]) -> Mask:
        return self.read(make_structures({"GTV-1": contours}, self.slices))

    def inside(self, formula: Callable[[Points, Points], Mask]) -> Mask:
        """Shape (x, y): where the formula of in-plane mm holds at voxels' centres."""
        x, y = (
            np.arange(count) * step for count, step in zip(SHAPE[:2], self.spacing[:2], strict=True)
        )
        return formula(x[:, None], y[None, :])


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    return Drawing(tmp_path)


def circle(x: float, y: float, radius: float, points: int = 256) -> Points:
    angles = np.arange(points) * 2 * np.pi / points
    return np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)])


def disc(x: float, y: float, radius: float) -> Callable[[Points, Points], Mask]:
    return lambda xs, ys: np.asarray((xs - x) ** 2 + (ys - y) ** 2 <= radius**2)


def square(x: float, y: float, half: float) -> Points:
    return np.array(
        [[x - half, y - half], [x + half, y - half], [x + half, y + half], [x - half, y + half]]
    )


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def refused(drawing: Drawing, structures: Dataset, name: str = "GTV-1") -> CaseExcluded:
    with pytest.raises(CaseExcluded) as caught:
        drawing.read(structures, name)
    return caught.value


@pytest.mark.parametrize("affine", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_an_ellipsoids_contours_enclose_its_voxels(
    tmp_path: Path, affine: NDArray[np.float64]
) -> None:
    drawing = Drawing(tmp_path, affine)
    x, y, z, rx, ry, rz = 25.3, 20.1, 5.2, 18.0, 14.5, 4.4
    contours = []
    truth = np.zeros(SHAPE, dtype=bool)
    for k in range(SHAPE[2]):
        left = 1 - ((k - z) / rz) ** 2
        if left <= 0:
            continue
        outline = circle(0, 0, np.sqrt(left)) * (rx, ry) + (x, y)
        contours.append(drawing.at(outline, k))
        truth[:, :, k] = drawing.inside(
            lambda xs, ys, left=left: ((xs - x) / rx) ** 2 + ((ys - y) / ry) ** 2 <= left  # type: ignore[misc]
        )
    assert dice(drawing.mask_of(contours), truth) > 0.995


def test_rows_and_columns_are_not_swapped(drawing: Drawing) -> None:
    wide = square(0, 0, 1) * (20, 4) + (25, 12)
    mask = drawing.mask_of([drawing.at(wide, 3)])
    truth = drawing.inside(lambda xs, ys: (np.abs(xs - 25) < 20) & (np.abs(ys - 12) < 4))
    np.testing.assert_array_equal(mask[:, :, 3], truth)
    assert mask.sum() == truth.sum()


def test_an_inner_contour_is_a_hole_and_one_within_it_an_island(drawing: Drawing) -> None:
    rings = [circle(25, 25, radius) for radius in (20, 13, 5)]
    truth = drawing.inside(
        lambda xs, ys: (
            (disc(25, 25, 20)(xs, ys) & ~disc(25, 25, 13)(xs, ys)) | disc(25, 25, 5)(xs, ys)
        )
    )
    mask = drawing.mask_of([drawing.at(ring, 4) for ring in rings])
    assert dice(mask[:, :, 4], truth) > 0.995


def test_a_keyhole_is_a_hole(drawing: Drawing) -> None:
    outer, inner = circle(25, 25, 20), circle(25, 25, 9)[::-1]
    keyhole = np.concatenate([outer, outer[:1], inner[-1:], inner, outer[:1]])
    truth = drawing.inside(lambda xs, ys: disc(25, 25, 20)(xs, ys) & ~disc(25, 25, 9)(xs, ys))
    assert dice(drawing.mask_of([drawing.at(keyhole, 4)])[:, :, 4], truth) > 0.995


def test_several_parts_of_a_slice_are_all_filled(drawing: Drawing) -> None:
    parts = [(12.0, 12.0, 8.0), (36.0, 14.0, 9.0), (25.0, 45.0, 12.0)]
    truth = drawing.inside(lambda xs, ys: np.any([disc(*part)(xs, ys) for part in parts], axis=0))
    mask = drawing.mask_of([drawing.at(circle(*part), 6) for part in parts])
    assert dice(mask[:, :, 6], truth) > 0.99


def test_a_contour_that_is_there_twice_counts_once(drawing: Drawing) -> None:
    one = drawing.at(circle(25, 25, 10), 6)
    np.testing.assert_array_equal(drawing.mask_of([one, one]), drawing.mask_of([one]))


@pytest.mark.parametrize("off", [-0.45, -0.2, 0.3, 0.5])
def test_planes_between_slices_belong_to_the_nearest(drawing: Drawing, off: float) -> None:
    mask = drawing.mask_of([drawing.at(circle(25, 25, 5 + k), k + off) for k in (3, 4, 5)])
    expected = np.zeros(SHAPE, dtype=bool)
    for k in (3, 4, 5):
        expected[:, :, k + (off == 0.5)] = drawing.inside(disc(25, 25, 5 + k))
    assert dice(mask, expected) > 0.99
    np.testing.assert_array_equal(mask.any(axis=(0, 1)), expected.any(axis=(0, 1)))


def test_of_contours_on_thinner_slices_those_nearest_to_a_slice_count(drawing: Drawing) -> None:
    heights = [2.6, 3.1, 3.4, 3.7, 4.05, 4.4, 4.6, 4.8, 5.45]
    nearest = {3: 3.1, 4: 4.05, 5: 4.8}
    radius = {height: 14.0 if height in nearest.values() else 6.0 for height in heights}
    contours = [drawing.at(circle(25, 25, radius[height]), height) for height in heights]
    expected = np.zeros(SHAPE, dtype=bool)
    expected[:, :, 3:6] = drawing.inside(disc(25, 25, 14))[:, :, None]
    assert dice(drawing.mask_of(contours), expected) > 0.99
    assert dice(drawing.mask_of(contours[::-1]), expected) > 0.99


def test_a_single_missing_slice_is_filled_between_its_neighbours(drawing: Drawing) -> None:
    contours = [drawing.at(circle(25, 25, radius), k) for k, radius in ((2, 8), (3, 8), (5, 16))]
    mask = drawing.mask_of(contours)
    assert dice(mask[:, :, 4], drawing.inside(disc(25, 25, 12))) > 0.97


def test_a_wider_gap_separates_parts(drawing: Drawing) -> None:
    contours = [drawing.at(circle(25, 25, 10), k) for k in (1, 2, 3, 6, 7)]
    heights = np.flatnonzero(drawing.mask_of(contours).any(axis=(0, 1)))
    assert heights.tolist() == [1, 2, 3, 6, 7]


def test_parts_that_do_not_overlap_are_not_joined_over_a_missing_slice(drawing: Drawing) -> None:
    contours = [drawing.at(circle(10, 10, 6), 3), drawing.at(circle(38, 45, 6), 5)]
    heights = np.flatnonzero(drawing.mask_of(contours).any(axis=(0, 1)))
    assert heights.tolist() == [3, 5]


def test_contours_on_every_third_slice_are_filled_in_between(drawing: Drawing) -> None:
    contours = [drawing.at(circle(25, 25, 12), k) for k in (1, 4, 7, 10)]
    truth = np.zeros(SHAPE, dtype=bool)
    truth[:, :, 1:11] = drawing.inside(disc(25, 25, 12))[:, :, None]
    assert dice(drawing.mask_of(contours), truth) > 0.99


def test_what_lies_beside_the_scan_is_left_out(drawing: Drawing) -> None:
    mask = drawing.mask_of([drawing.at(square(0, 0, 500), k) for k in (0, 1)])
    assert mask.any(axis=(0, 1)).tolist() == [True, True] + [False] * 10
    assert mask[:, :, :2].all()


@pytest.mark.parametrize("beyond", [(-2, -1), (12,), (-1, 12, 13)])
def test_a_region_that_goes_on_where_the_scan_has_no_slices_is_not_cut_off(
    drawing: Drawing, beyond: tuple[int, ...]
) -> None:
    contours = [drawing.at(circle(25, 25, 10), k) for k in (*beyond, 0, 1, 11)]
    with pytest.raises(CaseExcluded) as caught:
        drawing.mask_of(contours)
    assert caught.value.reason is Exclusion.MISSING_SLICES
    assert caught.value.detail == f"{len(beyond)} of {len(contours)} contours lie beyond the scan"


def test_points_lines_and_too_few_corners_are_passed_over(drawing: Drawing) -> None:
    good = drawing.at(circle(25, 25, 10), 5)
    structures = make_structures(
        {"GTV-1": [good, good[:2], good[:1], good + 3, good - 3]}, drawing.slices
    )
    contours = structures.ROIContourSequence[0].ContourSequence
    contours[3].ContourGeometricType = "OPEN_PLANAR"
    contours[4].ContourGeometricType = "POINT"
    empty = Dataset()
    empty.ContourGeometricType = "CLOSED_PLANAR"
    contours.append(empty)
    np.testing.assert_array_equal(drawing.read(structures), drawing.mask_of([good]))


@pytest.mark.parametrize("wanted", ["GTV-1", "gtv-1", "GTV 1", "gtv_1", "GTV1", " GTV-1 "])
def test_names_are_found_in_any_of_their_spellings(drawing: Drawing, wanted: str) -> None:
    contours = {
        "Lung-Left": [drawing.at(circle(10, 10, 5), 5)],
        "GTV-11": [drawing.at(circle(10, 10, 5), 6)],
        "GTV-1": [drawing.at(circle(25, 25, 10), 5)],
        "GTV-2": [drawing.at(circle(10, 10, 5), 7)],
    }
    mask = drawing.read(make_structures(contours, drawing.slices), wanted)
    np.testing.assert_array_equal(mask, drawing.mask_of(contours["GTV-1"]))


def test_an_exact_name_goes_before_one_that_is_alike(drawing: Drawing) -> None:
    contours = {
        "GTV1": [drawing.at(circle(10, 10, 5), 5)],
        "GTV-1": [drawing.at(circle(25, 25, 10), 5)],
        "gtv_1": [],
    }
    structures = make_structures(contours, drawing.slices)
    np.testing.assert_array_equal(drawing.read(structures), drawing.mask_of(contours["GTV-1"]))
    assert refused(drawing, structures, "gtv 1").reason is Exclusion.SEVERAL_REGIONS


def test_an_absent_name_tells_how_many_others_there_are_and_not_which(drawing: Drawing) -> None:
    one = [drawing.at(circle(25, 25, 10), 5)]
    error = refused(drawing, make_structures({"NEEDLEname": one, "Heart": one}, drawing.slices))
    assert error.reason is Exclusion.NO_REGION
    assert error.detail == "2 of other names"


def test_another_coordinate_system_is_told(drawing: Drawing) -> None:
    one = {"GTV-1": [drawing.at(circle(25, 25, 10), 5)]}
    structures = make_structures(one, drawing.slices, frame=generate_uid())
    assert refused(drawing, structures).reason is Exclusion.OTHER_FRAME
    del structures.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    assert refused(drawing, structures).reason is Exclusion.OTHER_FRAME


def test_a_region_without_contours_or_off_the_scan_is_empty(drawing: Drawing) -> None:
    for contours in ([], [drawing.at(circle(25, 25, 10), 40)], [drawing.at(circle(-900, 0, 9), 4)]):
        error = refused(drawing, make_structures({"GTV-1": contours}, drawing.slices))
        assert error.reason is Exclusion.EMPTY_REGION


def test_a_contour_across_the_slices_is_refused(drawing: Drawing) -> None:
    across = drawing.at(circle(25, 25, 10), 5)
    across[:, 2] += np.linspace(0, 6, len(across))
    error = refused(drawing, make_structures({"GTV-1": [across]}, drawing.slices))
    assert error.reason is Exclusion.BROKEN_REGION


@pytest.mark.parametrize(
    "content",
    [["1", "2", "3", "4"], ["nan"] * 9, ["inf"] * 9, ["1e300"] * 9, ["1", "NEEDLEname", "3"]],
    ids=["odd number", "NaN", "infinite", "beyond bounds", "no number"],
)
def test_broken_coordinates_break_the_region(drawing: Drawing, content: list[str]) -> None:
    good = drawing.at(circle(25, 25, 10), 5)
    path = drawing.save(make_structures({"GTV-1": [good, good]}, drawing.slices))
    text = "\\".join(f"{value:.6f}" for value in good.ravel()).encode()
    replaced = "\\".join(content).encode().ljust(len(text))
    written = path.read_bytes()
    assert text in written
    path.write_bytes(written.replace(text, replaced, 1))
    with pytest.raises(CaseExcluded) as caught:
        read_structure(path, drawing.scan, "GTV-1")
    assert caught.value.reason is Exclusion.BROKEN_REGION


@pytest.mark.parametrize("undefined", [False, True], ids=["lengths", "delimiters"])
def test_a_truncated_file_is_broken_and_not_a_smaller_region(
    drawing: Drawing, undefined: bool
) -> None:
    contours = {"GTV-1": [drawing.at(circle(25, 25, 10), k) for k in range(2, 9)]}
    structures = make_structures(contours, drawing.slices)
    if undefined:
        rois = structures.ROIContourSequence
        structures["ROIContourSequence"].is_undefined_length = True
        rois[0].is_undefined_length_sequence_item = True
        rois[0]["ContourSequence"].is_undefined_length = True
    path = drawing.save(structures)
    whole = path.read_bytes()
    begin = whole.rindex(b"\x06\x30\x39\x00")
    for length in np.linspace(begin + 20, len(whole) - 1, 60).astype(int).tolist():
        path.write_bytes(whole[:length])
        with pytest.raises(CaseExcluded) as caught:
            read_structure(path, drawing.scan, "GTV-1")
        assert caught.value.reason is Exclusion.BROKEN_REGION, length


def test_implicit_vr_and_files_without_preamble_are_read(drawing: Drawing, tmp_path: Path) -> None:
    structures = make_structures({"GTV-1": [drawing.at(circle(25, 25, 10), 5)]}, drawing.slices)
    expected = drawing.read(structures)
    bare = save(structures, tmp_path / "bare", syntax=ImplicitVRLittleEndian, bare=True)
    np.testing.assert_array_equal(read_structure(bare, drawing.scan, "GTV-1"), expected)


def test_a_file_of_another_kind_is_no_region(drawing: Drawing) -> None:
    assert refused(drawing, drawing.slices[0]).reason is Exclusion.BROKEN_REGION


def test_two_outlines_far_apart_are_two_parts(drawing: Drawing) -> None:
    mask = drawing.mask_of([drawing.at(circle(25, 25, 10), k) for k in (2, 9)])
    assert np.flatnonzero(mask.any(axis=(0, 1))).tolist() == [2, 9]


def test_heights_that_were_rounded_apart_are_one_plane(drawing: Drawing) -> None:
    outlines = [(circle(15, 25, 8), 3.0), (circle(15, 25, 4), 3.08), (circle(38, 25, 6), 2.94)]
    mask = drawing.mask_of([drawing.at(one, height) for one, height in outlines])
    expected = drawing.inside(disc(15, 25, 8)) & ~drawing.inside(disc(15, 25, 4))
    expected |= drawing.inside(disc(38, 25, 6))
    assert dice(mask[:, :, 3], expected) > 0.97


@pytest.mark.parametrize(
    ("sequence", "keyword"),
    [
        ("StructureSetROISequence", "ROINumber"),
        ("ROIContourSequence", "ReferencedROINumber"),
    ],
)
def test_two_structures_of_one_number_are_not_guessed_between(
    drawing: Drawing, sequence: str, keyword: str
) -> None:
    small, large = (drawing.at(circle(25, 25, radius), 5) for radius in (5, 15))
    structures = make_structures({"GTV-1": [small], "Lung": [large]}, drawing.slices)
    setattr(structures[sequence].value[1], keyword, 1)
    assert refused(drawing, structures).reason is Exclusion.BROKEN_REGION
