"""The protocol: its words, its one transition table, and who has to do what next. No I/O.

The contract is the authority; this module is how Python reads it. Enum values are the contract's
(a test compares them), the table is the one that ARCHITECTURE.md draws, and :func:`duties` is the
only place that answers "what is the next step, and whose is it?". Flows, agents and reruns all ask
it, so a rerun of anything continues where the ledger says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum

__all__ = [
    "TRANSITIONS",
    "BallotState",
    "BallotView",
    "CampaignState",
    "CampaignView",
    "Deed",
    "Duty",
    "Enrolment",
    "Evidence",
    "IllegalTransition",
    "LedgerEvent",
    "Mode",
    "ModelRecord",
    "SkipReason",
    "SlotEvent",
    "SlotState",
    "SlotView",
    "Step",
    "Transition",
    "Vote",
    "advance",
    "duties",
    "model_name",
    "quorum_of",
]

GENESIS = 0
"""Number of the public head before slot 1."""


class CampaignState(IntEnum):
    """Where a campaign stands; values as in ``ICDistriM.CampaignState``."""

    ENROLLING = 0
    RUNNING = 1
    COMPLETED = 2
    FAILED = 3

    @property
    def ended(self) -> bool:
        """Whether no slot can open any more."""
        return self in (CampaignState.COMPLETED, CampaignState.FAILED)


class SlotState(IntEnum):
    """Where a slot stands; values as in ``ICDistriM.SlotState``."""

    WAITING = 0
    FETCH_REQUESTED = 1
    FETCH_GRANTED = 2
    TRAINING = 3
    UPLOAD_REQUESTED = 4
    UPLOAD_GRANTED = 5
    ACCEPTED = 6
    SKIPPED = 7

    @property
    def ended(self) -> bool:
        """Whether the slot is over."""
        return self in (SlotState.ACCEPTED, SlotState.SKIPPED)


class SkipReason(IntEnum):
    """Why a slot was skipped; values as in ``ICDistriM.SkipReason``."""

    NONE = 0
    FETCH_REFUSED = 1
    DEGRADED = 2
    """The upload ballot failed: the head is restored and the partner skipped (paper, "restore")."""
    DEADLINE_PASSED = 3
    NOT_ENROLLED = 4


class Step(IntEnum):
    """What a ballot is about; values as in ``ICDistriM.Step``."""

    FETCH = 0
    UPLOAD = 1


class Mode(IntEnum):
    """On what evidence upload ballots are decided; values as in ``ICDistriM.Mode``."""

    HOLDOUT = 0
    REPORTED = 1


class BallotState(IntEnum):
    """Derived from the counts, never stored; values as in ``ICDistriM.BallotState``."""

    NONE = 0
    OPEN = 1
    PASSED = 2
    REJECTED = 3


class SlotEvent(Enum):
    """What can happen to a slot. Values are the labels of the diagram in ARCHITECTURE.md."""

    FETCH_REQUESTED = "owner requests the fetch, in time"
    FETCH_APPROVED = "fetch ballot: yes >= q"
    FETCH_OUT_OF_REACH = "fetch ballot: q out of reach"
    OPENED = "owner reports the head opened"
    UPLOAD_REQUESTED = "owner requests the upload: full record fixed"
    UPLOAD_APPROVED = "upload ballot: yes >= q"
    UPLOAD_OUT_OF_REACH = "upload ballot: q out of reach, restore and skip"
    CONFIRMED = "owner confirms the same record, token valid"
    DEADLINE_CLOSED = "deadline passed, a member closes"
    UNENROLLED = "owner never enrolled"


@dataclass(frozen=True)
class Transition:
    """One row of the table. ``mode`` is None where the row holds in both modes."""

    source: SlotState
    event: SlotEvent
    target: SlotState
    mode: Mode | None = None
    reason: SkipReason = SkipReason.NONE


_OPEN = tuple(state for state in SlotState if not state.ended)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(SlotState.WAITING, SlotEvent.FETCH_REQUESTED, SlotState.FETCH_REQUESTED),
    Transition(SlotState.FETCH_REQUESTED, SlotEvent.FETCH_APPROVED, SlotState.FETCH_GRANTED),
    Transition(
        SlotState.FETCH_REQUESTED,
        SlotEvent.FETCH_OUT_OF_REACH,
        SlotState.SKIPPED,
        reason=SkipReason.FETCH_REFUSED,
    ),
    Transition(SlotState.FETCH_GRANTED, SlotEvent.OPENED, SlotState.TRAINING),
    Transition(SlotState.TRAINING, SlotEvent.UPLOAD_REQUESTED, SlotState.UPLOAD_REQUESTED),
    Transition(
        SlotState.UPLOAD_REQUESTED, SlotEvent.UPLOAD_APPROVED, SlotState.ACCEPTED, mode=Mode.HOLDOUT
    ),
    Transition(
        SlotState.UPLOAD_REQUESTED,
        SlotEvent.UPLOAD_APPROVED,
        SlotState.UPLOAD_GRANTED,
        mode=Mode.REPORTED,
    ),
    Transition(
        SlotState.UPLOAD_REQUESTED,
        SlotEvent.UPLOAD_OUT_OF_REACH,
        SlotState.SKIPPED,
        reason=SkipReason.DEGRADED,
    ),
    Transition(
        SlotState.UPLOAD_GRANTED, SlotEvent.CONFIRMED, SlotState.ACCEPTED, mode=Mode.REPORTED
    ),
    Transition(
        SlotState.WAITING,
        SlotEvent.UNENROLLED,
        SlotState.SKIPPED,
        reason=SkipReason.NOT_ENROLLED,
    ),
    *(
        Transition(
            state,
            SlotEvent.DEADLINE_CLOSED,
            SlotState.SKIPPED,
            reason=SkipReason.DEADLINE_PASSED,
        )
        for state in _OPEN
    ),
)


class IllegalTransition(ValueError):
    """The table has no row for this event in this state."""


def advance(state: SlotState, event: SlotEvent, mode: Mode) -> Transition:
    """The row of :data:`TRANSITIONS` that applies.

    Raises:
        IllegalTransition: There is none.
    """
    for row in TRANSITIONS:
        if row.source is state and row.event is event and row.mode in (None, mode):
            return row
    raise IllegalTransition(f"{event.name} is not possible in {state.name} ({mode.name}).")


def quorum_of(voters: int, asked: int = 0) -> int:
    """Strict majority of ``voters``, or more if the spec asks for more; never more than all."""
    return min(voters, max(voters // 2 + 1, asked))


def model_name(partner: str, slot: int) -> str:
    """Name of a slot's model: partner + iteration (paper, section III)."""
    return f"{partner}-{slot}"


