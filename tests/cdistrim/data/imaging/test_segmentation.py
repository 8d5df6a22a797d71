from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from cdistrim.data.imaging import read_segmentation
from cdistrim.data.scan import CaseExcluded, Exclusion, Mask, Scan
from tests.dicom_objects import affine_of, make_segmentation, save

FRAME = "1.2.3.4"
SHAPE = (33, 29, 14)
AFFINE = affine_of(spacing=(0.9, 1.3, 2.5), origin=(-10.0, 20.0, 5.0), degrees=(10, 20, -30))
SCAN = Scan(np.zeros(SHAPE, dtype=np.float32), AFFINE, FRAME)
CENTRE = AFFINE @ np.array([15.3, 13.6, 6.4, 1.0])


def ball(affine: NDArray[np.float64], shape: tuple[int, int, int], radius: float) -> Mask:
    """Voxels whose centres are inside of a ball that is fixed in the patient."""
    index = np.concatenate([np.indices(shape).reshape(3, -1), np.ones((1, np.prod(shape)))])
    inside: Mask = np.linalg.norm((affine @ index - CENTRE[:, None])[:3], axis=0) <= radius
    return inside.reshape(shape)


BALL = ball(AFFINE, SHAPE, 11.0)
PARTS = BALL & (np.arange(SHAPE[2]) % 3 != 1)


def dice(one: Mask, other: Mask) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def read(directory: Path, segmentation: Dataset, name: str = "GTV-1") -> Mask:
    return read_segmentation(save(segmentation, directory / "seg"), SCAN, name)


def refused(directory: Path, segmentation: Dataset, name: str = "GTV-1") -> CaseExcluded:
    with pytest.raises(CaseExcluded) as caught:
        read(directory, segmentation, name)
    return caught.value


@pytest.mark.parametrize("fractional", [False, True], ids=["binary", "fractional"])
@pytest.mark.parametrize("between", [True, False], ids=["spacing told", "spacing not told"])
def test_frames_lie_where_they_say_and_slices_without_one_are_empty(
    tmp_path: Path, fractional: bool, between: bool
) -> None:
    segments = {"Lung": ~BALL, "GTV-1": PARTS}
    made = make_segmentation(
        segments, AFFINE, frame=FRAME, fractional=fractional, spacing_between=between
    )
    np.testing.assert_array_equal(read(tmp_path, made), PARTS)
    np.testing.assert_array_equal(read(tmp_path, made, "lung"), ~BALL)


def test_the_order_of_frames_means_nothing(tmp_path: Path) -> None:
    made = make_segmentation({"GTV-1": PARTS}, AFFINE, frame=FRAME, fractional=True)
    frames = np.frombuffer(made.PixelData, np.uint8)[: made.NumberOfFrames * 33 * 29]
    order = np.random.default_rng(2).permutation(made.NumberOfFrames)
    made.PixelData = frames.reshape(-1, 33 * 29)[order].tobytes() + b"\0" * (len(frames) % 2)
    groups = made.PerFrameFunctionalGroupsSequence
    made.PerFrameFunctionalGroupsSequence = [groups[number] for number in order]
    np.testing.assert_array_equal(read(tmp_path, made), PARTS)


def test_groups_of_each_frame_go_before_shared_ones(tmp_path: Path) -> None:
    made = make_segmentation({"GTV-1": PARTS}, AFFINE, frame=FRAME)
    shared = made.SharedFunctionalGroupsSequence[0]
    for group in made.PerFrameFunctionalGroupsSequence:
        group.PlaneOrientationSequence = shared.PlaneOrientationSequence
        group.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence
    np.testing.assert_array_equal(read(tmp_path, made), PARTS)


def test_frames_on_every_other_slice_of_the_scan_leave_the_others_empty(tmp_path: Path) -> None:
    odd = BALL & (np.arange(SHAPE[2]) % 2 == 1)
    made = make_segmentation({"GTV-1": odd}, AFFINE, frame=FRAME, spacing_between=False)
    del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness
    np.testing.assert_array_equal(read(tmp_path, made), odd)


def test_a_single_frame_is_one_slice(tmp_path: Path) -> None:
    one = BALL & (np.arange(SHAPE[2]) == 6)
    made = make_segmentation({"GTV-1": one}, AFFINE, frame=FRAME, spacing_between=False)
    np.testing.assert_array_equal(read(tmp_path, made), one)


