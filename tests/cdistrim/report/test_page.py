"""The page shows the report's figures, needs nothing from elsewhere and trusts no name."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from cdistrim.report import wording
from cdistrim.report.page import render_page
from tests.cdistrim.report.sample import Story, report

_HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "$css ${body}",
    "\u202eevil\x1b[31m & co",
)


class Reader(HTMLParser):
    """Collects tags, attributes, texts and the tables' cells by table id."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._rows: list[list[str]] = []
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs).get("id")), [])
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._rows[-1].append("")
            self._in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_cell:
            self._rows[-1][-1] += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_loads_nothing_from_anywhere() -> None:
    page = render_page(report())
    reader = read(page)
    assert not {tag for tag, _ in reader.tags} & {"script", "link", "img", "iframe", "object", "a"}
    for _, attributes in reader.tags:
        assert not {"src", "href", "xlink:href", "srcset", "action"} & set(attributes)
    assert not re.search(r"@import|@font-face|https?://", page)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page))


def test_hostile_names_stay_text() -> None:
    reader = read(render_page(report(Story(names=_HOSTILE))))
    tags = {tag for tag, _ in reader.tags}
    assert not tags & {"script", "img"}
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert "<script>alert(1)</script>" in reader.text
    assert "$css ${body}" in reader.text
    assert "\x1b" not in reader.text
    assert "\u202e" not in reader.text


def test_the_slot_table_has_the_reports_figures() -> None:
    made = report(Story(late=(6,)))
    rows = read(render_page(made)).tables["table-slots"][1:]
    assert len(rows) == len(made.slots)
    for slot, row in zip(made.slots, rows, strict=True):
        number, hospital, cases, aucs, votes, outcome, verdict, gas, sent, seconds = row
        assert (number, hospital, cases) == (str(slot.number), slot.partner, str(slot.cases))
        assert outcome.endswith(slot.outcome.value)
        assert verdict == slot.verdict
        assert int(gas.replace(",", "")) == slot.gas
        assert sent == str(slot.transactions)
        assert seconds == wording.duration(slot.seconds)
        if slot.auc_before and slot.auc_after:
            assert votes == f"{slot.yes}/{slot.voters} yes"
            low, high = f"{slot.auc_after.low:.2f}", f"{slot.auc_after.high:.2f}"
            assert aucs.startswith(f"{slot.auc_before.value:.3f} → {slot.auc_after.value:.3f}")
            assert aucs.endswith(f"({low}{wording.EN_DASH}{high})")


def test_the_other_tables_have_the_reports_figures() -> None:
    made = report()
    tables = read(render_page(made)).tables
    assert [row[3] for row in tables["table-events"][1:]] == [e.sentence for e in made.events]
    gas = [int(row[4].replace(",", "")) for row in tables["table-events"][1:] if row[4]]
    assert sum(gas) == made.totals.gas
    partners = tables["table-partners"][1:]
    assert [int(row[8].replace(",", "")) for row in partners] == [p.gas for p in made.partners]
    assert [row[3] for row in tables["table-hashes"][1:]] == [s.weights_hash for s in made.slots]
    assert ["Contract", made.contract] in tables["table-check"]
    assert ["Spec, SHA-256", made.spec_hash] in tables["table-check"]
    models = [model for model in (made.sequential, made.central) if model is not None]
    for model, row in zip(models, tables["table-results"][1:], strict=True):
        assert row[0] == model.label
        assert row[2:] == [f"{model.brier:.3f}", f"{model.ece:.3f}"]


def test_what_a_hold_out_counts_is_said_for_two_and_for_more_classes() -> None:
    (two, *_), (more, *_) = (
        read(render_page(replace(report(), classes=classes))).tables["table-partners"]
        for classes in (2, 3)
    )
    assert "Hold-out pos. / neg." in two
    assert "Hold-out smallest class / others" in more


def test_the_vote_matrix_shows_who_said_what() -> None:
    row = read(render_page(report())).tables["table-votes"][3]
    assert row[2].startswith("no \u2212")
    assert row[4].endswith("(trainer)")
    assert row[5] == wording.NONE


def test_verdict_headline_and_notes_are_on_the_page() -> None:
    made = report()
    text = read(render_page(made)).text
    for sentence in (*made.headline, *made.notes):
        assert sentence in text


def test_every_drawing_has_a_title_and_ids_are_unique() -> None:
    reader = read(render_page(report()))
    drawings = [attributes for tag, attributes in reader.tags if tag == "svg"]
    ids = [a["id"] for _, a in reader.tags if "id" in a]
    assert len(drawings) == 6
    assert len(ids) == len(set(ids))
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert set(str(attributes["aria-labelledby"]).split()) <= set(ids)


@pytest.mark.parametrize("refused", [(), (1, 2, 3), tuple(range(1, 13))])
def test_any_number_of_refusals_can_be_drawn(refused: tuple[int, ...]) -> None:
    made = report(Story(refused=refused))
    page = render_page(made)
    assert page.count('class="refused"') == 3 * len(refused)
    assert "nan" not in page.lower().split("<svg")[1]


def test_a_report_without_test_results_or_slots_can_be_shown() -> None:
    from dataclasses import replace

    made = replace(
        report(), sequential=None, central=None, comparison=None, slots=(), lineage=(), head=0
    )
    assert "On the untouched test set" not in render_page(made)
