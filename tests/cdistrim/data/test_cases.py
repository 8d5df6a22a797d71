from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.cases import CaseSet, SiteData, load_site_data, pool
from cdistrim.errors import DataError
from tests.factories import make_cases, make_site_data


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
    with pytest.raises(DataError, match="neither 0 nor 1"):
        replace(cases, labels=cases.labels + 1)
    with pytest.raises(DataError, match="more than once"):
        replace(cases, ids=(cases.ids[1], *cases.ids[1:]))


def test_a_patient_in_two_pooled_sets_is_refused() -> None:
    with pytest.raises(DataError, match="more than once"):
        pool([make_cases(), make_cases()])
    assert len(pool([make_cases(seed=1), make_cases(seed=2)])) == 48


@pytest.mark.parametrize("damage", ["truncate", "garbage", "pickle"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "train.npz"
    make_cases().save(path)
    if damage == "truncate":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "garbage":
        path.write_bytes(b"no archive at all")
    else:
        np.savez(path, volumes=np.array([{}]), labels=np.zeros(1), ids=np.array(["a"]))
    with pytest.raises(DataError, match="not a readable set"):
        CaseSet.load(path)


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
    with pytest.raises(DataError, match=r"1 of the cases in train\.npz are in holdout\.npz, too"):
        SiteData(cases.subset(range(12)), cases.subset(range(11, 24)))


def test_reported_figures_need_the_agreed_validation_set() -> None:
    data = make_site_data()
    shared = make_cases(prefix="shared")
    assert data.evaluation(reported=False) is data.holdout
    assert replace(data, validation=shared).evaluation(reported=True) is shared
    with pytest.raises(DataError, match="no agreed validation set"):
        data.evaluation(reported=True)
