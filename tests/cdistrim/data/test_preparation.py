"""A source becomes a site's sets: stable, repeatable, and nobody is named outside of cases.csv."""

from __future__ import annotations

import csv
import json
import logging
import stat
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.assignment import ASSIGNMENT_FILE
from cdistrim.data.case_names import CASE_SECRET_FILE, CaseNamer
from cdistrim.data.case_table import CASES_FILE, EXCLUSIONS_FILE, Exclusions
from cdistrim.data.cases import SiteData, load_site_data
from cdistrim.data.preparation import prepare
from cdistrim.data.prepared import read_prepared
from cdistrim.data.scan import Exclusion
from cdistrim.errors import ConfigurationError, DataError, KeyFileError, LeaseHeldError
from cdistrim.site import Site
from tests.prepared_sites import make_site, rows_for, tabular, write_table

NEEDLES = ("Needle^Nora", "needle-1961-11-05", "=Needle()")


def _site(directory: Path, rows: list[list[str]], **changes: object) -> Site:
    directory.mkdir(exist_ok=True)
    table = write_table(directory / "table.csv", rows)
    return make_site(directory / "site", tabular(table, **changes))


def _patients(count: int) -> list[str]:
    return [f"patient-{number:03d}" for number in range(count)]


def _table(site: Site, part: str = ".") -> dict[str, dict[str, str]]:
    with (site.directory / "data" / part / CASES_FILE).open(newline="") as stream:
        return {row["patient"]: row for row in csv.DictReader(stream)}


def _sets(site: Site) -> SiteData:
    return load_site_data(site.directory / "data")


def test_a_source_becomes_training_set_and_hold_out(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(30)))
    made = prepare(site)
    sets = _sets(site)
    assert (made.prepared.train, made.prepared.holdout) == ((16, 8), (4, 2))
    assert made.held == 0.2
    assert (sets.train.counts(), sets.holdout.counts()) == ((16, 8), (4, 2))
    assert read_prepared(site.directory / "data") == made.prepared
    namer = CaseNamer.of(site.directory / "data")
    row = _table(site)["patient-003"]
    assert row["case"] == namer.case_of("patient-003")
    kept = sets.train if row["set"] == "train" else sets.holdout
    place = kept.ids.index(row["case"])
    assert kept.labels[place] == 1
    expected = np.array([(43 - 60) / 10, 0.4286], dtype=np.float16)
    np.testing.assert_array_equal(kept.volumes[place].ravel(), expected)


def test_a_rerun_gives_the_same_bytes(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(20)))
    prepare(site)
    data = site.directory / "data"
    names = ("train.npz", "holdout.npz", "prepared.json", CASES_FILE, EXCLUSIONS_FILE)
    before = {name: (data / name).read_bytes() for name in (*names, ASSIGNMENT_FILE)}
    prepare(site)
    assert {name: (data / name).read_bytes() for name in before} == before


def test_patients_who_come_later_move_nobody(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(20)))
    prepare(site)
    before = {patient: row["set"] for patient, row in _table(site).items()}
    site = _site(tmp_path, rows_for(["another-one", *_patients(45)]), holdout=0.3, seed=7)
    made = prepare(site)
    after = {patient: row["set"] for patient, row in _table(site).items()}
    # The newcomer at the head changes everybody's outcome: not even that moves a patient.
    assert {patient: after[patient] for patient in before} == before
    assert sum(made.prepared.holdout) == round(0.3 * 46)


def _all_files(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("lost", "error", "words"),
    [
        (CASE_SECRET_FILE, KeyFileError, "is missing, by which the cases"),
        (ASSIGNMENT_FILE, DataError, "it says who was trained on"),
    ],
)
def test_where_a_file_is_lost_that_says_who_was_trained_on_nobody_is_dealt_out_anew(
    tmp_path: Path, lost: str, error: type[Exception], words: str
) -> None:
    site = _site(tmp_path, rows_for(_patients(20)))
    prepare(site)
    data = site.directory / "data"
    kept = (data / lost).read_bytes()
    (data / lost).unlink()
    before = _all_files(data)

    with pytest.raises(error, match=words):
        prepare(site)

    assert _all_files(data) == before
    (data / lost).write_bytes(kept)
    (data / lost).chmod(0o600)
    prepare(site)


def test_under_another_secret_nobody_is_dealt_out_anew(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(20)))
    prepare(site)
    data = site.directory / "data"
    kept = (data / CASE_SECRET_FILE).read_bytes()
    (data / CASE_SECRET_FILE).write_bytes(b"ab" * 32)
    before = _all_files(data)

    with pytest.raises(DataError, match=r"None of the 20 cases .* source's 20 patients"):
        prepare(site)

    assert _all_files(data) == before
    (data / CASE_SECRET_FILE).write_bytes(kept)
    prepare(site)


def test_sets_that_become_smaller_and_hold_outs_that_can_not_vote_are_told(tmp_path: Path) -> None:
    assert not prepare(_site(tmp_path, rows_for(_patients(400)))).warnings
    rows = rows_for(_patients(400))
    rows[1][2] = rows[2][2] = "?"
    (told,) = prepare(_site(tmp_path, rows)).warnings
    assert told.startswith("398 cases can be used now, 400 could before")
    (few,) = prepare(_site(tmp_path / "few", rows_for(_patients(20)))).warnings
    assert "The hold-out has 1 case of a class" in few


def test_rows_that_say_the_same_are_one_however_the_patient_is_written(tmp_path: Path) -> None:
    rows = rows_for(_patients(20))
    rows += [["Patient-003 ", *rows[4][1:]], list(rows[5])]
    made = prepare(_site(tmp_path, rows))
    assert (made.cases, made.exclusions.counts) == (20, {})


