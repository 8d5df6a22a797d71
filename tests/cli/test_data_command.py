"""``cdistrim data``: cases are made, looked at, counted; whatever goes wrong, nobody is named."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cdistrim.data.cases import load_site_data
from cdistrim.devnet.directory import command_line
from cdistrim.spec import CampaignSpec, GenesisSpec, ModelSpec, PreprocessingSpec
from tests.cli.command_line import Ended, assert_explained, call, start
from tests.nsclc import Collection
from tests.prepared_sites import make_site, rows_for, tabular, write_table

NEEDLE = "Needle^Nora"
LIDC: dict[str, object] = {"source": "lidc", "part": (1, 24), "shape": (8, 8, 8)}


def _spec(file: Path, **changes: object) -> Path:
    base = {
        "name": "lung",
        "task": "a task",
        "order": ("a", "b"),
        "genesis": GenesisSpec(weights_hash="00" * 32),
    }
    file.write_text(CampaignSpec.model_validate(base | changes).model_dump_json())
    return file


def _assert_nobody_is_named(ended: Ended, site: Path) -> None:
    for text in (ended.out, ended.err):
        assert "needle" not in text.lower()
    for path in site.rglob("*"):
        if path.is_file() and path.name != "cases.csv":
            assert b"needle" not in path.read_bytes().lower(), path


def test_a_table_is_looked_at_prepared_and_looked_at_again(tmp_path: Path) -> None:
    rows = [*rows_for([f"{NEEDLE}-{n}" for n in range(90)]), [NEEDLE, "?", "1", "1"]]
    write_table(tmp_path / "table.csv", rows)
    make_site(tmp_path / "site", tabular(Path("../table.csv")))
    picture = tmp_path / "ranges.png"

    before = call("data", "check", tmp_path / "site", "--out", picture)
    made = call("data", "prepare", tmp_path / "site")
    after = call("data", "check", tmp_path / "site")

    for ended in (before, made, after):
        assert ended.code == 0, ended.err
        assert "the label, or what it follows from, can't be read" in ended.out
        _assert_nobody_is_named(ended, tmp_path / "site")
    assert "91 patients, 90 usable: 60 of class 0 and 30 of class 1" in before.out
    assert "data prepare" in before.out
    assert "data prepare" not in after.out
    assert "90 cases of shape (2, 1, 1), 90 built now; the hold-out has 20%." in made.out
    assert b"needle" not in picture.read_bytes().lower()
    # What a process takes differs from build to build of PyTorch.
    assert re.search(r"batches of 16, 6 an epoch; about \d\.\d+ GB", after.out)
    sets = load_site_data(tmp_path / "site" / "data")
    assert (sets.train.counts(), sets.holdout.counts()) == ((48, 24), (12, 6))


def test_where_a_class_has_no_usable_case_a_look_fails(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", rows_for([f"{NEEDLE}-{n}" for n in range(30)]))
    make_site(tmp_path / "site", tabular(table, classes={"alive": 0, "tot": 1}))

    ended = call("data", "check", tmp_path / "site")

    assert_explained(ended, 5, "No case of class 1 can be used", "names 'alive' and 'tot'")
    assert "10 of 30 patients are left out" in ended.out


def test_one_odd_value_is_told_with_its_feature(tmp_path: Path) -> None:
    rows = rows_for([f"{NEEDLE}-{n}" for n in range(90)])
    rows[7][2] = "6500"
    rows[8][3] = "1,5"
    features = [{"column": name, "centre": 60, "scale": 10} for name in ("age", "volume")]
    table = write_table(tmp_path / "table.csv", rows)
    make_site(tmp_path / "site", tabular(table, features=features))

    told = " ".join(call("data", "check", tmp_path / "site").out.split())

    assert "warning: Beyond 10 after scaling: age, in 1 case of 89;" in told
    assert "In 1 row numbers are written with a decimal comma" in told


def test_names_of_features_do_not_steer_a_terminal(tmp_path: Path) -> None:
    rows = rows_for([f"{NEEDLE}-{n}" for n in range(90)])
    table = write_table(tmp_path / "table.csv", rows)
    hostile = {"column": "age", "name": "age\x1b[31m\u202e"}
    make_site(tmp_path / "site", tabular(table, features=[hostile, {"column": "volume"}]))

    ended = call("data", "check", tmp_path / "site")

    assert "age\N{REPLACEMENT CHARACTER}[31m" in ended.out
    assert not {"\x1b", "\u202e"} & set(ended.out)


def test_an_agreed_spec_says_how_volumes_are_made(tmp_path: Path) -> None:
    make_site(tmp_path / "site", LIDC)
    agreed = PreprocessingSpec(crop="fixed", field_of_view_mm=(40.0, 40.0, 40.0))
    spec = _spec(tmp_path / "spec.json", model=ModelSpec(shape=(9, 8, 7)), preprocessing=agreed)
    made = call("data", "prepare", tmp_path / "site", "--spec", spec, "--workers", 2)
    assert made.code == 0, made.err
    prepared = json.loads((tmp_path / "site" / "data" / "prepared.json").read_text())
    assert prepared["shape"] == [9, 8, 7]
    assert prepared["preprocessing"] == agreed.model_dump(mode="json")
    rerun = call("data", "prepare", tmp_path / "site", "--spec", spec)
    assert "0 built now" in rerun.out
    check = call("data", "check", tmp_path / "site", "--spec", spec, "--cases", 2)
    assert "training (spec lung)" in check.out
    assert "another shape" not in check.out
    assert "another shape" in call("data", "check", tmp_path / "site", "--cases", 2).out


def test_a_preparation_that_was_killed_is_finished_by_the_next_one(tmp_path: Path) -> None:
    make_site(tmp_path / "whole", LIDC)
    assert call("data", "prepare", tmp_path / "whole").code == 0
    site = tmp_path / "killed"
    make_site(site, LIDC)
    key = "data/case-names.key"
    shutil.copy(tmp_path / "whole" / key, site / key)
    process = subprocess.Popen(
        [sys.executable, "-m", "cdistrim", "data", "prepare", str(site), "--workers", "1"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    while process.poll() is None and len(list(site.rglob("*.case"))) < 3:
        time.sleep(0.002)
    readers = _children(process.pid)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    while any(command_line(pid) for pid in readers):
        time.sleep(0.01)  # One may still write the case that it is at.
    kept = len(list(site.rglob("*.case")))
    assert kept >= 3
    assert not (site / "data" / "train.npz").exists()

    ended = call("data", "prepare", site)

    assert ended.code == 0, ended.err
    built = len(list(site.rglob("*.case")))
    assert f"{built - kept} built now" in ended.out
    for name in ("train.npz", "holdout.npz", "prepared.json", "cases.csv", "exclusions.json"):
        assert (site / "data" / name).read_bytes() == (
            tmp_path / "whole" / "data" / name
        ).read_bytes()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "There is no table"),
        (f"patient,outcome\n{NEEDLE},dead\n".encode(), "no columns 'age' and 'volume'"),
        (f"{NEEDLE},dead,1,2\n".encode(), "has no columns"),
        (f"patient,outcome,age,age,volume\n{NEEDLE},dead,1,2,3\n".encode(), "2 columns"),
        (f'patient,outcome,age,volume\n"{NEEDLE},dead,1,2\n'.encode(), "no CSV file"),
        (f"patient,outcome,age,volume\n{NEEDLE}\xe9,dead,1,2\n".encode("latin-1"), "utf-8"),
        (b"patient,outcome,age,volume\n", "no patients"),
        (f"patient,outcome,age,volume\n{NEEDLE},dead,1,2\n".encode(), "of 1 usable case"),
    ],
)
def test_tables_that_can_not_be_used_are_told_without_a_name(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "table.csv").write_bytes(content)
    make_site(tmp_path / "site", tabular(tmp_path / "table.csv"))
    ended = call("data", "prepare", tmp_path / "site")
    assert_explained(ended, 5, told)
    _assert_nobody_is_named(ended, tmp_path / "site")
    assert not (tmp_path / "site" / "data" / "train.npz").exists()


def test_what_is_missing_or_asked_for_twice_is_told(tmp_path: Path) -> None:
    assert_explained(call("data", "prepare", tmp_path / "nowhere"), 3, "no site")
    make_site(tmp_path / "site", None)
    assert_explained(call("data", "prepare", tmp_path / "site"), 3, 'no "data"')
    assert_explained(call("data", "check", tmp_path / "site"), 3, 'no "data"')
    make_site(tmp_path / "site", {"source": "lidc"})
    assert_explained(call("data", "prepare", tmp_path / "site"), 3, "shape", "--spec")
    spec = _spec(tmp_path / "spec.json")
    both = call("data", "check", tmp_path / "site", "--spec", spec, "--campaign", 1)
    assert_explained(both, 2, "--campaign and --spec")
    missing = call("data", "check", tmp_path / "site", "--spec", tmp_path / "none.json")
    assert_explained(missing, 2, "none.json")
    picture = call("data", "check", tmp_path / "site", "--out", tmp_path / "x.jpg")
    assert_explained(picture, 2, "PNG")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"source": "nift"}, ["data.source", "'nifti'"]),
        ({"source": "nifti", "tabel": "x"}, ["data.tabel", "data.table"]),
        ({"source": "lidc", "part": [3, 2]}, ["part is 3 of 2"]),
        ({"source": "lidc", "shape": [8, 8, "8"]}, ["data.shape.2"]),
    ],
)
def test_settings_that_make_no_sense_are_told_with_their_place(
    tmp_path: Path, data: dict[str, object], words: list[str]
) -> None:
    make_site(tmp_path, None)
    settings = json.loads((tmp_path / "site.json").read_text()) | {"data": data}
    (tmp_path / "site.json").write_text(json.dumps(settings))
    assert_explained(call("data", "check", tmp_path), 3, *words)


def test_a_process_that_reads_scans_and_is_killed_ends_the_command(tmp_path: Path) -> None:
    """As when memory runs out: the first process below the command's is killed, once it works."""
    make_site(tmp_path, LIDC | {"shape": (96, 96, 96)})
    process = subprocess.Popen(
        [sys.executable, "-m", "cdistrim", "data", "prepare", str(tmp_path), "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(tmp_path.rglob("*.case")):
        time.sleep(0.002)
    for child in _children(process.pid):
        os.kill(child, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert_explained(Ended(process.returncode, out, err), 5, "ended from outside", "--workers")
    assert not (tmp_path / "data" / "train.npz").exists()
    assert not (tmp_path / "data" / "cases.csv").exists(), "nobody is called left out"


def _children(process: int) -> list[int]:
    """Processes that were begun by one and read scans: multiprocessing begins a tracker, too."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            words = (path.parent / "cmdline").read_text()
        except (OSError, IndexError):
            continue
        if parent == process and "spawn_main" in words:
            found.append(int(path.parent.name))
    return found


def test_help_says_what_each_command_is_for() -> None:
    ended = start("data", "--help")
    assert ended.code == 0
    for word in ("prepare", "check"):
        assert word in ended.out


@pytest.mark.slow
def test_dicom_of_patients_with_names_becomes_cases_of_nobody(tmp_path: Path) -> None:
    """Everything that may name somebody is a needle; a broken scan of each kind is among them."""
    collection = Collection(tmp_path / "needle-collection")
    for number in range(12):
        alive = number % 2 == 0
        collection.patient(
            f"Needle-{number:02d}",
            days="900" if alive else "100",
            event="0" if alive else "1",
            radius=8 + number % 5,
            segmentation=number % 3 == 0,
        )
    broken = sorted((collection.scans / "Needle-00" / "ct").iterdir())
    broken[3].write_bytes(broken[3].read_bytes()[:900])
    collection.region("Needle-01").write_bytes(b"NEEDLE" * 100)
    collection.row("Needle-gone", "100", "1")
    collection.row("Needle-seen-last", "100", "0")
    site = tmp_path / "site"
    make_site(site, collection.settings())
    # The collection's place is in the settings, so it is in no message: here it is a needle, too.
    settings = (site / "site.json").read_bytes()
    picture = tmp_path / "sheet.png"

    before = call("data", "check", site, "--out", picture, "--cases", 3)
    made = call("data", "prepare", site, "--workers", 2)

    (site / "site.json").write_bytes(b"")
    for ended in (before, made):
        assert ended.code == 0, ended.err
        _assert_nobody_is_named(ended, site)
    assert b"needle" not in picture.read_bytes().lower()
    (site / "site.json").write_bytes(settings)
    for reason in ("no scan", "followed up too short to know the label"):
        assert reason in made.out
    sets = load_site_data(site / "data")
    excluded = json.loads((site / "data" / "exclusions.json").read_text())
    assert len(sets.train) + len(sets.holdout) == excluded["usable"] == 10
    assert excluded["excluded"] == 4
