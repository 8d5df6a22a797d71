"""Shows a campaign's progress: live on a terminal, a line per event elsewhere; and its final table.

Displays may be called from several threads. Names and sentences may come from other partners: they
are shown without control characters and never read as rich's markup.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cdistrim.pace import Pace
from cdistrim.progress import Listener
from cdistrim.protocol import CampaignView
from cdistrim.report import wording
from cdistrim.report.figures import AucBasis, CampaignReport, SlotFigure, SlotOutcome

__all__ = [
    "Display",
    "LiveDisplay",
    "PlainDisplay",
    "choose_display",
    "final_table",
    "show_table",
]

_LONGEST_NAME = 31
_LONGEST_SENTENCE = 240
_WIDE = 96
"""Columns that the full final table needs."""
_PLAIN_WIDTH = 100


class Display(Listener, Protocol):
    """A listener that is also told of the campaign."""

    def campaign_started(self, view: CampaignView) -> None:
        """The campaign starts, or goes on from where ``view`` has it."""

    def finished(self) -> None:
        """Nothing follows; the terminal is given back. Harmless when called again."""


class PlainDisplay:
    """A line per event, without any control code: for pipes, files and CI."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._pace = Pace(clock)

    def campaign_started(self, view: CampaignView) -> None:
        """As :class:`Display`."""
        with self._lock:
            self._pace.slots, self._pace.ended = view.slots, _ended(view)
            ended = _ended(view)
            over = f", {ended} of them over" if ended else ""
            hospitals = f"{len(view.order)} hospitals"
            self._line(f"campaign {view.number}: {hospitals}, {view.slots} slots{over}")

    def slot_started(self, slot: int, hospital: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._pace.begin(slot)
            of = f"/{self._pace.slots}" if self._pace.slots else ""
            self._line(f"slot {slot}{of}: {_name(hospital)}")

    def step(self, slot: int, hospital: str, name: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._line(f"{_where(slot)}{_name(hospital)}: {_name(name)}")

    def waiting(self, slot: int, hospital: str, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._line(f"{_where(slot)}{_name(hospital)} {_say(text)}")

    def training(
        self, slot: int, epoch: int, epochs: int, batch: int, batches: int, loss: float
    ) -> None:
        """As :class:`~cdistrim.progress.Listener`; a line per epoch only."""
        if batch == batches:
            with self._lock:
                self._line(f"{_where(slot)}epoch {epoch}/{epochs}, loss {loss:.4f}")

    def vote(self, slot: int, voter: str, approve: bool, sentence: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._line(f"{_where(slot)}{_name(voter)} votes {_yes(approve)}: {_say(sentence)}")

    def slot_ended(
        self,
        slot: int,
        hospital: str,
        accepted: bool,
        sentence: str,
        auc_before: float | None,
        auc_after: float | None,
    ) -> None:
        """As :class:`Display`."""
        with self._lock:
            took = self._pace.end()
            time_ = "" if took is None else f" [{wording.duration(took)}{_left(self._pace)}]"
            verdict = "accepted" if accepted else "skipped"
            change = _change(auc_before, auc_after)
            who = f"{_name(hospital)}{change}{' at the voters' if change else ''}"
            self._line(f"slot {slot}: {verdict}: {who} ({_say(sentence)}){time_}")

    def note(self, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._line(_say(text))

    def finished(self) -> None:
        """As :class:`Display`."""
        with self._lock:
            self._stream.flush()

    def _line(self, text: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


@dataclass
class _Now:
    """What the live display shows about the open slot."""

    slot: int = 0
    hospital: str = ""
    step: str = ""
    epoch: tuple[int, int] | None = None
    batch: tuple[int, int] = (0, 1)
    loss: float = 0.0
    votes: dict[str, bool] = field(default_factory=dict)


class LiveDisplay:
    """A panel at the terminal's bottom that is drawn anew; verdicts scroll by above it."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._started = clock()
        self._lock = threading.RLock()
        self._pace = Pace(clock)
        self._now = _Now()
        self._title = ""
        self._live = Live(
            console=console, get_renderable=self.render, refresh_per_second=5, transient=True
        )

    def campaign_started(self, view: CampaignView) -> None:
        """As :class:`Display`."""
        with self._lock:
            self._pace.slots, self._pace.ended = view.slots, _ended(view)
            self._title = f"campaign {view.number}"
            self._started = self._clock()
        self._live.start()

    def slot_started(self, slot: int, hospital: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._pace.begin(slot)
            self._now = _Now(slot=slot, hospital=_name(hospital))

    def step(self, slot: int, hospital: str, name: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            # What the others do meanwhile shows as their votes.
            if (slot, _name(hospital)) == (self._now.slot, self._now.hospital):
                self._now.step = _name(name)
                self._now.epoch = None

    def waiting(self, slot: int, hospital: str, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`; the panel shows the votes that are there."""

    def training(
        self, slot: int, epoch: int, epochs: int, batch: int, batches: int, loss: float
    ) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            if slot == 0 and self._now.slot:
                self._now = _Now()
            self._now.epoch = (epoch, epochs)
            self._now.batch = (batch, max(batches, 1))
            self._now.loss = loss

    def vote(self, slot: int, voter: str, approve: bool, sentence: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        with self._lock:
            self._now.votes[_name(voter)] = approve
        if not approve:
            on = f" on slot {slot}" if slot else ""
            line = Text(f"  {_name(voter)} votes no{on}: {_say(sentence)}")
            line.stylize("yellow")
            self._console.print(line)

    def slot_ended(
        self,
        slot: int,
        hospital: str,
        accepted: bool,
        sentence: str,
        auc_before: float | None,
        auc_after: float | None,
    ) -> None:
        """As :class:`Display`."""
        with self._lock:
            took = self._pace.end()
            self._now.step, self._now.epoch = "", None
        line = Text.assemble(
            ("✓" if accepted else "✗", "bold green" if accepted else "bold red"),
            f" slot {slot} ",
            (_name(hospital), "bold"),
            _change(auc_before, auc_after),
        )
        if took is not None:
            line.append(f"  {wording.duration(took)}", style="dim")
        if not accepted:
            line.append(f"\n  {_say(sentence)}", style="red")
        self._console.print(line)

    def note(self, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        self._console.print(Text(_say(text), style="dim"))

    def finished(self) -> None:
        """As :class:`Display`."""
        self._live.stop()

    def render(self) -> RenderableType:
        """The panel as it is now."""
        with self._lock:
            now, pace = self._now, self._pace
            title = Text("outside of the slots")
            if now.slot:
                title = Text.assemble(
                    "slot ", (str(now.slot), "bold"), f" of {pace.slots}  ",
                    (now.hospital, "bold cyan"), ("  " + now.step if now.step else ""),
                )  # fmt: skip
            grid = Table.grid(padding=(0, 1), expand=True)
            grid.add_column(width=11, no_wrap=True)
            grid.add_column(ratio=1)
            grid.add_column(justify="right", no_wrap=True, width=26)
            left = pace.left()
            eta = "estimating…" if left is None else f"about {wording.duration(left)} left"
            bar = ProgressBar(total=max(pace.slots, 1), completed=pace.ended)
            grid.add_row("campaign", bar, f"{pace.ended}/{pace.slots}  {eta}")
            if now.epoch is not None:
                done, whole = now.batch
                bar = ProgressBar(total=whole, completed=done)
                epoch = f"epoch {now.epoch[0]}/{now.epoch[1]}"
                grid.add_row(epoch, bar, f"batch {done}/{whole}  loss {now.loss:.3f}")
            parts: list[RenderableType] = [title, grid]
            if now.votes:
                parts.append(_votes(now.votes))
            elapsed = wording.duration(self._clock() - self._started)
            return Panel(
                Group(*parts), title=Text(self._title), subtitle=Text(elapsed, style="dim"),
                title_align="left", subtitle_align="right", border_style="blue",
            )  # fmt: skip


def choose_display(stream: TextIO) -> Display:
    """The live display on a terminal that can move its cursor, the plain one elsewhere."""
    if stream.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown"):
        return LiveDisplay(Console(file=stream))
    return PlainDisplay(stream)


def final_table(report: CampaignReport, width: int = _PLAIN_WIDTH) -> Table:
    """The campaign slot by slot.

    Args:
        report: The campaign.
        width: Columns of the terminal; below 96 intervals and gas are left out.
    """
    wide = width >= _WIDE
    title = Text(" ".join(_say(sentence) for sentence in report.headline[:1]), style="bold")
    table = Table(
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
        title=title,
        title_justify="left",
    )
    table.add_column("slot", justify="right", no_wrap=True)
    table.add_column("hospital", overflow="ellipsis", no_wrap=True, max_width=20)
    table.add_column("cases", justify="right", no_wrap=True)
    tested = any(slot.auc_basis is AucBasis.TEST_SET for slot in report.slots)
    auc = "test AUC" if tested else "AUC"
    table.add_column(f"{auc} before → after", justify="right", no_wrap=True)
    table.add_column("yes:no", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if wide:
        table.add_column("gas", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for slot in report.slots:
        cells = [
            Text(str(slot.number)),
            Text(_name(slot.partner)),
            Text(wording.count(slot.cases)),
            Text(_aucs(slot, wide=wide)),
            Text(f"{slot.yes}:{slot.no}" if slot.voters else wording.NONE),
            Text(slot.outcome.value, style=_STYLES[slot.outcome]),
            *([Text(wording.count(slot.gas))] if wide else []),
            Text(wording.NONE if slot.seconds is None else f"{slot.seconds:,.1f}"),
        ]
        table.add_row(*cells)
    return table


def show_table(report: CampaignReport, stream: TextIO) -> None:
    """Print the final table and the verdict; plain text of 100 columns where no terminal is."""
    console = Console(file=stream) if stream.isatty() else Console(file=stream, width=_PLAIN_WIDTH)
    console.print(final_table(report, console.width))
    for sentence in report.headline[1:]:
        console.print(Text(_say(sentence)))


_STYLES = {
    SlotOutcome.ACCEPTED: "green",
    SlotOutcome.REFUSED: "bold red",
    SlotOutcome.SKIPPED: "yellow",
    SlotOutcome.OPEN: "dim",
}


def _ended(view: CampaignView) -> int:
    """Slots that are over."""
    if view.slot is not None:
        return view.slot.number - 1
    return view.slots if view.state.ended else 0


def _aucs(slot: SlotFigure, *, wide: bool) -> str:
    before, after = slot.auc_before, slot.auc_after
    if before is None or after is None:
        return wording.NONE
    now = wording.auc(after.value)
    if wide:
        now = wording.auc_with_interval(after.value, after.low, after.high)
    return f"{wording.auc(before.value)} → {now}"


def _votes(votes: dict[str, bool]) -> Text:
    line = Text("votes  ")
    for voter, approve in votes.items():
        line.append(f"{voter} ")
        line.append(f"{_yes(approve)}  ", style="green" if approve else "bold red")
    return line


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    return f" AUC {wording.auc(before)} → {wording.auc(after)}"


def _left(pace: Pace) -> str:
    left = pace.left()
    return f", about {wording.duration(left)} left" if left else ""


def _where(slot: int) -> str:
    """What a line begins with; 0 stands for what belongs to no slot, e.g. a joiner's request."""
    return f"slot {slot}: " if slot else ""


def _yes(approve: bool) -> str:
    return "yes" if approve else "no"


def _name(text: str) -> str:
    return wording.printable(text, _LONGEST_NAME)


def _say(text: str) -> str:
    return wording.printable(text, _LONGEST_SENTENCE)
