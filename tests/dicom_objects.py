"""DICOM objects of known geometry, for tests of what reads them. Made by pydicom alone."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    RTStructureSetStorage,
    SegmentationStorage,
    generate_uid,
)

__all__ = [
    "NEEDLES",
    "affine_of",
    "make_ct",
    "make_segmentation",
    "make_structures",
    "save",
    "write_ct",
]

NEEDLES = ("NEEDLEname", "NEEDLEid", "NEEDLEinstitution", "NEEDLEtext")
"""What must not be found in any text."""

Contours = Mapping[str, Sequence[NDArray[np.float64]]]
"""By the structure's name: closed planar polygons, each of shape (points, 3), in mm."""


def affine_of(
    *,
    spacing: tuple[float, float, float] = (1.0, 1.0, 3.0),
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    degrees: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> NDArray[np.float64]:
    """Index to mm: turned about x, then y, then z by these angles."""
    turned = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        one, other = [k for k in range(3) if k != axis]
        turn = np.eye(3)
        turn[one, one] = turn[other, other] = np.cos(angle)
        turn[other, one], turn[one, other] = np.sin(angle), -np.sin(angle)
        turned = turn @ turned
    affine = np.eye(4)
    affine[:3, :3] = turned * np.array(spacing)
    affine[:3, 3] = origin
    return affine


def make_ct(
    hounsfield: NDArray[np.int_],
    affine: NDArray[np.float64],
    *,
    patient: str = "NEEDLEid",
    series: str = "",
    frame: str = "",
    slope: float = 1.0,
    intercept: float = -1024.0,
) -> list[Dataset]:
    """One object a slice of (x, y, z) values; instance numbers run against the positions."""
    series, frame, study = series or generate_uid(), frame or generate_uid(), generate_uid()
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    slices = []
    for k in range(hounsfield.shape[2]):
        one = _object(CTImageStorage, patient, frame=frame, series=series, study=study)
        one.Modality = "CT"
        one.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        one.InstanceNumber = hounsfield.shape[2] - k
        one.ImagePositionPatient = [f"{value:.6f}" for value in (affine @ (0, 0, k, 1))[:3]]
        directions = np.concatenate([affine[:3, 0] / spacing[0], affine[:3, 1] / spacing[1]])
        one.ImageOrientationPatient = [f"{value:.10f}" for value in directions]
        one.PixelSpacing = [f"{spacing[1]:.8f}", f"{spacing[0]:.8f}"]
        one.SliceThickness = f"{spacing[2]:.6f}"
        one.RescaleSlope, one.RescaleIntercept = slope, intercept
        stored = np.rint((hounsfield[:, :, k].T - intercept) / slope)
        _set_pixels(one, stored.astype("<u2" if stored.min() >= 0 else "<i2"))
        slices.append(one)
    return slices


def write_ct(
    directory: Path,
    slices: Sequence[Dataset],
    *,
    syntax: UID = ExplicitVRLittleEndian,
    bare: bool = False,
) -> list[Path]:
    """The files, with names that say nothing about the order, in the order of their names."""
    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for number, one in enumerate(slices):
        shuffled = uuid.uuid5(uuid.NAMESPACE_OID, f"{number}").hex[:8]
        files.append(save(one, directory / f"{shuffled}.dcm", syntax=syntax, bare=bare))
    return sorted(files)


def make_structures(
    contours: Contours,
    slices: Sequence[Dataset],
    *,
    frame: str | None = None,
    kind: str = "CLOSED_PLANAR",
    patient: str = "NEEDLEid",
) -> Dataset:
    """An RTSTRUCT that belongs to a series."""
    first = slices[0]
    frame = first.FrameOfReferenceUID if frame is None else frame
    one = _object(RTStructureSetStorage, patient, study=first.StudyInstanceUID)
    one.Modality = "RTSTRUCT"
    one.StructureSetLabel = "NEEDLEname"
    one.ReferencedFrameOfReferenceSequence = [
        _item(
            FrameOfReferenceUID=frame,
            RTReferencedStudySequence=[
                _item(
                    ReferencedSOPInstanceUID=first.StudyInstanceUID,
                    RTReferencedSeriesSequence=[_item(SeriesInstanceUID=first.SeriesInstanceUID)],
                )
            ],
        )
    ]
    one.StructureSetROISequence = [
        _item(ROINumber=number, ReferencedFrameOfReferenceUID=frame, ROIName=name)
        for number, name in enumerate(contours, 1)
    ]
    one.ROIContourSequence = [
        _item(
            ReferencedROINumber=number,
            ContourSequence=[
                _item(
                    ContourGeometricType=kind,
                    NumberOfContourPoints=len(points),
                    ContourData=[f"{value:.6f}" for value in points.ravel()],
                )
                for points in polygons
            ],
        )
        for number, polygons in enumerate(contours.values(), 1)
    ]
    return one


def make_segmentation(
    segments: Mapping[str, NDArray[np.bool_]],
    affine: NDArray[np.float64],
    *,
    frame: str,
    series: str = "",
    fractional: bool = False,
    spacing_between: bool = True,
    patient: str = "NEEDLEid",
) -> Dataset:
    """A SEG of masks (x, y, z); slices without a voxel have no frame."""
    one = _object(SegmentationStorage, patient, frame=frame)
    one.Modality = "SEG"
    one.SegmentationType = "FRACTIONAL" if fractional else "BINARY"
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    one.SegmentSequence = [
        _item(SegmentNumber=number, SegmentLabel=label) for number, label in enumerate(segments, 1)
    ]
    if series:
        one.ReferencedSeriesSequence = [_item(SeriesInstanceUID=series)]
    measures = _item(
        PixelSpacing=[f"{spacing[1]:.8f}", f"{spacing[0]:.8f}"], SliceThickness=f"{spacing[2]:.6f}"
    )
    if spacing_between:
        measures.SpacingBetweenSlices = f"{spacing[2]:.6f}"
    directions = np.concatenate([affine[:3, 0] / spacing[0], affine[:3, 1] / spacing[1]])
    one.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[measures],
            PlaneOrientationSequence=[
                _item(ImageOrientationPatient=[f"{value:.10f}" for value in directions])
            ],
        )
    ]
    groups, planes = [], []
    for number, mask in enumerate(segments.values(), 1):
        for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist():
            position = [f"{value:.6f}" for value in (affine @ (0, 0, k, 1))[:3]]
            groups.append(
                _item(
                    SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=number)],
                    PlanePositionSequence=[_item(ImagePositionPatient=position)],
                )
            )
            planes.append(mask[:, :, k].T)
    one.PerFrameFunctionalGroupsSequence = groups
    one.NumberOfFrames = len(planes)
    stacked = np.array(planes)
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.Rows, one.Columns = stacked.shape[1:]
    one.PixelRepresentation = 0
    if fractional:
        one.MaximumFractionalValue = 200
        one.SegmentationFractionalType = "OCCUPANCY"
        one.BitsAllocated, one.BitsStored, one.HighBit = 8, 8, 7
        content = np.where(stacked, 150, 40).astype(np.uint8).tobytes()
    else:
        one.BitsAllocated, one.BitsStored, one.HighBit = 1, 1, 0
        content = np.packbits(stacked.ravel(), bitorder="little").tobytes()
    one.PixelData = content + b"\0" * (len(content) % 2)
    one["PixelData"].VR = "OB"
    return one