@dataclass(frozen=True)
class Evidence:
    """What a vote or a record rests on. AUCs in [0, 1]; ``variance`` of their difference."""

    auc_head: float
    auc_candidate: float
    variance: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class ModelRecord:
    """What the ledger keeps of a candidate. Hashes are 32 bytes; weights are never on chain."""

    name: str
    slot: int
    attempt: int
    partner: str
    parent: int
    ciphertext_hash: bytes
    weights_hash: bytes
    capsule_hash: bytes
    cases: int
    data_commitment: bytes
    evidence: Evidence


@dataclass(frozen=True)
class Vote:
    """One vote. ``partner`` is an account; the requester's request is its yes."""

    partner: str
    approve: bool
    evidence: Evidence | None = None


@dataclass(frozen=True)
class BallotView:
    """A ballot as the ledger has it. ``electorate`` are the accounts that may vote."""

    step: Step
    state: BallotState
    yes: int
    no: int
    quorum: int
    electorate: tuple[str, ...]
    votes: tuple[Vote, ...] = ()

    def waits_for(self, partner: str) -> bool:
        """Whether this partner could still vote here."""
        return (
            self.state is BallotState.OPEN
            and partner in self.electorate
            and all(vote.partner != partner for vote in self.votes)
        )


@dataclass(frozen=True)
class Enrolment:
    """A partner's part in a campaign."""

    partner: str
    name: str
    cases: int
    data_commitment: bytes
    evaluator: bool


@dataclass(frozen=True)
class SlotView:
    """A slot as the ledger has it. ``deadline`` is a block timestamp in seconds."""

    campaign: int
    number: int
    attempt: int
    owner: str
    state: SlotState
    deadline: int
    request_key_digest: bytes = b""
    ballot: BallotView | None = None
    candidate: ModelRecord | None = None
    skip_reason: SkipReason = SkipReason.NONE


