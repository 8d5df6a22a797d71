"""Processes that run a simulated campaign and kill themselves at a given moment.

Importing everything takes longer than such a campaign, so a server imports once and forks a process
for each run. The killer listens to the progress that any display gets; nothing in the program
knows about it.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cdistrim
import flows
import tasks
from cdistrim.devnet import Devnet
from cdistrim.devnet.directory import read_status
from cdistrim.progress import Silent, listen_with

__all__ = ["CrashServer", "Moment", "Run"]


@dataclass(frozen=True)
class Moment:
    """When to kill: the ``nth`` time that ``what`` happens in ``slot``.

    ``what`` is a step that begins, i.e. the one before it has ended; or ``a batch``, ``a vote``
    (which is on the ledger then), ``the end``. ``chain`` kills the chain first.
    """

    slot: int
    what: str
    nth: int = 1
    chain: bool = False


@dataclass(frozen=True)
class Run:
    """One process: the consortium's directory, and when it is killed, if at all."""

    directory: str
    moment: Moment | None = None


class _Killer(Silent):
    def __init__(self, moment: Moment, devnet: Path) -> None:
        self._moment = moment
        self._devnet = devnet
        self._seen = 0

    def step(self, slot: int, _hospital: str, name: str) -> None:
        self._saw(slot, name)

    def training(self, slot: int, *_state: object) -> None:
        self._saw(slot, "a batch")

    def vote(self, slot: int, *_answer: object) -> None:
        self._saw(slot, "a vote")

    def slot_ended(self, slot: int, *_outcome: object) -> None:
        self._saw(slot, "the end")

    def _saw(self, slot: int, what: str) -> None:
        if (slot, what) != (self._moment.slot, self._moment.what):
            return
        self._seen += 1
        if self._seen < self._moment.nth:
            return
        status = read_status(self._devnet) if self._moment.chain else None
        if status is not None:
            os.kill(status.pid, signal.SIGKILL)
            os.kill(status.anvil_pid, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


class CrashServer:
    """Forks runs.

    Args:
        environment: Of the processes, e.g. where the Prefect server is.
        log: File that gets what they write to stderr.
    """

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def run(self, run: Run) -> int:
        """Run to the end or to the kill; the exit status, -9 if it was killed."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(run)) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._log.read_text()[-4000:]
        return int(answer)

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.crashing"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | self._environment,
                cwd=Path(__file__).parent.parent,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _play(run: Run) -> None:
    from tests.simulated import SimulatedConsortium

    directory = Path(run.directory)
    if run.moment is not None:
        listen_with(_Killer(run.moment, directory / "devnet"))
    with Devnet(directory / "devnet") as chain:
        simulated = SimulatedConsortium(directory / "consortium", chain.url)
        view = simulated.run()
        document = {
            "campaigns": simulated.site(simulated.names[0]).ledger.campaigns(),
            "state": view.state.name,
            "lineage": [asdict(slot) for slot in simulated.lineage()],
        }
    (directory / "result.json").write_text(json.dumps(document))


def _fork(run: Run) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            _play(run)
            status = 0
        except BaseException:  # noqa: BLE001  whatever it was, the child must not serve
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _main() -> None:
    # All that a run imports; what it starts (threads, connections) would not survive a fork.
    for package in (cdistrim, tasks, flows):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    importlib.import_module("tests.simulated")

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        document = json.loads(line)
        moment = document["moment"]
        run = Run(document["directory"], Moment(**moment) if moment else None)
        answers.write(f"{_fork(run)}\n")
        answers.flush()


if __name__ == "__main__":
    _main()
