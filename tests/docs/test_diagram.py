"""The slot diagram of ARCHITECTURE.md is the transition table's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cdistrim import diagram
from cdistrim.errors import UsageError
from cdistrim.protocol import TRANSITIONS, SlotEvent, SlotState
from tests.docs.pages import ROOT


def test_the_architecture_shows_the_present_table() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert diagram.updated(page) == page, "run `make docs`"


def test_every_transition_has_a_row_of_its_own() -> None:
    rows = diagram.table().splitlines()[2:]
    assert len(set(rows)) == len(TRANSITIONS)


def test_every_arrow_or_note_of_the_diagram_is_a_transition() -> None:
    drawn = diagram.mermaid()
    noted = {
        SlotEvent.DEADLINE_CLOSED,
        SlotEvent.HEAD_RESTORED,
        SlotEvent.OWNER_REMOVED,
        SlotEvent.TOO_FEW_LEFT,
    }
    assert drawn.count("from any open state") == len(noted)
    arrows = [row for row in TRANSITIONS if row.event not in noted]
    for row in arrows:
        assert f"{row.source.name} --> {row.target.name} : " in drawn
    assert drawn.count(" : ") == len(arrows)


def test_a_label_carries_nothing_that_mermaid_would_read() -> None:
    labels = [line.split(" : ")[1] for line in diagram.mermaid().splitlines() if " : " in line]
    assert labels
    assert not set("".join(labels)) & set(':;<>"#')


def test_an_exception_to_a_common_rule_is_drawn_as_an_arrow() -> None:
    rows = [
        replace(row, target=SlotState.ACCEPTED)
        if row.source is SlotState.TRAINING and "deadline" in row.event.value
        else row
        for row in TRANSITIONS
    ]
    drawn = diagram.mermaid(rows)
    assert "from any open state, deadline" not in drawn
    assert "TRAINING --> ACCEPTED : deadline passed" in drawn


def test_a_stale_page_is_told_and_brought_up_to_date(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{diagram.BEGIN}\nold\n{diagram.END}\nafter\n")
    assert diagram.main([str(page)]) == 1
    assert "old" in page.read_text(), "looking must not write"
    assert diagram.main(["--write", str(page)]) == 0
    assert page.read_text() == f"before\n{diagram.section()}\nafter\n"
    assert diagram.main([str(page)]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "no section",
        diagram.BEGIN,
        f"{diagram.END} {diagram.BEGIN}",
        f"{diagram.section()}\n{diagram.section()}",
    ],
)
def test_a_page_without_exactly_one_section_is_refused(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(UsageError, match="no section"):
        diagram.main(["--write", str(page)])
    assert page.read_text() == text


def test_an_unknown_option_or_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not understood"):
        diagram.main(["--wirte"])
    with pytest.raises(UsageError, match="Can't read"):
        diagram.main([str(tmp_path / "missing.md")])
