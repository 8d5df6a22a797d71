"""kill -9 at any moment, then the same again: nothing is lost, repeated or overwritten."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cdistrim.devnet import Devnet
from tests.crashing import CrashServer, Moment, Run
from tests.prefect_server import PrefectServer

STEPS = (
    ("await_ballot", 1),
    ("fetch", 1),
    ("lock", 1),
    ("await_release", 1),
    ("decrypt", 1),
    ("train", 1),
    ("a batch", 3),
    ("evaluate", 1),
    ("encrypt", 1),
    ("deposit", 1),
    ("request_upload", 1),
    ("await_ballot", 2),
    ("confirm", 1),
    ("the end", 1),
    ("vote", 1),
    ("a vote", 1),
    ("a vote", 2),
    ("release_key", 1),
)
"""What happens in a slot after its first step; each is a moment to be killed at."""


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
        if path.suffix in (".part", ".cdm") or path.name.startswith("request-")
    ]
    models = sorted(consortium.glob("store/*/campaign-1/models/*/*"))
    capsules = sorted(consortium.glob("store/*/campaign-1/capsules/*/*"))
    extra = [path for kind in (models, capsules) for path in kind[3:]]
    return [str(path.relative_to(directory)) for path in found + extra]


@pytest.mark.slow
@pytest.mark.parametrize(("what", "nth"), STEPS, ids=lambda part: str(part).replace(" ", "-"))
def test_a_rerun_after_a_kill_ends_as_if_nothing_had_happened(
    laboratory: Laboratory, undisturbed: dict[str, Any], what: str, nth: int
) -> None:
    laboratory.reset()
    began = time.monotonic()

    assert laboratory.run(Moment(2, what, nth)) == -9
    assert laboratory.run() == 0

    print(f"{time.monotonic() - began:.1f} s")
    assert laboratory.result() == undisturbed
    assert leftovers(laboratory.directory) == []
