"""What the reference keeps, in Python's own words: sets of accounts instead of masks."""

from __future__ import annotations

from dataclasses import dataclass, field

from eth_utils.crypto import keccak

from cdistrim.ledger.words import ballot_word
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
    "NO_HASH",
    "Ballot",
    "Campaign",
    "Candidate",
    "Enrolment",
    "Event",
    "FinalFetch",
    "Member",
    "Refused",
    "Slot",
    "digest_of",
]

NO_HASH = bytes(32)

Candidate = tuple[int, bytes, bytes, bytes, int]
"""Parent, ciphertext's, weights' and capsule's hash, evidence, as the ABI takes them."""


def digest_of(*words: int | bytes | str) -> bytes:
    """Keccak-256 of numbers, hashes and accounts as the ABI encodes them: 32 bytes each."""
    numbers = [int(word, 16) if isinstance(word, str) else word for word in words]
    return keccak(b"".join(n if isinstance(n, bytes) else n.to_bytes(32) for n in numbers))


class Refused(Exception):
    """What was asked is against the rules: the custom error's name and its arguments.

    A call whose data is no call at all (a number that is no word of an enum) is refused without a
    name.
    """

    def __init__(self, name: str = "", *arguments: object) -> None:
        super().__init__(name, *arguments)
        self.name = name
        self.arguments = arguments


@dataclass(frozen=True)
class Event:
    """What is told; ``arguments`` in the order of the interface, ballots and records as words."""

    name: str
    arguments: tuple[object, ...]


@dataclass
class Member:
    """Who has or had a seat."""

    account: str
    name: bytes
    seat: int
    active: bool = True
    sealing_key_digest: bytes = NO_HASH
    key_changed_at: int = 0


@dataclass(frozen=True)
class Enrolment:
    """A partner's part, or a member's wish to join."""

    cases: int = 0
    evaluator: bool = False
    data_commitment: bytes = NO_HASH


@dataclass
class Slot:
    """A slot that was reached, and the candidate that is or was voted on.

    What a candidate that was started over left behind stays readable.
    """

    owner: str
    state: SlotState = SlotState.WAITING
    skip_reason: SkipReason = SkipReason.NONE
    attempt: int = 1
    fetch_attempt: int = 0
    deadline: int = 0
    parent: int = GENESIS
    request_key_digest: bytes = NO_HASH
    candidate: Candidate | None = None
    ciphertext_hash: bytes = NO_HASH
    weights_hash: bytes = NO_HASH
    capsule_hash: bytes = NO_HASH

    @property
    def candidate_digest(self) -> bytes:
        """What an upload ballot is about."""
        return digest_of(*self.candidate) if self.candidate else NO_HASH


@dataclass
class FinalFetch:
    """A partner's latest fetch of the final model."""

    state: FinalFetchState = FinalFetchState.NONE
    round: int = 0
    deadline: int = 0
    head: int = GENESIS
    request_key_digest: bytes = NO_HASH


@dataclass
class Ballot:
    """A ballot of any kind. ``void`` is set by whatever takes away what it was about, at once.

    ``deadline`` is None for a slot's ballots: they last as long as the slot's step, and what they
    are about is the slot's. ``model`` is a restore's target or a final fetch's head.
    """

    id: BallotId
    electorate: frozenset[str]
    asked: int = 0
    deadline: int | None = None
    subject: bytes = NO_HASH
    removals: int = 0
    model: int = GENESIS
    opened: bool = False
    reason: int = 0
    approvals: set[str] = field(default_factory=set)
    refusals: set[str] = field(default_factory=set)
    void: bool = False

    @property
    def word(self) -> int:
        """Its name as the contract writes it."""
        return ballot_word(self.id)

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
class Campaign:
    """A campaign. ``place`` is the open slot's in ``order``; ``slots`` are those reached so far."""

    number: int
    spec_hash: bytes
    genesis_hash: bytes
    order: list[str]
    cycles: int
    quorum: int
    mode: Mode
    deadlines: int
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
    enrolments: dict[str, Enrolment] = field(default_factory=dict)
    finals: dict[str, FinalFetch] = field(default_factory=dict)

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
        return len(self.voters) >= 2 and len(judges) >= 2

    def seconds_of(self, clock: Clock) -> int:
        """How long a step may take."""
        return self.deadlines >> (32 * clock) & 0xFFFFFFFF
