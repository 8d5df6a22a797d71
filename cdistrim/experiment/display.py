"""Shows how far an experiment is: a table on a terminal, a line per change elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cdistrim.experiment.arm_progress import ArmProgress
from cdistrim.experiment.plan import Arm, Experiment
from cdistrim.report import wording

__all__ = ["showing_progress"]

_LOOK_S = 0.5


@contextmanager
def showing_progress(run: Experiment, stream: TextIO) -> Iterator[None]:
    """Show the arms of a run while the block runs."""
    console = Console(file=stream)
    over = threading.Event()
    show = _show_table if console.is_terminal else _show_lines
    thread = threading.Thread(target=show, args=(_Watch(run), console, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2)


class _Watch:
    """The arms, and how far each one is."""

    def __init__(self, run: Experiment) -> None:
        self.run = run
        self.began = time.monotonic()
        self.before = {arm for arm in run.arms if run.result(arm) is not None}
        self.over = set(self.before)

    def look(self) -> dict[Arm, ArmProgress]:
        """Arms that are being worked on; :attr:`over` is up to date afterwards."""
        found = {}
        for arm in self.run.arms:
            if arm in self.over:
                continue
            if self.run.result(arm) is not None:
                self.over.add(arm)
            elif (progress := ArmProgress.of(self.run, arm)) is not None:
                found[arm] = progress
        return found

    def share(self, working: dict[Arm, ArmProgress]) -> float:
        """Part of the work of this process that is done, in [0, 1]; all arms count alike."""
        todo = len(self.run.arms) - len(self.before)
        done = len(self.over) - len(self.before)
        parts = sum(one.done / one.planned for one in working.values() if one.planned)
        return (done + parts) / todo if todo else 1.0

    def left(self, share: float) -> str:
        """How long it will take, at the pace so far."""
        passed = time.monotonic() - self.began
        if share < 0.02:
            return ""
        return f"about {wording.duration(passed * (1 - share) / share)} left"


def _show_table(watch: _Watch, console: Console, over: threading.Event) -> None:
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while not over.is_set():
            live.update(_table(watch), refresh=True)
            over.wait(_LOOK_S)


def _table(watch: _Watch) -> RenderableType:
    working = watch.look()
    share = watch.share(working)
    table = Table(box=None, padding=(0, 1))
    for title in ("model", "done", "accepted", ""):
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    for arm, progress in working.items():
        kept = "" if arm.central else str(progress.accepted)
        table.add_row(
            _told(arm), f"{progress.done} of {progress.planned}", kept, Text(progress.text)
        )
    head = Text(
        f"{watch.run.study.title}: {len(watch.over)} of {len(watch.run.arms)} models  "
        f"{watch.left(share)}"
    )
    return Group(head, ProgressBar(total=1.0, completed=share, width=60), table)


def _show_lines(watch: _Watch, console: Console, over: threading.Event) -> None:
    shown: dict[Arm, int] = {}
    finished = set(watch.over)
    while True:
        last = over.is_set()
        for arm, progress in watch.look().items():
            if shown.get(arm) != progress.done:
                shown[arm] = progress.done
                told = f"{progress.done} of {progress.planned}"
                console.out(f"{_told(arm)}: {told} {progress.text}".rstrip(), highlight=False)
        for arm in sorted(watch.over - finished, key=watch.run.arms.index):
            done = f"{len(watch.over)} of {len(watch.run.arms)} models"
            console.out(f"{_told(arm)}: over ({done})", highlight=False)
        finished = set(watch.over)
        if last:
            return
        over.wait(_LOOK_S)


def _told(arm: Arm) -> str:
    return f"seed {arm.seed}, " + ("central" if arm.central else f"scenario {arm.scenario}")
