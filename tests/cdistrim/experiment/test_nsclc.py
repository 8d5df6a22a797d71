"""The study of NSCLC-Radiomics on a small collection that the test writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cdistrim.data.cases import pool
from cdistrim.errors import DataError, UsageError
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.plan import Arm, Experiment, ExperimentOptions
from tests.nsclc import Collection

NEEDLE = "LUNG1"


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 usable patients, half of whom lived; one censored, one without the region."""
    made = Collection(tmp_path_factory.mktemp("nsclc"))
    for number in range(24):
        name = f"{NEEDLE}-{number:03}"
        if number % 2:
            made.patient(name, days="900", event="1", radius=8 + number / 8)
        else:
            made.patient(name, days="300", event="1", radius=12 + number / 8)
    made.patient(f"{NEEDLE}-100", days="300", event="0")
    made.patient(f"{NEEDLE}-101", days="900", structure="Heart")
    return made.directory


@pytest.fixture
def run(collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = ExperimentOptions(
        study=StudyName.NSCLC_RADIOMICS, seeds=(1,), quick=True, data=collection
    )
    return Experiment(tmp_path / "run", options)


def test_usable_patients_are_dealt_out_in_the_papers_proportions(run: Experiment) -> None:
    assert run.cases.counts() == (12, 12)
    assert run.study.test == 8
    assert run.study.patients == 16
    split = run.split(Arm(1, 3))
    assert [len(site.train) + len(site.holdout) for site in split.sites] == [4, 4, 4, 4]
    assert len(pool([split.test, *(s.train for s in split.sites)])) == 16


def test_who_is_left_out_is_counted_and_nobody_is_named(run: Experiment) -> None:
    told = " ".join(run.loaded.notes)
    assert "24 of 26 patients are usable; 12 of them lived for two years" in told
    assert "followed up too short to know the label: 1" in told
    assert "no region of the wanted name: 1" in told
    files = [path for path in run.directory.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"cases.npz", "notes.json"}
    assert not any(NEEDLE.encode() in path.read_bytes() for path in files)
    assert not any(NEEDLE in one for one in run.cases.ids)


def test_scans_are_read_once_for_all_processes_of_a_run(run: Experiment, tmp_path: Path) -> None:
    first = run.cases.digest()
    options = run.options.model_copy(update={"data": tmp_path / "gone"})
    assert Experiment(run.directory, options).cases.digest() == first


def test_without_data_the_study_says_where_they_are(tmp_path: Path) -> None:
    options = ExperimentOptions(study=StudyName.NSCLC_RADIOMICS, seeds=(1,))
    with pytest.raises(UsageError, match="come with no package") as caught:
        assert Experiment(tmp_path, options).cases
    assert "--data" in caught.value.hint
    for place, told in ((tmp_path / "none", "no directory"), (tmp_path, "0 CSV files")):
        with pytest.raises(DataError, match=told):
            assert Experiment(tmp_path, options.model_copy(update={"data": place})).cases


def test_a_replica_has_the_papers_exact_numbers_where_there_are_as_many_cases(
    run: Experiment,
) -> None:
    options = run.options.model_copy(update={"quick": False})
    study = Experiment(run.directory, options)._asked_for
    assert (study.sized(704).patients, study.sized(704).test) == (563, 141)
    assert (study.sized(422).patients, study.sized(422).test) == (337, 85)