def save(
    one: Dataset, path: Path, *, syntax: UID = ExplicitVRLittleEndian, bare: bool = False
) -> Path:
    """Write an object; a bare one has neither preamble nor meta information."""
    if bare:
        one = Dataset(one)
        one.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True)
        return path
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = syntax
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.save_as(path, enforce_file_format=True)
    return path


def change(slices: Sequence[Dataset], changed: Callable[[int, Dataset], None]) -> None:
    """Alter every slice."""
    for number, one in enumerate(slices):
        changed(number, one)


def _object(
    kind: UID, patient: str, *, frame: str = "", series: str = "", study: str = ""
) -> Dataset:
    one = Dataset()
    one.SpecificCharacterSet = "ISO_IR 100"
    one.SOPClassUID, one.SOPInstanceUID = kind, generate_uid()
    one.StudyDate = "20010203"
    one.StudyDescription = "NEEDLEtext"
    one.InstitutionName = "NEEDLEinstitution"
    one.PatientName, one.PatientID = "NEEDLEname^Ann", patient
    one.StudyInstanceUID, one.SeriesInstanceUID = study or generate_uid(), series or generate_uid()
    if frame:
        one.FrameOfReferenceUID = frame
    return one


def _item(**elements: object) -> Dataset:
    one = Dataset()
    for keyword, value in elements.items():
        setattr(one, keyword, value)
    return one


def _set_pixels(one: Dataset, stored: NDArray[np.int_]) -> None:
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.Rows, one.Columns = stored.shape
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.PixelRepresentation = int(stored.dtype.kind == "i")
    one.PixelData = stored.tobytes()
    one["PixelData"].VR = "OW"
