"""The report's HTML tables. Every cell is escaped unless it is :class:`Html` already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cdistrim.report import wording
from cdistrim.report.figures import (
    CampaignReport,
    EventFigure,
    PartnerFigure,
    SlotFigure,
    SlotOutcome,
    VoteFigure,
)

__all__ = [
    "Html",
    "contribution_table",
    "event_table",
    "hash_table",
    "secure",
    "slot_table",
    "spec_table",
    "vote_table",
]

_LONGEST_TEXT = 600
_SLOT_HEADERS = (
    "#Slot",
    "Hospital",
    "#Cases",
    "#AUC before → after (95 %)",
    "#Votes",
    "Outcome",
    "Verdict",
    "#Gas",
    "#Tx",
    "#Time",
)
_PARTNER_HEADERS = (
    "Hospital",
    "#Training cases",
    "#Share of cases",
    "{holdout}",
    "#Accepted",
    "#Refused",
    "#AUC gained",
    "#Votes yes / no",
    "#Gas paid",
    "#Time in its slots",
)


class Html(str):
    """Text that is markup and safe; made by :func:`secure` and out of literals."""

    __slots__ = ()


@dataclass(frozen=True)
class _Cell:
    """A cell with its classes: ``n`` number, ``w`` may break anywhere."""

    content: str
    classes: str = ""


def secure(text: str) -> Html:
    """Text from anywhere, made safe: printable, escaped."""
    return Html(escape(wording.printable(text, _LONGEST_TEXT)))


def slot_table(slots: Sequence[SlotFigure]) -> Html:
    """One row per partner iteration."""
    rows = [
        (
            slot.outcome.value,
            (
                _number(str(slot.number)),
                _name(slot.partner),
                _number(wording.count(slot.cases)),
                _number(_aucs(slot)),
                _number(f"{slot.yes}/{slot.voters} yes" if slot.voters else wording.NONE),
                _Cell(_tag(slot.outcome)),
                _Cell(slot.verdict),
                _number(wording.count(slot.gas)),
                _number(wording.count(slot.transactions)),
                _number(wording.duration(slot.seconds)),
            ),
        )
        for slot in slots
    ]
    return _table("slots", _SLOT_HEADERS, rows)


def contribution_table(partners: Sequence[PartnerFigure], *, classes: int = 2) -> Html:
    """One row per partner: what it brought, what it cost, how it voted.

    Args:
        partners: In the order of their turns.
        classes: That labels tell apart: with more than two, a vote counts the smallest one's cases
            and all others.
    """
    holdout = "pos. / neg." if classes == 2 else "smallest class / others"
    headers = tuple(each.format(holdout=f"#Hold-out {holdout}") for each in _PARTNER_HEADERS)
    cases = sum(partner.train_cases for partner in partners) or 1
    rows = [
        (
            "",
            (
                _name(partner.name, tip=partner.account),
                _number(wording.count(partner.train_cases)),
                _number(f"{100 * partner.train_cases / cases:.0f} %"),
                _number(_holdout(partner)),
                _number(f"{partner.accepted} of {partner.slots}"),
                _number(str(partner.refused)),
                _number(
                    wording.NONE
                    if partner.auc_gained is None
                    else wording.signed(partner.auc_gained)
                ),
                _number(f"{partner.votes_yes} / {partner.votes_no}"),
                _number(wording.count(partner.gas)),
                _number(wording.duration(partner.seconds)),
            ),
        )
        for partner in partners
    ]
    return _table("partners", headers, rows)


def vote_table(report: CampaignReport) -> Html:
    """Slot by voter: yes or no with the change of AUC that the voter measured."""
    voters = [partner.name for partner in report.partners]
    rows = []
    for slot in report.slots:
        by_name = {vote.voter: vote for vote in slot.votes}
        cells = (
            _number(str(slot.number)),
            _name(slot.partner),
            *(_vote(by_name.get(voter)) for voter in voters),
            _Cell(_tag(slot.outcome)),
        )
        rows.append((slot.outcome.value, cells))
    return _table("votes", ("#Slot", "Candidate of", *voters, "Outcome"), rows)


def hash_table(slots: Sequence[SlotFigure]) -> Html:
    """What pins each candidate: SHA-256 of its weights and of its ciphertext."""
    rows = [
        (
            slot.outcome.value,
            (
                _number(str(slot.number)),
                _Cell(slot.model),
                _number(wording.NONE if slot.parent is None else str(slot.parent)),
                _Cell(_code(slot.weights_hash), "w"),
                _Cell(_code(slot.ciphertext_hash), "w"),
            ),
        )
        for slot in slots
        if slot.weights_hash
    ]
    headers = ("#Slot", "Model", "#Trained from", "Weights, SHA-256", "Ciphertext, SHA-256")
    return _table("hashes", headers, rows)


def event_table(events: Sequence[EventFigure]) -> Html:
    """The whole log. Gas stands with the first event of each transaction."""
    rows = [
        (
            "",
            (
                _Cell(f"{event.time:%Y-%m-%d %H:%M:%S}", "n"),
                _number(str(event.block)),
                _Cell(event.name),
                _Cell(event.sentence),
                _number("" if event.gas is None else wording.count(event.gas)),
                _Cell(_code(wording.short_hash(event.transaction), full=event.transaction)),
            ),
        )
        for event in events
    ]
    headers = ("Time (UTC)", "#Block", "Event", "What it says", "#Gas", "Transaction")
    return _table("events", headers, rows)


def spec_table(spec: dict[str, object]) -> Html:
    """The spec, flattened to dotted names."""
    rows = [("", (_Cell(_code(name)), _Cell(text, "w"))) for name, text in _flat("", spec)]
    return _table("spec", ("Setting", "Value"), rows)


def _table(name: str, headers: Sequence[str], rows: Sequence[tuple[str, Sequence[_Cell]]]) -> Html:
    """A table; a header that starts with ``#`` stands over numbers."""
    head = "".join(
        f'<th scope="col" class="n">{secure(text[1:])}</th>'
        if text.startswith("#") and len(text) > 1
        else f'<th scope="col">{secure(text)}</th>'
        for text in headers
    )
    body = "".join(
        f"<tr{_class(kind)}>{''.join(_render(cell) for cell in cells)}</tr>" for kind, cells in rows
    )
    return Html(
        f'<div class="scroll"><table class="{name}" id="table-{name}">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _render(cell: _Cell) -> str:
    content = cell.content if isinstance(cell.content, Html) else secure(cell.content)
    return f"<td{_class(cell.classes)}>{content}</td>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _number(text: str) -> _Cell:
    return _Cell(text, "n")


def _aucs(slot: SlotFigure) -> str:
    before, after = slot.auc_before, slot.auc_after
    if before is None or after is None:
        return wording.NONE
    now = wording.auc_with_interval(after.value, after.low, after.high)
    return f"{wording.auc(before.value)} → {now}"


def _tag(outcome: SlotOutcome) -> Html:
    sign = {SlotOutcome.ACCEPTED: "✓ ", SlotOutcome.REFUSED: "✗ "}.get(outcome, "")
    return Html(f'<span class="tag {outcome.value}">{sign}{outcome.value}</span>')


def _code(text: str, full: str = "") -> Html:
    tip = f' title="{secure(full)}"' if full else ""
    return Html(f"<code{tip}>{secure(text)}</code>")


def _name(name: str, tip: str = "") -> _Cell:
    title = f' title="{secure(tip)}"' if tip else ""
    return _Cell(Html(f"<b{title}>{secure(name)}</b>"), "name")


def _holdout(partner: PartnerFigure) -> str:
    if not partner.holdout_positives + partner.holdout_negatives:
        return wording.NONE
    return f"{partner.holdout_positives} / {partner.holdout_negatives}"


def _vote(vote: VoteFigure | None) -> _Cell:
    if vote is None:
        return _Cell(wording.NONE, "none")
    word = "yes" if vote.approve else "no"
    change = "" if vote.change is None else f" {wording.signed(vote.change)}"
    change = " (too few cases)" if vote.withheld else change
    role = " (trainer)" if vote.trainer else ""
    if not vote.reason:
        return _Cell(f"{word}{change}{role}", word)
    shown = f'<span title="{secure(vote.reason)}">{secure(f"{word}{change}{role}")}</span>'
    return _Cell(Html(shown), word)


def _flat(prefix: str, value: object) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [
            row
            for key, inner in value.items()
            for row in _flat(f"{prefix}.{key}" if prefix else str(key), inner)
        ]
    if isinstance(value, list | tuple):
        return [(prefix, ", ".join(str(item) for item in value))]
    return [(prefix, wording.NONE if value is None else str(value))]
