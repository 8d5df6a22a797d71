"""kill -9 at any moment, then the same again: nothing is lost, repeated or overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdistrim.devnet import Devnet
from tests.crashing import CrashServer, Moment, Run
from tests.prefect_server import PrefectServer

STEPS = (
    Moment(2, "request_token"),
    Moment(2, "await_ballot"),
    Moment(2, "vote"),
    Moment(2, "a vote"),
    Moment(2, "fetch"),
    Moment(2, "lock"),
    Moment(2, "await_shares"),
    Moment(2, "decrypt"),
    Moment(2, "train"),
    Moment(2, "a batch", nth=3),
    Moment(2, "evaluate"),
    Moment(2, "encrypt"),
    Moment(2, "deposit"),
    Moment(2, "request_upload"),
    Moment(2, "await_ballot", nth=2),
)
"""A slot's steps in their order, up to the upload ballot; what follows is quick to be over."""

SOME_STEPS = STEPS[2::4]
"""From the first vote to the last; `make faults` kills after each."""

WITH_THE_CHAIN = (
    pytest.param(Moment(2, "a batch", nth=5, chain=True), marks=pytest.mark.faults),
    Moment(2, "request_upload", chain=True),
    Moment(2, "a vote", nth=2, chain=True),
    pytest.param(Moment(3, "the end", chain=True), marks=pytest.mark.faults),
)


@dataclass(frozen=True)
class Laboratory:
    """A campaign that stands at the beginning of slot 2, to be put back there at will."""

    server: CrashServer
    directory: Path
    snapshot: Path

    def reset(self) -> None:
        """Back to the beginning of slot 2."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(self.snapshot, self.directory)

    def run(self, moment: Moment | None = None) -> int:
        """A process of its own; its exit status."""
        return self.server.run(Run(str(self.directory), moment))

    def result(self) -> dict[str, Any]:
        """What the last process that was not killed found at the end."""
        document: dict[str, Any] = json.loads((self.directory / "result.json").read_bytes())
        return document


@pytest.fixture(scope="module")
def laboratory(
    prefect_process: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laboratory]:
    directory = tmp_path_factory.mktemp("crash")
    environment = prefect_process.environment() | {"CDISTRIM_POLL_SECONDS": "0.02"}
    with CrashServer(environment, directory / "runs.log") as server:
        made = Laboratory(server, directory / "run", directory / "snapshot")
        assert made.run(Moment(2, "request_token")) == -9
        Devnet(made.directory / "devnet").stop()
        shutil.copytree(made.directory, made.snapshot)
        yield made


@pytest.fixture(scope="module")
def undisturbed(laboratory: Laboratory) -> dict[str, Any]:
    """The outcome of a campaign that nobody killed, from its very beginning."""
    shutil.rmtree(laboratory.directory, ignore_errors=True)
    assert laboratory.run() == 0
    result = laboratory.result()
    assert [slot["state"] for slot in result["lineage"]] == ["ACCEPTED"] * 3
    return result


def leftovers(directory: Path) -> list[str]:
    """Weights, keys and halves of files that a campaign should not leave behind."""
    consortium = directory / "consortium"
    found = [
        path
        for path in consortium.rglob("*")
        if path.suffix in (".part", ".cdm") or path.name.startswith(("request-", "checkpoint-"))
    ]
    models = sorted(consortium.glob("store/*/*/campaign-1/models/*/*"))
    capsules = sorted(consortium.glob("store/*/*/campaign-1/capsules/*/*"))
    extra = [path for kind in (models, capsules) for path in kind[3:]]
    return [str(path.relative_to(directory)) for path in found + extra]


@pytest.mark.slow
@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(SOME_STEPS, id="some"),
        pytest.param(STEPS, id="each", marks=pytest.mark.faults),
    ],
)
def test_a_slot_survives_a_kill_after_its_steps(
    laboratory: Laboratory, undisturbed: dict[str, Any], moments: tuple[Moment, ...]
) -> None:
    laboratory.reset()

    for moment in moments:
        assert laboratory.run(moment) == -9, moment
    assert laboratory.run() == 0

    assert laboratory.result() == undisturbed
    assert leftovers(laboratory.directory) == []


@pytest.mark.slow
def test_training_that_is_killed_in_mid_epoch_goes_on_in_its_slot(
    laboratory: Laboratory, undisturbed: dict[str, Any]
) -> None:
    laboratory.reset()
    owner = laboratory.directory / "consortium" / "hospital-2"
    settings = json.loads((owner / "site.json").read_bytes())
    settings["checkpoint_seconds"] = 0
    (owner / "site.json").write_text(json.dumps(settings))

    # An epoch has six batches. The second run trains on from the 7th.
    assert laboratory.run(Moment(2, "a batch", nth=8)) == -9
    assert laboratory.run(Moment(2, "a batch", nth=8)) == -9
    assert laboratory.run() == 0

    log = (owner / "log" / "site.log").read_text()
    assert "Training goes on from checkpoint-1-2-1.bin, after 7 batches." in log
    assert "Training goes on from checkpoint-1-2-1.bin, after 14 batches." in log
    assert laboratory.result() == undisturbed
    assert leftovers(laboratory.directory) == []


@pytest.mark.slow
@pytest.mark.parametrize("moment", WITH_THE_CHAIN, ids=lambda one: f"{one.what}-{one.nth}")
def test_a_rerun_after_a_kill_of_process_and_chain_ends_as_if_nothing_had_happened(
    laboratory: Laboratory, undisturbed: dict[str, Any], moment: Moment
) -> None:
    laboratory.reset()

    assert laboratory.run(moment) == -9
    assert laboratory.run() == 0

    assert laboratory.result() == undisturbed
    assert leftovers(laboratory.directory) == []


@pytest.mark.slow
def test_a_campaign_that_is_over_is_not_run_again(
    laboratory: Laboratory, undisturbed: dict[str, Any]
) -> None:
    laboratory.reset()
    assert laboratory.run(Moment(3, "the end")) == -9

    assert laboratory.run() == 0
    assert laboratory.run() == 0

    assert laboratory.result() == undisturbed
    assert undisturbed["campaigns"] == 1
    assert leftovers(laboratory.directory) == []