def test_who_is_left_out_is_counted_by_reason_and_named_in_the_sites_table_alone(
    tmp_path: Path,
) -> None:
    rows = [
        *rows_for(_patients(20)),
        [NEEDLES[0], "unknown", "50", "1"],
        [NEEDLES[1], "dead", "5,5", "1"],
        [NEEDLES[2], "dead", "", "1"],
        ["twin", "dead", "50", "1"],
        ["Twin ", "alive", "50", "1"],
    ]
    site = _site(tmp_path, rows)
    told: list[Exclusions] = []
    made = prepare(site, left_out=told.append)
    data = site.directory / "data"
    document = json.loads((data / EXCLUSIONS_FILE).read_text())
    assert document["reasons"] == {"MISSING_VALUE": 2, "BROKEN_LABEL": 1, "SEVERAL_LABEL_ROWS": 1}
    assert (document["usable"], document["excluded"]) == (20, 4)
    assert made.prepared.excluded == document["reasons"]
    assert [one.counts for one in told] == [document["reasons"]]
    namer = CaseNamer.of(data)
    by_case = {one["case"]: (one["reason"], one["detail"]) for one in document["cases"]}
    comma = ("MISSING_VALUE", "'age': written with a decimal comma")
    assert by_case[namer.case_of(NEEDLES[1])] == comma
    table = _table(site)
    assert table[NEEDLES[0]]["reason"] == Exclusion.BROKEN_LABEL.value
    assert table[NEEDLES[0]]["set"] == ""
    assert table["'" + NEEDLES[2]]["case"] == namer.case_of(NEEDLES[2]), "no formula in a table"
    logging.shutdown()
    for path in site.directory.rglob("*"):
        if path.is_file() and path.name not in (CASES_FILE, "table.csv"):
            content = path.read_bytes().lower()
            assert not [
                one for one in ("needle", "patient-0", "twin") if one.encode() in content
            ], path


def test_what_names_patients_or_cases_is_the_owners(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(12)))
    prepare(site)
    for path in (site.directory / "data").rglob("*"):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_sets_that_lack_a_class_are_not_made_and_the_report_is(tmp_path: Path) -> None:
    rows = rows_for(_patients(3))
    site = _site(tmp_path, [*rows, ["odd", "?", "1", "1"]])
    told: list[Exclusions] = []
    with pytest.raises(DataError, match="of 3 usable cases in all") as failed:
        prepare(site, left_out=told.append)
    assert EXCLUSIONS_FILE in failed.value.hint
    assert [one.counts for one in told] == [{"BROKEN_LABEL": 1}]
    for name in ("train.npz", ASSIGNMENT_FILE):
        assert not (site.directory / "data" / name).exists()
    assert (site.directory / "data" / "failed").stat().st_mode & 0o077 == 0
    assert _table(site, "failed")["odd"]["reason"] == Exclusion.BROKEN_LABEL.value
    prepare(_site(tmp_path, rows_for(_patients(20))))
    assert not (site.directory / "data" / "failed").exists()


def test_a_preparation_that_fails_leaves_the_former_sets(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(20)))
    prepare(site)
    before = _sets(site).train.digest()
    for rows in ([], rows_for([]), rows_for(_patients(2))):
        with pytest.raises(DataError):
            prepare(_site(tmp_path, rows))
        assert _sets(site).train.digest() == before
        assert set(_table(site)) == set(_patients(20)), "the sets that are there keep their table"
        report = json.loads((site.directory / "data" / EXCLUSIONS_FILE).read_text())
        assert report["usable"] == 20


def test_a_class_that_has_left_the_calibration_set_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    rows = rows_for(_patients(30))
    site = _site(tmp_path, rows, calibration=0.1)
    assert prepare(site).prepared.calibration == (2, 1)
    (gone,) = (
        patient
        for patient, row in _table(site).items()
        if row["set"] == "calibration" and int(patient[-3:]) % 3 == 0
    )
    site = _site(tmp_path, [row for row in rows if row[0] != gone], calibration=0.1)
    made = prepare(site)
    assert made.prepared.calibration == (2, 0)
    assert sum(made.prepared.train) == len(_sets(site).train)


def test_a_site_without_a_source_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='no "data"'):
        prepare(make_site(tmp_path / "site", None))


def test_a_secret_or_an_assignment_that_is_damaged_is_not_made_anew(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(12)))
    prepare(site)
    data = site.directory / "data"
    kept = (data / CASE_SECRET_FILE).read_bytes()
    (data / CASE_SECRET_FILE).write_bytes(kept[:10])
    with pytest.raises(KeyFileError, match="damaged"):
        prepare(site)
    (data / CASE_SECRET_FILE).write_bytes(kept)
    (data / ASSIGNMENT_FILE).write_text("{")
    with pytest.raises(DataError, match=ASSIGNMENT_FILE):
        prepare(site)


def test_two_preparations_of_one_site_do_not_run_at_once(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for(_patients(12)))
    seen = []

    def meanwhile(_done: int, _all: int) -> None:
        with pytest.raises(LeaseHeldError, match="Another process"):
            prepare(site)
        seen.append(True)

    prepare(site, progress=meanwhile)
    assert seen


def test_the_sites_own_table_gives_a_terminal_no_commands(tmp_path: Path) -> None:
    site = _site(tmp_path, rows_for([*_patients(11), "\x1b[31mred"]))
    prepare(site)
    table = (site.directory / "data" / CASES_FILE).read_bytes()
    assert b"\x1b" not in table
    assert rb"\x1b[31mred" in table