def test_a_segment_of_flipped_axes_is_turned(tmp_path: Path) -> None:
    flipped = AFFINE @ np.array([[-1, 0, 0, 32], [0, 1, 0, 0], [0, 0, -1, 13], [0, 0, 0, 1.0]])
    made = make_segmentation({"GTV-1": PARTS[::-1, :, ::-1]}, flipped, frame=FRAME)
    np.testing.assert_array_equal(read(tmp_path, made), PARTS)


def test_a_segment_on_another_grid_gives_each_voxel_the_nearest_value(tmp_path: Path) -> None:
    other = affine_of(spacing=(0.2, 0.21, 0.2), degrees=(-5, 0, 12))
    shape = (121, 113, 119)
    other[:3, 3] = CENTRE[:3] - other[:3, :3] @ (np.array(shape) / 2)
    made = make_segmentation({"GTV-1": ball(other, shape, 11.0)}, other, frame=FRAME)
    assert dice(read(tmp_path, made), BALL) > 0.99


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless], ids=["implicit", "RLE"])
def test_other_transfer_syntaxes_change_nothing(tmp_path: Path, syntax: UID) -> None:
    made = make_segmentation({"GTV-1": PARTS}, AFFINE, frame=FRAME, fractional=True)
    if syntax == RLELossless:
        made.file_meta = FileMetaDataset()
        made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        made.compress(RLELossless, generate_instance_uid=False)
    file = save(made, tmp_path / "seg", syntax=RLELossless if made.get("file_meta") else syntax)
    np.testing.assert_array_equal(read_segmentation(file, SCAN, "GTV-1"), PARTS)


def test_an_absent_or_doubled_label_and_another_frame_are_told(tmp_path: Path) -> None:
    made = make_segmentation(
        {"NEEDLEname": BALL, "gtv 1": BALL, "GTV_1": BALL}, AFFINE, frame=FRAME
    )
    error = refused(tmp_path, made, "Heart")
    assert (error.reason, error.detail) == (Exclusion.NO_REGION, "3 of other names")
    assert refused(tmp_path, made).reason is Exclusion.SEVERAL_REGIONS
    made = make_segmentation({"GTV-1": BALL}, AFFINE, frame=generate_uid())
    assert refused(tmp_path, made).reason is Exclusion.OTHER_FRAME


def test_a_segment_without_frames_or_off_the_scan_is_empty(tmp_path: Path) -> None:
    nothing = np.zeros(SHAPE, dtype=bool)
    made = make_segmentation({"GTV-1": nothing, "Lung": BALL}, AFFINE, frame=FRAME)
    assert refused(tmp_path, made).reason is Exclusion.EMPTY_REGION
    away = AFFINE.copy()
    away[:3, 3] += 500
    made = make_segmentation({"GTV-1": BALL}, away, frame=FRAME)
    assert refused(tmp_path, made).reason is Exclusion.EMPTY_REGION


def _uneven(one: Dataset) -> None:
    position = one.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    position.ImagePositionPatient = [value + 0.4 for value in position.ImagePositionPatient]
    del one.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SpacingBetweenSlices


def _far(one: Dataset) -> None:
    position = one.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    normal = AFFINE[:3, 2] / 2.5
    position.ImagePositionPatient = [f"{value:.3f}" for value in 2.5e6 * normal + AFFINE[:3, 3]]


@pytest.mark.parametrize(
    "change",
    [
        lambda one: setattr(one, "PixelData", one.PixelData[:-40]),
        lambda one: delattr(one, "PixelData"),
        lambda one: setattr(one, "NumberOfFrames", 3),
        lambda one: setattr(one, "NumberOfFrames", 2**31 - 1),
        lambda one: one.update({"Rows": 65535, "Columns": 65535}),
        lambda one: setattr(one, "SegmentationType", "LABELMAP"),
        lambda one: delattr(one, "SharedFunctionalGroupsSequence"),
        lambda one: delattr(one, "PerFrameFunctionalGroupsSequence"),
        lambda one: setattr(one, "BitsAllocated", 16),
        _uneven,
        _far,
    ],
    ids=[
        "cut", "no pixels", "other number of frames", "endless frames", "huge", "label map",
        "no spacing", "no positions", "16 bits", "uneven", "a frame 2.5 km away",
    ],
)  # fmt: skip
def test_a_broken_segmentation_is_told(tmp_path: Path, change: object) -> None:
    made = make_segmentation({"GTV-1": PARTS}, AFFINE, frame=FRAME)
    assert callable(change)
    change(made)
    assert refused(tmp_path, made).reason is Exclusion.BROKEN_REGION
