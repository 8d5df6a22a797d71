"""A history that was read, and what is wrong with it: which record, by which ground."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from cdistrim.audit.book import Accepted, Member, Objection
from cdistrim.audit.export import BrokenRecord, Origin, Record
from cdistrim.audit.replay import Replay

if TYPE_CHECKING:
    from cdistrim.ledger import LoggedEvent

__all__ = ["Finding", "Ground", "History", "first_of", "read_history"]


class Ground(Enum):
    """By what a finding was found; the value begins its sentence. The surest comes first."""

    HASH = "First broken"
    CHECKPOINT = "First altered"
    EXPORT = "First different"
    RULES = "First impossible"
    STORE = "Not as recorded"


@dataclass(frozen=True)
class Finding:
    """What is wrong: with record ``number``, or with one of those from ``earliest`` up to it.

    ``where`` says which record that is, ``why`` what it was held against.
    """

    ground: Ground
    number: int
    earliest: int
    where: str
    why: str

    def __str__(self) -> str:
        where = self.where
        if self.earliest != self.number:
            where = f"one of the records {self.earliest} to {self.number}"
        return f"{self.ground.value}: {where}: {self.why}."


def first_of(findings: Iterable[Finding]) -> Finding | None:
    """The finding that names the earliest record; what the store lacks comes last."""
    grounds = list(Ground)

    def rank(finding: Finding) -> tuple[bool, int, int, int]:
        stored = finding.ground is Ground.STORE
        place = grounds.index(finding.ground)
        return stored, finding.number, finding.number - finding.earliest, place

    return min(findings, key=rank, default=None)


@dataclass(frozen=True, slots=True)
class _Label:
    """What is said about a record: its event, block and, 0 for none, campaign and slot."""

    event: str
    block: int
    timestamp: int
    campaign: int
    slot: int

    def __str__(self) -> str:
        parts = [f"block {self.block}", self.event]
        parts += [f"campaign {self.campaign}"] if self.campaign else []
        parts += [f"slot {self.slot}"] if self.slot else []
        return ", ".join(parts)


@dataclass
class History:
    """A history that was read to its end, or to what can't be read.

    ``digests`` has the running digest up to each record, and at 0 that before the first.
    """

    origin: Origin
    digests: list[bytes]
    replay: Replay = field(default_factory=Replay)
    objection: Finding | None = None
    broken: Finding | None = None
    labels: list[_Label] = field(default_factory=list)

    @property
    def records(self) -> int:
        """How many there are."""
        return len(self.labels)

    @property
    def members(self) -> Sequence[Member]:
        """Whoever was a member, as far as the replay came."""
        return self.replay.members

    @property
    def accepted(self) -> Sequence[Accepted]:
        """The accepted models, as far as the replay came."""
        return self.replay.accepted

    @property
    def campaigns(self) -> int:
        """How many campaigns were opened."""
        return len(self.replay.campaigns)

    @property
    def last(self) -> _Label | None:
        """What the last record is."""
        return self.labels[-1] if self.labels else None

    def block(self, number: int) -> int:
        """The block of a record."""
        return self.labels[number - 1].block

    def name(self, number: int) -> str:
        """A record in words."""
        if number > self.records:
            return f"record {number} (missing)"
        return f"record {number} ({self.labels[number - 1]})"

    def finding(self, ground: Ground, number: int, why: str, *, earliest: int = 0) -> Finding:
        """What is wrong with a record, or with one of those up to it."""
        return Finding(ground, number, earliest or number, self.name(number), why)


def read_history(origin: Origin, records: Iterable[Record]) -> History:
    """Read a history and replay it; both end where something is wrong."""
    history = History(origin, [origin.digest])
    try:
        for record in records:
            history.labels.append(_label(record.event))
            history.digests.append(record.digest)
            if history.objection is None:
                try:
                    history.replay.feed(record.event)
                except Objection as objection:
                    history.objection = history.finding(Ground.RULES, record.number, str(objection))
    except BrokenRecord as broken:
        where, why = f"record {broken.number}", broken.what.rstrip(".")
        history.broken = Finding(Ground.HASH, broken.number, broken.number, where, why)
        return history
    if history.objection is None:
        try:
            history.replay.finish()
        except Objection as objection:
            number = history.records + 1
            history.objection = history.finding(Ground.RULES, number, str(objection))
    return history


def _label(event: LoggedEvent) -> _Label:
    said = event.arguments
    ballot = said.get("ballot")
    about = ballot if isinstance(ballot, dict) else said
    numbers = [found if type(found := about.get(name)) is int else 0 for name in _ABOUT]
    return _Label(event.name[:50], event.block, event.timestamp, *numbers)


_ABOUT = ("campaign", "slot")
