"""Displays: plain ones stay plain, live ones survive threads, tables fit."""

from __future__ import annotations

import io
import threading
from dataclasses import replace

import pytest
from rich.console import Console

from cdistrim.display import (
    Display,
    LiveDisplay,
    PlainDisplay,
    choose_display,
    final_table,
    show_table,
)
from cdistrim.pace import Pace
from cdistrim.protocol import CampaignState, CampaignView
from tests.cdistrim.report.sample import Story, report, tell

HOSTILE = "\x1b[31mevil\x07[bold]\n"


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def view() -> CampaignView:
    """A campaign of four hospitals and twelve slots at its start."""
    return replace(tell(Story())[0], state=CampaignState.ENROLLING)


def play(display: Display, name: str = "hospital-1") -> None:
    display.campaign_started(view())
    display.slot_started(1, name)
    display.step(1, name, "train")
    display.waiting(1, name, "waits for " + name)
    for batch in (1, 2):
        display.training(1, 1, 1, batch, 2, 0.5)
    display.vote(1, name, False, "AUC 0.60 against 0.80 " + name)
    display.slot_ended(1, name, False, "Refused " + name, 0.8, 0.6)
    display.note("a note " + name)
    display.finished()
    display.finished()


def test_the_plain_display_writes_a_line_per_event_without_control_codes() -> None:
    stream = io.StringIO()
    play(PlainDisplay(stream), HOSTILE)
    text = stream.getvalue()
    assert all(c.isprintable() or c == "\n" for c in text)
    assert "campaign 1: 4 hospitals, 12 slots" in text
    assert "slot 1: epoch 1/1, loss 0.5000" in text
    assert "AUC 0.800 → 0.600 at the voters (Refused" in text
    assert len(text.splitlines()) == 8


def test_the_plain_display_writes_to_streams_that_lack_signs() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", write_through=True)
    play(PlainDisplay(stream))
    assert b"AUC 0.800 ? 0.600" in raw.getvalue()


def test_the_live_display_neutralises_names_and_says_why_a_slot_was_skipped() -> None:
    stream = Terminal()
    play(LiveDisplay(Console(file=stream, force_terminal=True, width=100)), HOSTILE)
    text = stream.getvalue()
    assert "\x1b[31mevil" not in text
    assert "\x07" not in text
    assert "[bold]" in text
    assert "Refused" in text


@pytest.mark.parametrize("width", [80, 100])
def test_the_panel_fits_the_terminal(width: int) -> None:
    display = LiveDisplay(Console(file=io.StringIO(), width=width))
    display.campaign_started(view())
    display.slot_started(3, "hospital-3")
    display.step(3, "hospital-3", "train")
    display.step(3, "hospital-1", "release_share")
    display.training(3, 1, 2, 12, 25, 0.412)
    display.vote(3, "hospital-1", True, "better")
    out = io.StringIO()
    Console(file=out, width=width).print(display.render())
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) == width
    display.finished()
    assert "release_share" not in out.getvalue()
    for words in ("slot 3 of 12", "hospital-3", "train", "epoch 1/2", "batch 12/25", "estimating"):
        assert words in out.getvalue()