@dataclass(frozen=True)
class CampaignView:
    """A campaign as the ledger has it, at one block.

    ``head`` is the number of the slot whose model is the head (0: genesis); ``slot`` the open slot,
    None unless the campaign runs; ``now`` the time that the next block would have, in seconds.
    """

    number: int
    spec_hash: bytes
    genesis_hash: bytes
    state: CampaignState
    mode: Mode
    order: tuple[str, ...]
    cycles: int
    enrolments: tuple[Enrolment, ...]
    head: int
    accepted: int
    now: int
    enrol_deadline: int
    slot: SlotView | None = None

    @property
    def slots(self) -> int:
        """Planned number of slots."""
        return len(self.order) * self.cycles

    def enrolment(self, partner: str) -> Enrolment | None:
        """The partner's enrolment, None if it has not enrolled."""
        return next((e for e in self.enrolments if e.partner == partner), None)

    def name_of(self, partner: str) -> str:
        """The partner's name; its account if it has not enrolled."""
        enrolment = self.enrolment(partner)
        return enrolment.name if enrolment else partner


@dataclass(frozen=True)
class LedgerEvent:
    """One event of the ledger, with what its transaction cost.

    ``arguments`` are the event's own, by the contract's names; ``gas`` is the whole transaction's.
    """

    name: str
    arguments: dict[str, object] = field(hash=False)
    block: int
    timestamp: int
    transaction: str
    gas: int
    index: int
    sender: str = ""


class Deed(Enum):
    """What a duty asks of a partner."""

    CONVENE = "convene"
    """A member opens a campaign from a spec of its own; asked for by a coordinator only."""
    ENROL = "enrol"
    ITERATE = "iterate"
    """The slot's owner runs or continues its partner iteration."""
    VOTE = "vote"
    RELEASE = "release"
    """Holders of the head's key seal it to the requester, after the grant."""
    CLOSE = "close"
    """Any member closes a step whose deadline has passed."""


@dataclass(frozen=True)
class Duty:
    """Somebody's next step.

    ``step`` says which ballot a vote is for; ``spare`` that the votes of others will decide it, if
    they say yes. Whoever has a machine of its own votes all the same.
    """

    deed: Deed
    partner: str
    campaign: int
    slot: int
    attempt: int
    step: Step | None = None
    spare: bool = False

    @property
    def key(self) -> str:
        """Idempotency key: the same for the same duty, whoever computes it."""
        what = self.deed.value if self.step is None else f"{self.deed.value}-{self.step.name}"
        return f"{self.campaign}/{self.slot}/{self.attempt}/{what.lower()}/{self.partner}"


def _next_owner_last(view: CampaignView, owner: str) -> Callable[[str], int]:
    """A key to sort voters by: whoever's turn follows ``owner``'s is last, it will be busy soon."""
    places = {partner: place for place, partner in enumerate(view.order)}

    def soonest_last(partner: str) -> int:
        return (places[owner] - places[partner]) % len(places)

    return soonest_last


def duties(view: CampaignView) -> Iterator[Duty]:
    """Who has to do what now, given what the ledger says; nothing once the campaign has ended."""
    if view.state.ended:
        return
    if view.state is CampaignState.ENROLLING:
        deed = Deed.CLOSE if view.now > view.enrol_deadline else Deed.ENROL
        for partner in view.order:
            if deed is Deed.CLOSE or view.enrolment(partner) is None:
                yield Duty(deed, partner, view.number, 0, 0)
        return
    slot = view.slot
    assert slot is not None, "a running campaign has an open slot"
    if view.now > slot.deadline:
        for partner in view.order:
            yield Duty(Deed.CLOSE, partner, view.number, slot.number, slot.attempt)
        return
    yield Duty(Deed.ITERATE, slot.owner, view.number, slot.number, slot.attempt)
    if slot.state is SlotState.FETCH_GRANTED and view.head != GENESIS:
        for partner in view.order:
            if partner != slot.owner:
                yield Duty(Deed.RELEASE, partner, view.number, slot.number, slot.attempt)
    if slot.ballot is not None:
        ballot = slot.ballot
        waiting = filter(ballot.waits_for, ballot.electorate)
        missing = ballot.quorum - ballot.yes
        for place, partner in enumerate(sorted(waiting, key=_next_owner_last(view, slot.owner))):
            yield Duty(
                Deed.VOTE,
                partner,
                view.number,
                slot.number,
                slot.attempt,
                ballot.step,
                spare=place >= missing,
            )
