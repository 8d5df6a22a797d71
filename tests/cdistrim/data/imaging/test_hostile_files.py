"""Damaged files, many and at random: each is read or excluded, and nothing out of it is said."""

from __future__ import annotations

import gzip
import logging
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cdistrim.data.imaging import (
    find_patient_files,
    read_image,
    read_mask,
    read_segmentation,
    read_series,
    read_structure,
)
from cdistrim.data.scan import CaseExcluded, Exclusion
from tests.dicom_objects import (
    NEEDLES,
    affine_of,
    make_ct,
    make_segmentation,
    make_structures,
    save,
    write_ct,
)

MUTATIONS = 150
"""Of each kind of file."""

SHAPE = (9, 8, 5)
AFFINE = affine_of(spacing=(0.8, 1.1, 3.0), origin=(-5.0, 8.0, 20.0))
OUTLINE = np.array([[0.0, 0.0], [6.0, 0.0], [6.0, 7.0], [0.0, 7.0]])
Read = Callable[[], object]


def mutate(content: bytes, random: np.random.Generator) -> bytes:
    """One or several of the ways in which files break."""
    damaged = bytearray(content)
    for _ in range(random.integers(1, 4)):
        if len(damaged) < 20:
            break
        at = int(random.integers(len(damaged)))
        length = int(random.integers(1, 12))
        match random.integers(7):
            case 0:
                del damaged[at:]
            case 1:
                damaged[at : at + length] = random.bytes(length)
            case 2:
                damaged[at : at + 4] = b"\xff" * 4
            case 3:
                damaged[at : at + 4] = b"\0" * 4
            case 4:
                del damaged[at : at + length]
            case 5:
                damaged[at:at] = damaged[at : at + 40]
            case _:
                damaged[at] ^= 1 << int(random.integers(8))
    return bytes(damaged)


class Files:
    """One whole file of each kind, and what reads it."""

    def __init__(self, directory: Path, implicit: bool) -> None:
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        slices = make_ct(np.full(SHAPE, 40), AFFINE)
        self.series = write_ct(directory / "ct", slices, syntax=syntax)
        self.scan = read_series(self.series)
        frame = self.scan.frame
        outlines = [
            np.column_stack([OUTLINE, np.full(4, 3.0 * k)]) + AFFINE[:3, 3] for k in range(1, 4)
        ]
        mask = np.zeros(SHAPE, dtype=bool)
        mask[2:6, 2:6, 1:4] = True
        self.directory = directory
        self.structures = directory / "structures"
        save(make_structures({"GTV-1": outlines}, slices), self.structures, syntax=syntax)
        self.segmentation = directory / "segmentation"
        segmentation = make_segmentation({"GTV-1": mask}, AFFINE, frame=frame)
        save(segmentation, self.segmentation, syntax=syntax)
        self.image = directory / ("image.nii.gz" if implicit else "image.nii")
        image = nib.Nifti1Image(mask.astype(np.int16), np.diag([-1, -1, 1, 1]) @ AFFINE)  # type: ignore[no-untyped-call]
        image.header["descrip"] = b"NEEDLEname"
        nib.save(image, self.image)

    def readers(self) -> Iterator[tuple[Path, Read]]:
        yield self.series[2], lambda: read_series(self.series)
        yield self.structures, lambda: read_structure(self.structures, self.scan, "GTV-1")
        yield self.segmentation, lambda: read_segmentation(self.segmentation, self.scan, "GTV-1")
        yield self.image, lambda: read_image(self.image)
        yield self.image, lambda: read_mask(self.image, self.scan, 1)


def assert_silent(
    caught: list[warnings.WarningMessage],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    output = capfd.readouterr()
    assert (output.out, output.err, caplog.text) == ("", "", "")
    assert [str(one.message) for one in caught] == []


def assert_tells_nothing(error: CaseExcluded) -> None:
    told = f"{error} {error!r} {error.detail}"
    assert not any(needle in told for needle in NEEDLES)
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit VR", "implicit VR, gz"])
def test_damaged_files_are_read_or_excluded_in_silence(
    tmp_path: Path,
    implicit: bool,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for library in ("httpcore", "httpx", "prefect"):
        # A thread that sends another test's logs to its server may still run: it reads no file.
        caplog.set_level(logging.WARNING, logger=library)
    files = Files(tmp_path, implicit)
    capfd.readouterr()
    caplog.clear()
    random = np.random.default_rng([11, implicit])
    excluded = 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for path, read in files.readers():
            whole = path.read_bytes()
            for _ in range(MUTATIONS):
                path.write_bytes(mutate(whole, random))
                try:
                    read()
                except CaseExcluded as error:
                    excluded += 1
                    assert_tells_nothing(error)
            found = find_patient_files(tmp_path)
            assert found.files == 8
            path.write_bytes(whole)
            read()
    assert_silent(caught, caplog, capfd)
    assert excluded > MUTATIONS


@pytest.mark.parametrize(
    "keyword", ["ImagePositionPatient", "PixelSpacing", "RescaleSlope", "ImageOrientationPatient"]
)
def test_a_name_where_a_number_belongs_is_not_repeated(
    tmp_path: Path,
    keyword: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    slices = make_ct(np.full(SHAPE, 40), AFFINE)
    slices[1].SpecificCharacterSet = "ISO_IR 100"
    content = slices[1][keyword]
    length = len("\\".join(str(one) for one in np.atleast_1d(content.value)))
    files = write_ct(tmp_path, slices)
    for path in files:
        whole = path.read_bytes()
        at = whole.index(
            content.tag.group.to_bytes(2, "little") + content.tag.elem.to_bytes(2, "little") + b"DS"
        )
        name = b"NEEDLEname^NEEDLEid"[:length].ljust(length)
        path.write_bytes(whole[: at + 8] + name + whole[at + 8 + length :])
    capfd.readouterr()
    caplog.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(CaseExcluded) as raised:
            read_series(files)
    assert raised.value.reason is Exclusion.BROKEN_SCAN
    assert_tells_nothing(raised.value)
    assert_silent(caught, caplog, capfd)


def test_what_a_header_claims_takes_no_memory(tmp_path: Path) -> None:
    files = Files(tmp_path, implicit=False)
    huge = (65535).to_bytes(2, "little")
    for path in (files.series[2], files.segmentation):
        content = path.read_bytes()
        for rows_or_columns in (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x11\x00US\x02\x00"):
            at = content.index(rows_or_columns) + len(rows_or_columns)
            content = content[:at] + huge + content[at + 2 :]
        path.write_bytes(content)
    image = files.image.read_bytes()
    sizes = np.array([700, 700, 700], "<i2").tobytes()
    files.image.write_bytes(gzip.compress(image[:42] + sizes + image[48:]))
    # A length of 4 GB in the place of the last element's.
    structures = files.structures.read_bytes()
    at = structures.rindex(b"\x06\x30\x39\x00SQ")
    cut = structures[: at + 8] + b"\xf0\xff\xff\xff" + structures[at + 12 :]
    files.structures.write_bytes(cut)
    for path, read in files.readers():
        tracemalloc.start()
        with pytest.raises(CaseExcluded):
            read()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1 << 22, path.name


def test_logging_is_as_it_was_after_reading(tmp_path: Path) -> None:
    logger = logging.getLogger("pydicom")
    level = logger.level
    files = Files(tmp_path, implicit=False)
    files.structures.write_bytes(b"")
    with pytest.raises(CaseExcluded):
        read_structure(files.structures, files.scan, "GTV-1")
    assert logger.level == level
