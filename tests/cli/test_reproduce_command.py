"""``cdistrim reproduce``: real campaigns in processes of their own, killed and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from cdistrim.experiment.plan import Experiment
from tests.cli.command_line import Ended, assert_explained, call, start

pytestmark = pytest.mark.slow

QUICK = ("reproduce", "iris", "--quick", "--jobs", "2")
ONE = (*QUICK, "--scenario", "3", "--cycles", "1")


def begin(*arguments: object) -> subprocess.Popen[str]:
    """Start the command as the leader of a group of processes, as a shell does at a terminal."""
    return subprocess.Popen(
        [sys.executable, "-m", "cdistrim", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever runs the suite in the background lets it inherit an ignored Ctrl-C.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )


def stop_after(process: subprocess.Popen[str], number: int, reached: Callable[[], bool]) -> str:
    """Send a signal to all processes once something is reached; what was said by then."""
    deadline = time.monotonic() + 240
    try:
        while not reached():
            assert process.poll() is None, "the run ended by itself"
            assert time.monotonic() < deadline, "it was not reached in time"
            time.sleep(0.1)
        os.killpg(process.pid, number)
        return process.communicate(timeout=120)[1]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Finished(NamedTuple):
    """A run that was killed, stopped by Ctrl-C and continued to its end."""

    directory: Path
    interrupted: tuple[int, str]
    """Exit code and standard error of the process that was stopped."""
    ended: Ended


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    runs = tmp_path_factory.mktemp("runs")
    progress = runs / "a" / "seed-1" / "scenario-3.progress"

    def written() -> int:
        return progress.stat().st_mtime_ns if progress.exists() else 0

    def one_slot() -> bool:
        return written() > 0 and json.loads(progress.read_text())["done"] >= 1

    stop_after(begin(*ONE, "--runs", runs, "--run-id", "a"), signal.SIGKILL, one_slot)
    resumed = ("reproduce", "iris", "--jobs", 2, "--runs", runs, "--resume", "a")
    before, again = written(), begin(*resumed)
    said = stop_after(again, signal.SIGINT, lambda: written() > before)
    return Finished(runs / "a", (again.returncode, said), start(*resumed))


def test_a_killed_run_goes_on_where_its_ledgers_stand_and_prints_the_papers_table(
    finished: Finished,
) -> None:
    directory, _, ended = finished
    assert ended.code == 0, ended.err
    for told in ("scenario 3, versicolor", "AUC in the paper", "sequential - central"):
        assert told in ended.out
    assert "no worse by 0.05: no verdict" in ended.out  # One seed shows nothing of that kind.
    assert ": shown" not in ended.out
    assert "0 of 4" not in ended.err  # It began in the middle.
    assert "nothing about the method" in ended.err
    assert "nothing about the method" in (directory / "results.md").read_text()
    document = json.loads((directory / "results.json").read_text())
    assert [row["scenario"] for row in document["rows"]] == [0, 0, 0, 3, 3, 3]
    assert document["command"] == "cdistrim reproduce iris --quick --cycles 1 --scenario 3"
    campaign = json.loads((directory / "seed-1" / "scenario-3.json").read_text())
    assert campaign["slots"] == 4
    assert len(campaign["labels"]) == 30
    assert [one["slot"] for one in campaign["candidates"]] == list(range(1, 5))
    assert 0 < campaign["training_seconds"] < campaign["turn_seconds"]


def test_ctrl_c_ends_all_processes_and_says_how_to_go_on(finished: Finished) -> None:
    code, said = finished.interrupted
    assert code == 130, said
    assert "Traceback" not in said
    assert "resource_tracker" not in said
    assert "Stopped; what was done is kept." in said
    assert "--resume a" in said


def test_a_run_that_is_over_is_not_repeated_but_shown_again(finished: Finished) -> None:
    directory, _, ended = finished
    kept = {path: path.stat().st_mtime_ns for path in (directory / "seed-1").glob("*.json")}
    again = call("reproduce", "iris", "--runs", directory.parent, "--resume", "a")
    assert again.code == 0, again.err
    assert again.out == ended.out
    assert "over (" not in again.err
    assert kept == {path: path.stat().st_mtime_ns for path in (directory / "seed-1").glob("*.json")}


def test_what_was_begun_otherwise_is_told(finished: Finished) -> None:
    runs = finished.directory.parent
    resumed = ("--runs", runs, "--resume", "a")
    assert_explained(call("reproduce", "nodules", *resumed), 2, "is of iris, not of nodules")
    assert_explained(call("reproduce", "iris", *resumed, "--seeds", 3), 2, "--seeds can't be")
    assert_explained(call(*QUICK, "--runs", runs, "--run-id", "a"), 2, "a run a already")
    assert_explained(
        call("reproduce", "iris", "--runs", runs, "--resume", "b"), 3, "Known runs: a."
    )
    assert_explained(
        call("reproduce", "iris", "--runs", runs, "--scenario", 7), 2, "iris has no scenario 7"
    )
    quick = call(*QUICK, "--runs", runs, "--scenario", 2)
    assert_explained(quick, 2, "iris has no scenario 2 with --quick")
    same = call(*ONE, *resumed)
    assert same.code == 0, same.err


def test_data_that_are_given_in_vain_or_missing_are_told_before_a_run_is_begun(
    tmp_path: Path,
) -> None:
    for arguments, words in (
        (("iris", "--data", tmp_path), "--data is ignored"),
        (("nsclc-radiomics",), "come with no package"),
        (("nsclc-radiomics", "--data", tmp_path / "none"), "no directory"),
    ):
        assert_explained(call("reproduce", *arguments, "--runs", tmp_path / "runs"), 2, words)
        assert not (tmp_path / "runs").exists()


def test_two_processes_do_not_go_on_with_one_run(finished: Finished) -> None:
    directory = finished.directory
    again = ("reproduce", "iris", "--runs", directory.parent, "--resume", "a")
    with Experiment.open(directory).alone():
        assert_explained(call(*again), 6, "Another process goes on with run a")
    assert call(*again).code == 0


def test_a_model_that_can_not_be_made_is_told_and_the_others_are_kept(
    finished: Finished,
) -> None:
    """Last, since it spoils the run."""
    directory = finished.directory
    # The campaign is over, but its models are gone: nothing can be measured.
    (directory / "seed-1" / "scenario-3.json").unlink()
    shutil.rmtree(directory / "seed-1" / "scenario-3" / "store")
    ended = start("reproduce", "iris", "--runs", directory.parent, "--resume", "a")
    assert_explained(ended, 22, "1 of 2 models", "seed-1/scenario-3", "--resume a")
    assert (directory / "seed-1" / "central.json").exists()
