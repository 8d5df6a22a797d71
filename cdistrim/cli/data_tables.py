"""How cases are told of on a terminal: progress, who is left out, both sets, what will not do."""

from __future__ import annotations

import time
from itertools import zip_longest
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from cdistrim.data.scan import Exclusion
from cdistrim.report.wording import duration, plural, sentence_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cdistrim.data.case_table import Exclusions
    from cdistrim.data.preflight import Findings
    from cdistrim.data.preparation import Preparation

__all__ = ["Progress", "show_exclusions", "show_findings", "show_preparation"]

_PLAIN_WIDTH = 110
_SHOWN_CASES = 12
_LINE_SECONDS = 10.0


class Progress:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Bar | None = None
        self._begun = self._last = time.monotonic()
        self._first = 0
        if stream.isatty():
            self._bar = Bar(
                TextColumn("cases"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=Console(file=stream),
                transient=True,
            )
            self._task = self._bar.add_task("cases", total=None)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def tell(self, done: int, total: int) -> None:
        """So many cases are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
            return
        now = time.monotonic()
        if done in (0, total) or now - self._last >= _LINE_SECONDS:
            self._last = now
            took = f" [{duration(now - self._begun)}]" if done else ""
            self._stream.write(f"{done} of {plural(total, 'case')}{took}\n")
            self._stream.flush()


def show_exclusions(exclusions: Exclusions, stream: TextIO) -> None:
    """Print how many were left out for which reason, and some of them, by the names of cases."""
    if not exclusions.cases:
        _console(stream).print("nobody is left out")
        return
    _show_reasons(exclusions.counts, stream)
    table = _table("case", "why", "figures")
    shown = sorted(exclusions.cases.items())[:_SHOWN_CASES]
    for case, why in shown:
        table.add_row(Text(case), Text(why.reason.value), Text(why.detail))
    _console(stream).print(table)
    if more := len(exclusions.cases) - len(shown):
        _console(stream).print(f"and {plural(more, 'more', 'more')}, see data/exclusions.json")


def _show_reasons(counts: Mapping[str, int], stream: TextIO) -> None:
    table = _table("left out", "why")
    table.columns[0].justify = "right"
    for name, count in counts.items():
        table.add_row(str(count), Text(Exclusion[name].value))
    _console(stream).print(table)


def show_preparation(made: Preparation, data: Path, stream: TextIO) -> None:
    """Print what the sets hold, and where they are."""
    console = _console(stream)
    prepared = made.prepared
    console.print(_sets_table(prepared.train, prepared.holdout, prepared.calibration))
    console.print(
        Text(
            f"{plural(made.cases, 'case')} of shape {prepared.shape}, {made.built} built now; the "
            f"hold-out has {made.held:.0%}."
        )
    )
    for note in made.notes:
        console.print(Text(note))
    for warning in made.warnings:
        console.print(Text(f"warning: {warning}"), style="bold")
    kept = "calibration.npz, " if prepared.calibration else ""
    console.print(Text(f"In {data}: train.npz, holdout.npz, {kept}prepared.json, exclusions.json;"))
    console.print(Text("who the cases are is in cases.csv alone. Back the site up again."))


def show_findings(findings: Findings, stream: TextIO) -> None:
    """Print what a look at a site's cases found."""
    console = _console(stream)
    look = findings.look
    console.print(Text(_headline(findings)))
    console.print(_sets_table(findings.train, findings.holdout, findings.calibration))
    if not findings.prepared:
        console.print(
            Text("Expected; the sets are not made yet: cdistrim data prepare."), style="dim"
        )
    if findings.excluded:
        _show_reasons(findings.excluded, stream)
    elif look.patients is not None:
        console.print("nobody is left out" + ("" if findings.complete else " so far"))
    if not findings.complete:
        console.print(
            Text(
                f"So far: {look.looked_at} of {plural(sum(look.labelled), 'labelled case')} were "
                "built to look at."
            )
        )
    memory = findings.memory
    basis = f"spec {findings.spec}" if findings.spec else "default spec"
    console.print(
        Text(
            f"training ({basis}): batches of {findings.batch_size}, {findings.batches} an epoch; "
            f"about {memory.total / 1e9:.2f} GB of memory on the processor, computed"
        )
    )
    console.print(
        Text(
            f"  process {memory.process / 1e9:.2f}, activations {memory.activations / 1e9:.2f}, "
            f"weights {memory.weights / 1e9:.2f}, cases {memory.cases / 1e9:.2f} GB"
        )
    )
    for warning in findings.warnings:
        console.print(Text(f"warning: {warning}"), style="bold")
    if not findings.warnings:
        console.print("no warnings")


def _headline(findings: Findings) -> str:
    look = findings.look
    counts: Sequence[int] = look.usable
    if findings.complete and look.looked_at < sum(look.labelled):
        # The sets know of all that was built, not only of what was looked at now.
        sets = (findings.train, findings.holdout, findings.calibration)
        counts = [sum(column) for column in zip_longest(*sets, fillvalue=0)]
    classes = sentence_list([f"{n} of class {label}" for label, n in enumerate(counts)])
    if look.patients is None:
        return f"{look.source}: {plural(sum(look.labelled), 'case')}: {classes}"
    so_far = "" if findings.complete else " so far"
    return (
        f"{look.source}: {plural(look.patients, 'patient')}, {sum(counts)} usable{so_far}: "
        f"{classes}"
    )


def _sets_table(
    train: tuple[int, ...], holdout: tuple[int, ...], calibration: tuple[int, ...]
) -> Table:
    table = _table("set", "cases", *(f"class {label}" for label in range(len(train))))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counts in (("training", train), ("hold-out", holdout), ("calibration", calibration)):
        if counts:
            table.add_row(name, str(sum(counts)), *map(str, counts))
    return table


def _table(*heads: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    return table


def _console(stream: TextIO) -> Console:
    return Console(file=stream) if stream.isatty() else Console(file=stream, width=_PLAIN_WIDTH)
