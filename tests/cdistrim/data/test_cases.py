from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cdistrim.data.cases import CaseSet, SiteData, load_site_data, pool
from cdistrim.errors import DataError
from tests.factories import make_cases, make_rows, make_site_data


def test_a_saved_set_loads_as_it_was(tmp_path: Path) -> None:
    cases = make_cases()
    cases.save(tmp_path / "a" / "train.npz")
    loaded = CaseSet.load(tmp_path / "a" / "train.npz")
    assert loaded.digest() == cases.digest()
    assert [entry.name for entry in (tmp_path / "a").iterdir()] == ["train.npz"]


def test_the_digest_changes_with_a_label_a_voxel_and_an_identifier() -> None:
    cases = make_cases()
    volumes = cases.volumes.copy()
    volumes[0, 0, 0, 0, 0] += 1
    others = [
        replace(cases, labels=1 - cases.labels),
        replace(cases, volumes=volumes),
        replace(cases, ids=("other", *cases.ids[1:])),
    ]
    assert len({one.digest() for one in [cases, *others]}) == 4


def test_a_set_without_cases_is_refused() -> None:
    with pytest.raises(DataError, match="no cases"):
        CaseSet(np.zeros((0, 1, 8, 8, 8), np.float16), np.zeros(0, np.int8), ())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_volumes_that_are_not_finite_are_refused_and_no_case_is_named(value: float) -> None:
    cases = make_cases()
    volumes = cases.volumes.copy()
    volumes[3, 0, 1, 1, 1] = value
    with pytest.raises(DataError, match="1 of 24 volumes") as caught:
        replace(cases, volumes=volumes)
    assert cases.ids[3] not in str(caught.value)


def test_parts_that_do_not_belong_together_are_refused() -> None:
    cases = make_cases()
    with pytest.raises(DataError, match="belong together"):
        replace(cases, labels=cases.labels[:-1])
    with pytest.raises(DataError, match="shape"):
        replace(cases, volumes=cases.volumes[:, 0])
    with pytest.raises(DataError, match="no class"):
        replace(cases, labels=cases.labels - 1)
    with pytest.raises(DataError, match="more than once"):
        replace(cases, ids=(cases.ids[1], *cases.ids[1:]))


def test_classes_are_counted_and_each_needs_cases() -> None:
    rows = make_rows((5, 4, 3))
    assert rows.counts() == rows.counts(3) == (5, 4, 3)
    assert rows.counts(4) == (5, 4, 3, 0)
    rows.require_classes(3)
    with pytest.raises(DataError, match="5 cases of class 0, 4 of class 1 and 3 of class 2; at le"):
        rows.require_classes(4)
    with pytest.raises(DataError, match="0 of class 3"):
        rows.require_classes(1, classes=4)
    with pytest.raises(DataError, match="labels up to 2; there are 2 classes"):
        rows.require_classes(1, classes=2)


def test_rows_of_a_table_are_told_from_volumes(tmp_path: Path) -> None:
    rows = make_rows()
    assert rows.is_table
    assert not make_cases().is_table
    rows.save(tmp_path / "train.npz")
    assert CaseSet.load(tmp_path / "train.npz").digest() == rows.digest()


def test_a_patient_in_two_pooled_sets_is_refused() -> None:
    with pytest.raises(DataError, match="more than once"):
        pool([make_cases(), make_cases()])
    assert len(pool([make_cases(seed=1), make_cases(seed=2)])) == 48


