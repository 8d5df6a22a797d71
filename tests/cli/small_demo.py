"""``cdistrim demo`` in seconds: the real command line, chain, store and flows on tiny data.

Run as ``python -m tests.cli.small_demo FAULT demo …``. ``FAULT`` is ``none`` or ``WHAT@SLOT:STEP``:
what happens to the real parts when that step begins (slot 0: in every slot).
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TextIO

import torch

import cdistrim.demonstration
import cdistrim.display
from cdistrim.cli import main
from cdistrim.data.split import Split
from cdistrim.demo_options import HOSPITALS
from cdistrim.devnet.directory import read_status
from cdistrim.spec import CampaignSpec
from cdistrim.weights import Weights
from tests.factories import make_cases, make_site_data
from tests.simulated import tiny_spec

__all__ = ["WAITS"]

WAITS = "the fault waits"
"""What the fault ``wait`` writes to standard error before it sleeps."""


class SmallDemonstration(cdistrim.demonstration.Demonstration):
    """Four hospitals with two dozen small blobs each."""

    @cached_property
    def spec(self) -> CampaignSpec:
        """Seconds of training."""
        return tiny_spec(HOSPITALS, cycles=self.options.cycles)

    @cached_property
    def split(self) -> Split:
        """Synthetic cases instead of LIDC-IDRI."""
        sites = tuple(make_site_data(seed=number) for number in range(1, len(HOSPITALS) + 1))
        return Split(sites, make_cases(seed=99, prefix="test"))


def _poison(part: str) -> None:
    from cdistrim.iteration import Trained, _sessions

    for session in _sessions.values():
        if part == "head" and session.head is not None:
            _fill_with_nan(session.head)
        elif part == "candidate" and session.candidate is not None:
            # After it was measured: what was sealed is sealed once more.
            _fill_with_nan(session.candidate.weights)
            session.candidate = Trained(session.candidate.weights)
            session.encrypt()
            session.deposit()


def _fill_with_nan(weights: Weights) -> None:
    for value in weights.values():
        if value.is_floating_point():
            value.fill_(float("nan"))


def _kill_chain(run: Path) -> None:
    status = read_status(run / "devnet")
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    os.kill(status.anvil_pid, signal.SIGKILL)


def _alter_models(run: Path) -> None:
    for path in (run / "store").glob("*/*/*/models/*/*"):
        path.write_bytes(path.read_bytes()[:-1])


def _wait() -> None:
    sys.stderr.write(WAITS + "\n")
    sys.stderr.flush()
    time.sleep(120)


def _compute() -> None:
    """Be inside of torch, as a training is, for longer than anybody waits."""
    sys.stderr.write(WAITS + "\n")
    sys.stderr.flush()
    while True:
        torch.linalg.svd(torch.ones(300, 300))


class FaultyDisplay(cdistrim.display.PlainDisplay):
    """Shows progress, and lets the fault happen when its step begins."""

    fault: Callable[[], None]
    slot: int
    name: str

    def step(self, slot: int, hospital: str, name: str) -> None:
        """As any display."""
        super().step(slot, hospital, name)
        if self.slot in (0, slot) and name == self.name:
            self.fault()


def _arrange(fault: str, run: Path) -> None:
    what, _, where = fault.partition("@")
    slot, _, name = where.partition(":")
    faults: dict[str, Callable[[], None]] = {
        "compute": _compute,
        "alter-models": lambda: _alter_models(run),
        "kill-chain": lambda: _kill_chain(run),
        "nan-candidate": lambda: _poison("candidate"),
        "nan-head": lambda: _poison("head"),
        "wait": _wait,
    }

    def choose(stream: TextIO) -> FaultyDisplay:
        display = FaultyDisplay(stream)
        display.fault, display.slot, display.name = faults[what], int(slot), name
        return display

    cdistrim.display.choose_display = choose


if __name__ == "__main__":
    # Whoever runs the suite in the background lets it inherit an ignored Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _fault = sys.argv.pop(1)
    cdistrim.demonstration.Demonstration = SmallDemonstration  # type: ignore[misc]
    if _fault != "none":
        _id = "--resume" if "--resume" in sys.argv else "--run-id"
        _run = Path(sys.argv[sys.argv.index("--runs") + 1], sys.argv[sys.argv.index(_id) + 1])
        _arrange(_fault, _run)
    main()
