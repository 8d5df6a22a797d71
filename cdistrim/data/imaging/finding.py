"""Which DICOM files lie below a directory, and whose they are, by their headers alone.

The Cancer Imaging Archive publishes a directory a patient, study and series, but names and depth
differ between collections and downloads: only headers are believed.
"""

from __future__ import annotations

import filecmp
import io
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from pydicom import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

from cdistrim.data.imaging.dicom_files import (
    MAX_FILE,
    RT_STRUCTURE_SET,
    SEGMENTATION,
    items,
    refuse_deflated,
    text,
)
from cdistrim.data.imaging.guard import UnreadableError, silence
from cdistrim.data.imaging.patient_files import CtSeries, PatientFiles, RegionFile, RegionKind
from cdistrim.data.imaging.series import is_ct_slice
from cdistrim.errors import DataError
from cdistrim.files import read_regular

__all__ = ["FoundFiles", "find_patient_files"]

HEADER = 1 << 14
"""Bytes of a file that are read first; most headers end there."""

_WANTED = [
    Tag(keyword)
    for keyword in (
        "SOPClassUID",
        "SOPInstanceUID",
        "Modality",
        "ImageType",
        "PatientID",
        "SeriesInstanceUID",
        "FrameOfReferenceUID",
        "ReferencedSeriesSequence",
        "SegmentSequence",
        "ReferencedFrameOfReferenceSequence",
        "StructureSetROISequence",
    )
]
_AFTER = Tag("ROIContourSequence")
"""Here contours begin; groups of frames and pixels come later still."""
_DIRECTORY = "1.2.840.10008.1.3.10"
_SUFFIXES = (".dcm", ".dicom")


@dataclass(frozen=True)
class FoundFiles:
    """What lies below a directory.

    Args:
        patients: By PatientID; only those with a CT series, an RTSTRUCT or a SEG.
        files: Regular files that were looked at; one that is reached by several names counts once.
        foreign: Of them, no DICOM files.
        other: DICOM files of other kinds: localizers, secondary captures, plans, doses.
        unreadable: Files and directories that can't be read, or whose header is broken. Such a
            file counts as one of the series that it lies among, if they are one patient's: a scan
            that lost its last slice looks whole, and must not pass for it.
        nameless: Images and regions that name no patient.
    """

    patients: Mapping[str, PatientFiles] = field(repr=False)
    files: int
    foreign: int
    other: int
    unreadable: int
    nameless: int


def find_patient_files(root: Path, progress: Callable[[int], None] | None = None) -> FoundFiles:
    """Look at all files below a directory, whatever they are called.

    Symbolic links are followed, each directory is entered once. What can't be read is counted.

    Args:
        root: The directory.
        progress: Called after each file with how many were looked at.

    Raises:
        DataError: There is no such directory, or it can't be read.
    """
    search = _Search()
    try:
        with os.scandir(root):
            pass
    except OSError as error:
        raise DataError(
            f"The directory of scans {root} can't be read: {error.strerror}.",
            hint="Correct its place in site.json, or see whether this account may read it.",
        ) from None
    with silence():
        for number, path in enumerate(search.walk(root), 1):
            search.look_at(path)
            if progress:
                progress(number)
    return search.result()


@dataclass
class _OfPatient:
    files: dict[str, list[Path]] = field(default_factory=dict)
    frames: dict[str, str] = field(default_factory=dict)
    regions: dict[str, RegionFile] = field(default_factory=dict)

    def result(self, shared: set[str]) -> PatientFiles:
        return PatientFiles(
            tuple(
                CtSeries(tuple(self.files[uid]), uid, self.frames[uid], uid in shared)
                for uid in sorted(self.files)
            ),
            tuple(self.regions[instance] for instance in sorted(self.regions)),
        )