@pytest.mark.parametrize("live", [True, False])
def test_many_threads_may_report_at_once(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    console = Console(file=stream, force_terminal=True, width=100)
    display: Display = LiveDisplay(console) if live else PlainDisplay(stream)
    display.campaign_started(view())
    failures: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def talk() -> None:
        for i in range(1, 41):
            display.slot_started(i, "hospital-1")
            display.step(i, "hospital-1", "train")
            display.training(i, 1, 1, i, 40, 0.1)
            display.vote(i, f"hospital-{i}", i % 2 == 0, "said")
            display.slot_ended(i, "hospital-1", True, "fine", None, None)

    threads = [threading.Thread(target=talk) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    display.finished()
    assert not failures
    assert not any(thread.is_alive() for thread in threads)
    if not live:
        assert stream.getvalue().count(" votes ") == 6 * 40


def test_the_time_left_comes_from_measured_slots() -> None:
    clock = Clock()
    pace = Pace(clock, slots=4)
    pace.begin(1)
    assert pace.left() is None
    clock.now = 10
    assert pace.end() == 10
    assert pace.left() == 30
    pace.begin(2)
    clock.now = 14
    assert pace.left() == 26
    clock.now = 100
    assert pace.left() == 20


def test_a_slot_begins_with_its_owner_whoever_did_something_before() -> None:
    clock, stream = Clock(), io.StringIO()
    display = PlainDisplay(stream, clock)
    display.campaign_started(view())
    for slot in (1, 3):  # Nobody came for slot 2.
        display.step(slot, "hospital-4", "vote")
        display.slot_started(slot, f"hospital-{slot}")
        clock.now += 10
    display.slot_ended(3, "hospital-3", True, "fine", None, None)
    text = stream.getvalue()
    assert "slot 1/12: hospital-1\n" in text
    assert "slot 3/12: hospital-3\n" in text
    assert "/12: hospital-4" not in text
    assert "[10.0 s, about 1 min 30 s left]" in text


def test_training_outside_of_slots_is_not_shown_as_a_slots() -> None:
    out, display = io.StringIO(), LiveDisplay(Console(file=io.StringIO(), width=100))
    display.slot_started(12, "hospital-4")
    display.training(0, 2, 8, 3, 4, 0.3)
    Console(file=out, width=100).print(display.render())
    assert "outside of the slots" in out.getvalue()
    assert "hospital-4" not in out.getvalue()


def test_a_resumed_campaign_counts_the_slots_that_are_over() -> None:
    clock = Clock()
    pace = Pace(clock, slots=12, ended=10)
    assert pace.end() is None
    pace.begin(12)
    clock.now = 5
    pace.end()
    assert pace.left() == 0


@pytest.mark.parametrize(
    ("terminal", "term", "kind"),
    [(True, "xterm", LiveDisplay), (True, "dumb", PlainDisplay), (False, "xterm", PlainDisplay)],
)
def test_only_a_capable_terminal_gets_the_live_display(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, kind: type
) -> None:
    monkeypatch.setenv("TERM", term)
    stream = Terminal() if terminal else io.StringIO()
    assert isinstance(choose_display(stream), kind)


def test_the_final_table_fits_100_columns_and_is_plain_where_no_terminal_is() -> None:
    stream = io.StringIO()
    names = tuple(f"long-hospital-name{i}" for i in range(4))
    made = report(Story(names=names, late=(6,), sabotaged=None))
    show_table(made, stream)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    for slot in made.slots:
        row = next(
            r for r in text.splitlines() if r.split()[:2] == [str(slot.number), slot.partner]
        )
        assert f"{slot.gas:,}" in row
        assert slot.outcome.value in row
        if slot.auc_after is not None:
            assert f"{slot.auc_after.value:.3f} ({slot.auc_after.low:.2f}" in row
            assert f"{slot.yes}:{slot.no}" in row


def test_a_narrow_table_leaves_columns_out_instead_of_cutting_figures() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80)
    made = report()
    console.print(final_table(made, width=80))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    for slot in made.slots:
        assert slot.auc_before is not None
        assert slot.auc_after is not None
        assert f"{slot.auc_before.value:.3f} → {slot.auc_after.value:.3f}" in out.getvalue()
    assert "726,484" not in out.getvalue()


@pytest.mark.parametrize("live", [True, False])
def test_what_belongs_to_no_slot_is_told_without_one(live: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100)
    display: Display = LiveDisplay(console) if live else PlainDisplay(stream)
    display.vote(0, "hospital-1", False, "Refused: the member has published no sealing key.")
    display.vote(2, "hospital-1", False, "Refused.")
    first, second = stream.getvalue().splitlines()
    assert "slot" not in first
    assert "hospital-1 votes no" in first
    assert "slot 2" in second
