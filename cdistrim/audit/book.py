"""What a replay has read so far: members, ballots, campaigns, slots; accounts as exports have them.

The contract's limits stand here once more: a replay believes no contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    SkipReason,
    SlotState,
    quorum_of,
)

__all__ = [
    "FEWEST_MEMBERS",
    "MAX_KEY_BYTES",
    "MAX_SEATS",
    "MAX_SLOTS",
    "MAX_STEP_S",
    "MEMBERSHIP_BALLOT_S",
    "MOST_MEMBERS",
    "NO_DIGEST",
    "ROUNDS",
    "Accepted",
    "Arguments",
    "Ballot",
    "Campaign",
    "Final",
    "Member",
    "Objection",
    "Slot",
    "ballot_id",
    "plain_ballot",
]

Arguments = dict[str, Any]
"""An event's, in the form of :mod:`cdistrim.ledger.plain`."""

NO_DIGEST = "0x" + 64 * "0"
FEWEST_MEMBERS, MOST_MEMBERS = 2, 50
MAX_SEATS = 128
MAX_SLOTS = 2000
MAX_KEY_BYTES = 4096
MAX_STEP_S = 30 * 24 * 3600
MEMBERSHIP_BALLOT_S = 7 * 24 * 3600

ROUNDS = (BallotKind.JOIN, BallotKind.FINAL_FETCH, BallotKind.ADMISSION, BallotKind.REMOVAL)
"""Kinds of ballots that count their opener's requests instead of a slot's attempts."""


class Objection(Exception):
    """An event can't follow from those before it; the text says why."""


def ballot_id(found: Arguments) -> BallotId:
    """A ballot's name, out of an event's arguments."""
    numbers = {name: int(found[name]) for name in ("campaign", "slot", "attempt")}
    return BallotId(kind=BallotKind[found["kind"]], opener=str(found["opener"]), **numbers)


def plain_ballot(ballot: BallotId) -> Arguments:
    """A ballot's name as events have it."""
    return vars(ballot) | {"kind": ballot.kind.name}


@dataclass
class Member:
    """Who has or had a seat. ``admitted`` and ``removed`` are numbers of records, 0 for not yet."""

    account: str
    name: str
    seat: int
    admitted: int = 0
    removed: int = 0
    key_digest: str = NO_DIGEST

    def belonged(self, records: int) -> bool:
        """Whether this was a member when the history had so many records."""
        return 0 < self.admitted <= records and not 0 < self.removed <= records


@dataclass
class Ballot:
    """A ballot and its votes; of a slot's ballots ``deadline`` is None, they have the slot's.

    ``removals`` is how many members had been removed when it was opened, ``model`` a restore's
    target or a final fetch's head, ``opened`` whether a restore's head had been opened before.
    ``terms`` is what a request asks for, in its event's arguments.
    """

    id: BallotId
    electorate: frozenset[str]
    asked: int = 0
    deadline: int | None = None
    removals: int = 0
    model: int = GENESIS
    opened: bool = False
    terms: Arguments = field(default_factory=dict)
    approvals: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)

    @property
    def of_slot(self) -> bool:
        """Whether the open slot waits for it."""
        return self.id.kind in (BallotKind.FETCH, BallotKind.UPLOAD)

    @property
    def quorum(self) -> int:
        """Yes votes that pass it."""
        return quorum_of(len(self.electorate), self.asked)

    @property
    def passed(self) -> bool:
        """Whether it has its quorum."""
        return len(self.approvals) >= self.quorum

    @property
    def decided(self) -> bool:
        """Whether no further vote could change its end."""
        return self.passed or len(self.electorate) - len(self.refusals) < self.quorum


@dataclass
class Slot:
    """A slot that was reached. ``candidate`` is what was submitted in the present attempt."""

    owner: str
    state: SlotState = SlotState.WAITING
    reason: SkipReason = SkipReason.NONE
    attempt: int = 1
    deadline: int = 0
    parent: int = GENESIS
    candidate: Arguments | None = None


@dataclass
class Final:
    """A partner's latest fetch of the final model; ``head`` is the model that it is for."""

    state: FinalFetchState
    round: int
    head: int
    deadline: int = 0


@dataclass
class Campaign:
    """A campaign. ``place`` is the open slot's in ``order``; ``deadlines`` are seconds by clock."""

    number: int
    order: list[str]
    cycles: int
    asked: int
    mode: Mode
    deadlines: dict[str, int]
    enrol_deadline: int
    place: int
    cycle: int = 0
    state: CampaignState = CampaignState.ENROLLING
    slot: int = 0
    head: int = GENESIS
    invited: set[str] = field(default_factory=set)
    partners: set[str] = field(default_factory=set)
    voters: set[str] = field(default_factory=set)
    evaluators: set[str] = field(default_factory=set)
    dealt: set[str] = field(default_factory=set)
    slots: dict[int, Slot] = field(default_factory=dict)
    enrolments: dict[str, Arguments] = field(default_factory=dict)
    finals: dict[str, Final] = field(default_factory=dict)

    @property
    def open_slot(self) -> Slot:
        """The one open slot of a running campaign."""
        return self.slots[self.slot]

    @property
    def lineage(self) -> list[int]:
        """Slots of the models from the head back; genesis is not among them."""
        found, slot = [], self.head
        while slot != GENESIS:
            found.append(slot)
            slot = self.slots[slot].parent
        return found

    @property
    def can_decide(self) -> bool:
        """Whether enough are left to judge: nobody is judged by itself alone."""
        judges = self.voters if self.mode is Mode.REPORTED else self.voters & self.evaluators
        return min(len(self.voters), len(judges)) >= FEWEST_MEMBERS

    def end_of(self, clock: Clock, now: int) -> int:
        """Last second of what begins now."""
        return now + self.deadlines[clock.name.lower()]


@dataclass(frozen=True)
class Accepted:
    """A model that was accepted in record ``number``, and where the store has to have it.

    ``partner`` is the name of its ``account``; hashes are the record's, in hexadecimal.
    """

    number: int
    campaign: int
    slot: int
    account: str
    partner: str
    ciphertext_hash: str
    capsule_hash: str