class _Search:
    def __init__(self) -> None:
        self._patients: dict[str, _OfPatient] = {}
        self._seen: set[tuple[int, int]] = set()
        self._broken: list[Path] = []
        self._owners: defaultdict[str, set[str]] = defaultdict(set)
        self._files = self._foreign = self._other = self._unreadable = self._nameless = 0

    def result(self) -> FoundFiles:
        self._attribute_broken()
        shared = {series for series, owners in self._owners.items() if len(owners) > 1}
        return FoundFiles(
            {patient: found.result(shared) for patient, found in sorted(self._patients.items())},
            files=self._files,
            foreign=self._foreign,
            other=self._other,
            unreadable=self._unreadable,
            nameless=self._nameless,
        )

    def walk(self, root: Path) -> Iterator[Path]:
        """Regular files, each once, in the order of their paths."""
        waiting = [root]
        while waiting:
            path = waiting.pop()
            try:
                status = path.stat()
                identity = (status.st_dev, status.st_ino)
                if identity in self._seen:
                    continue
                self._seen.add(identity)
                if S_ISDIR(status.st_mode):
                    waiting += sorted(path.iterdir(), reverse=True)
                    continue
            except OSError:  # No right to, a link that leads nowhere or to itself.
                self._unreadable += 1
                continue
            if S_ISREG(status.st_mode):
                self._files += 1
                yield path

    def look_at(self, path: Path) -> None:
        try:
            header = _read_header(path)
            if header is None:
                if path.suffix.lower() in _SUFFIXES:
                    raise UnreadableError("called DICOM, and none any more")
                self._foreign += 1
                return
            self._add(path, header)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - any, from any depth of pydicom
            self._unreadable += 1
            self._broken.append(path)

    def _attribute_broken(self) -> None:
        among: defaultdict[Path, set[tuple[str, str]]] = defaultdict(set)
        for patient, found in self._patients.items():
            for series, files in found.files.items():
                for file in files:
                    among[file.parent].add((patient, series))
        for path in self._broken:
            neighbours = among.get(path.parent, set())
            if len({patient for patient, _ in neighbours}) == 1:
                for patient, series in neighbours:
                    self._patients[patient].files[series].append(path)

    def _add(self, path: Path, header: Dataset) -> None:
        region = _region(path, header)
        if region is None and not is_ct_slice(header):
            _require_class(header)
            self._other += 1
            return
        patient, instance = text(header, "PatientID"), text(header, "SOPInstanceUID")
        series = text(header, "SeriesInstanceUID")
        if region is None:
            self._owners[series].add(patient)
        if not patient:
            self._nameless += 1
            return
        found = self._patients.setdefault(patient, _OfPatient())
        if region is not None:
            known = found.regions.setdefault(instance or str(path), region)
            if known is not region and not filecmp.cmp(known.file, path, shallow=False):
                found.regions[f"{instance} {path}"] = region
        else:
            found.files.setdefault(series, []).append(path)
            found.frames.setdefault(series, text(header, "FrameOfReferenceUID"))


def _read_header(path: Path) -> Dataset | None:
    """The wanted elements; None if it is no DICOM file."""
    content = read_regular(path, HEADER)
    if not _looks_like_dicom(content):
        return None
    refuse_deflated(content)
    if len(content) == HEADER:
        try:
            header, ended = _parse(content)
        except Exception:  # noqa: BLE001 - a part that ends within a sequence is no broken file
            ended = False
        if ended:
            return header
        content = read_regular(path, MAX_FILE)
    header, _ = _parse(content)
    return header


def _looks_like_dicom(content: bytes) -> bool:
    # Without a preamble a file begins with an element of group 2 or 8, whose number is low.
    return content[128:132] == b"DICM" or (
        len(content) > 8 and content[:2] in (b"\x02\0", b"\x08\0") and content[3:4] == b"\0"
    )


def _parse(content: bytes) -> tuple[Dataset, bool]:
    """The wanted elements, and whether the part of the file that has them is complete."""
    ended = False

    def after(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal ended
        ended = int(tag) >= int(_AFTER)
        return ended

    wanted: list[BaseTag | int] = list(_WANTED)
    header = read_partial(io.BytesIO(content), after, force=True, specific_tags=wanted)
    return header, ended


def _require_class(header: Dataset) -> None:
    """See that a file says what it is; a DICOMDIR does so before its first element."""
    meta = getattr(header, "file_meta", None) or Dataset()
    if not text(header, "SOPClassUID") and text(meta, "MediaStorageSOPClassUID") != _DIRECTORY:
        raise UnreadableError("a file that does not say what it is")


def _region(path: Path, header: Dataset) -> RegionFile | None:
    kind = text(header, "SOPClassUID")
    if kind == RT_STRUCTURE_SET:
        frames = items(header, "ReferencedFrameOfReferenceSequence")
        structures = items(header, "StructureSetROISequence")
        series = [
            text(series, "SeriesInstanceUID")
            for frame in frames
            for study in items(frame, "RTReferencedStudySequence")
            for series in items(study, "RTReferencedSeriesSequence")
        ]
        return RegionFile(
            path,
            RegionKind.STRUCTURES,
            names=tuple(text(one, "ROIName") for one in structures),
            series=frozenset(series) - {""},
            frames=frozenset(
                [text(one, "FrameOfReferenceUID") for one in frames]
                + [text(one, "ReferencedFrameOfReferenceUID") for one in structures]
            )
            - {""},
        )
    if kind == SEGMENTATION:
        referred = items(header, "ReferencedSeriesSequence")
        return RegionFile(
            path,
            RegionKind.SEGMENTATION,
            names=tuple(text(one, "SegmentLabel") for one in items(header, "SegmentSequence")),
            series=frozenset(text(one, "SeriesInstanceUID") for one in referred) - {""},
            frames=frozenset([text(header, "FrameOfReferenceUID")]) - {""},
        )
    return None