SECRET = "Jane Doe"  # noqa: S105  what no message may say


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def _alter(path: Path) -> None:
    """In the middle, where the volumes are."""
    data = bytearray(path.read_bytes())
    for place in range(len(data) // 2, len(data) // 2 + 64):
        data[place] ^= 0xFF
    path.write_bytes(data)


def _encrypt(path: Path) -> None:
    """Marks every member as encrypted, in its own header and in the archive's directory."""
    data = bytearray(path.read_bytes())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            data[at + flags] |= 1
    path.write_bytes(data)


def _inflate(path: Path) -> None:
    """Volumes of more bytes than any machine has, by what their header says."""
    header = io.BytesIO()
    shape = (1 << 40, 1, 8, 8, 8)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f2", "fortran_order": False, "shape": shape}
    )
    _save(path, volumes=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("volumes.npy", header.getvalue())


def _save(path: Path, **changes: object) -> None:
    """The cases with other arrays; None leaves one out."""
    cases = make_cases()
    arrays = {"volumes": cases.volumes, "labels": cases.labels, "ids": np.array(cases.ids)}
    changed: dict[str, Any] = arrays | changes
    np.savez(path, **{name: array for name, array in changed.items() if array is not None})


def _of(**changes: object) -> Callable[[Path], None]:
    return lambda path: _save(path, **changes)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (Path.unlink, "There is no file"),
        (lambda path: path.write_bytes(b"no archive: " + SECRET.encode()), "is no .npz file"),
        (lambda path: path.write_bytes(b""), "is no .npz file"),
        (_truncate, "is no .npz file, or was cut short"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "is no .npz file"),
        (_alter, "is damaged"),
        (_encrypt, "is damaged or encrypted"),
        (_inflate, "more than fits into this machine's memory"),
        (_of(volumes=np.array([{SECRET: 1}])), "of Python objects"),
        (_of(labels=None), "lacks the array labels."),
        (_of(labels=None, ids=None), "lacks the arrays labels and ids."),
        (_of(**{SECRET: np.zeros(1)}), "has 1 array besides volumes, labels and ids"),
        (
            _of(volumes=np.array([SECRET])),
            "array volumes has the type str256; expected are numbers",
        ),
        (_of(labels=np.array([SECRET] * 24)), "array labels has the type str256; expected are"),
        (_of(labels=np.zeros(24, [(SECRET, int)])), "array labels has the type void64; expected"),
        (_of(ids=np.zeros(24)), "array ids has the type float64; expected are texts"),
        (_of(ids=np.array([[SECRET]])), "array ids has shape (1, 1); expected is (cases,)"),
        (_of(ids=np.array(SECRET)), "array ids has shape (); expected is (cases,)"),
        (_of(volumes=np.zeros((24, 8, 8, 8))), "volumes have shape (24, 8, 8, 8); expected"),
        (_of(volumes=np.full((24, 1, 8, 8, 8), 1e9)), "24 of 24 volumes hold values that are not"),
        (_of(labels=np.zeros(23)), "do not belong together"),
        (_of(labels=np.array([0, 1] * 11 + [0.5, -1])), "2 of 24 labels are no class"),
        (_of(labels=np.array([0, 1] * 11 + [100, 1])), "1 of 24 labels is no class"),
    ],
)
def test_why_a_file_can_not_be_used_is_told_and_nothing_that_is_in_it(
    tmp_path: Path, spoil: Callable[[Path], object], told: str
) -> None:
    path = tmp_path / "train.npz"
    make_cases().save(path)
    spoil(path)

    with pytest.raises(DataError) as caught:
        CaseSet.load(path)

    assert told in caught.value.what
    assert str(path) in caught.value.what
    assert caught.value.hint
    assert SECRET not in str(caught.value)
    assert not [one for one in make_cases().ids if one in str(caught.value)]


def test_a_file_that_this_account_may_not_read_is_no_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    make_cases().save(tmp_path / "train.npz")
    monkeypatch.setattr(Path, "open", refused)  # Who runs this may be root, and read everything.
    with pytest.raises(DataError, match=r"can't be read: Permission denied\."):
        CaseSet.load(tmp_path / "train.npz")


def test_a_directory_where_a_file_belongs_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.npz").mkdir()
    with pytest.raises(DataError, match=r"can't be read: Is a directory\."):
        CaseSet.load(tmp_path / "train.npz")


def test_a_site_loads_what_it_saved(tmp_path: Path) -> None:
    data = make_site_data(holdout=10)
    data.save(tmp_path)
    loaded = load_site_data(tmp_path, min_cases_per_class=5)
    assert loaded.train.digest() == data.train.digest()
    assert loaded.holdout.digest() == data.holdout.digest()
    assert loaded.validation is None


def test_a_site_without_a_data_file_is_refused(tmp_path: Path) -> None:
    make_cases().save(tmp_path / "train.npz")
    with pytest.raises(DataError, match=r"no file .*holdout\.npz"):
        load_site_data(tmp_path)


def test_a_site_with_one_class_is_refused_with_its_counts(tmp_path: Path) -> None:
    data = make_site_data()
    SiteData(data.train.subset(np.flatnonzero(data.train.labels)), data.holdout).save(tmp_path)
    with pytest.raises(DataError, match="0 cases of class 0 and 24 of class 1"):
        load_site_data(tmp_path)


def test_a_patient_in_training_set_and_holdout_is_refused() -> None:
    cases = make_cases()
    with pytest.raises(DataError, match=r"1 of the cases in train\.npz is in holdout\.npz, too"):
        SiteData(cases.subset(range(12)), cases.subset(range(11, 24)))


def test_reported_figures_need_the_agreed_validation_set() -> None:
    data = make_site_data()
    shared = make_cases(prefix="shared")
    assert data.evaluation(reported=False) is data.holdout
    assert replace(data, validation=shared).evaluation(reported=True) is shared
    with pytest.raises(DataError, match="no agreed validation set"):
        data.evaluation(reported=True)
