"""What an audit found, as a table: in colours on a terminal, plain text elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cdistrim.report import wording

if TYPE_CHECKING:
    from cdistrim.audit import Audit
    from cdistrim.audit.book import Member
    from cdistrim.audit.holding import Signer

__all__ = ["Mark", "Row", "show_audit", "show_rows"]

_PLAIN_WIDTH = 100


class Mark(Enum):
    """How a check ended; the value is shown."""

    GOOD = "ok"
    BAD = "WRONG"
    OPEN = "-"


_STYLES = {Mark.GOOD: "green", Mark.BAD: "bold red", Mark.OPEN: "dim"}

Row = tuple[str, Mark, str]


def show_audit(audit: Audit, stream: TextIO) -> None:
    """Print the checks and the verdict."""
    show_rows(_rows(audit), stream, _verdict(audit))


def show_rows(rows: Iterable[Row], stream: TextIO, verdict: str) -> None:
    """Print checks, and what follows from them."""
    console = Console(file=stream) if stream.isatty() else Console(file=stream, width=_PLAIN_WIDTH)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("checked", no_wrap=True, max_width=32, overflow="ellipsis")
    table.add_column("", no_wrap=True)
    table.add_column("found", overflow="fold")
    for what, mark, found in rows:
        table.add_row(Text(what), Text(mark.value, style=_STYLES[mark]), Text(_printable(found)))
    console.print(table)
    console.print(Text(_printable(verdict)))


def _rows(audit: Audit) -> Iterator[Row]:
    history, origin = audit.history, audit.source.origin
    yield "contract", Mark.OPEN, f"{origin.contract} on chain {origin.chain_id}"
    yield "records", Mark.OPEN, _extent(audit)
    if audit.source.ledger is None:
        broken = history.broken
        good = f"whole: {history.digests[-1].hex()}"
        yield _row("running hash", "" if broken is None else broken.why, good)
    objection = history.objection
    rules = "every record follows from those before it"
    wrong = "" if objection is None else f"{objection.where}: {objection.why}"
    if history.broken is not None and not wrong:
        rules = f"records 1 to {history.records} follow from those before them"
    yield _row("rules of the protocol", wrong, rules)
    models = wording.plural(len(history.accepted), "accepted model")
    yield "campaigns", Mark.OPEN, f"{history.campaigns}, with {models}"
    for member in history.members:
        yield _of_member(member, audit.signer(member.account))
    for stranger in audit.holding.strangers:
        yield "a checkpoint of nobody", Mark.BAD, stranger.why
    if audit.junk:
        junk = wording.plural(len(audit.junk), "object")
        found = f"passed over, since no member signed them: {junk}, first {audit.junk[0]}"
        yield "checkpoints in the store", Mark.OPEN, found
    if audit.compared is not None:
        compared = audit.compared
        wrong = (
            "" if compared.finding is None else f"{compared.finding.where}: {compared.finding.why}"
        )
        yield _row("the other export", wrong, f"the same up to its record {compared.same}")
    if audit.stored is not None:
        stored = audit.stored
        good = f"{stored.whole} of {len(history.accepted)} lie whole in the store"
        wrong = "" if stored.finding is None else f"{good}; {stored.finding.why}"
        yield _row("accepted models", wrong, good)


def _row(what: str, wrong: str, good: str) -> Row:
    return (what, Mark.BAD, wrong) if wrong else (what, Mark.GOOD, good)


def _extent(audit: Audit) -> str:
    last = audit.history.last
    if last is None:
        return "none"
    when = wording.moment(last.timestamp)
    return f"{audit.history.records}, the last one in block {last.block} of {when}"


def _of_member(member: Member, signer: Signer | None) -> Row:
    what = f"signed by {member.name}"
    if signer is None:
        return what, Mark.OPEN, "no checkpoint"
    checkpoints = wording.plural(len(signer.agreed), "checkpoint")
    agreed = f"agrees up to record {signer.confirmed} ({checkpoints})"
    if signer.finding is None:
        return what, Mark.GOOD, agreed
    wrong = f"{signer.finding.where}: {signer.finding.why}"
    if signer.confirmed >= signer.finding.number:
        wrong += "; but it signed this history, too, and so contradicts itself"
    return what, Mark.BAD, wrong


def _verdict(audit: Audit) -> str:
    records, confirmed = audit.history.records, audit.confirmed
    if audit.first is not None:
        return f"NOT VERIFIED: see record {audit.first.number}."
    if not confirmed:
        return (
            "CONSISTENT, and no more: the contract could have written this. Without a checkpoint "
            "that a partner signed, nothing shows that it did."
        )
    names = [one.name for one in audit.holding.signers if one.confirmed == confirmed]
    upto = "all records are" if confirmed == records else f"records 1 to {confirmed} are"
    verdict = f"VERIFIED: {upto} as {' and '.join(names)} signed them."
    if confirmed < records:
        verdict += f" The {records - confirmed} behind them are newer than every checkpoint."
    return verdict


def _printable(text: str) -> str:
    """Names and values may come from a forged export: no control character reaches a terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
