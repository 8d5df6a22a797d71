"""What the ledger has, as Python sees it: frozen, as of one block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cdistrim.protocol.words import (
    GENESIS,
    BallotKind,
    BallotState,
    CampaignState,
    FinalFetchState,
    Mode,
    SkipReason,
    SlotState,
)

__all__ = [
    "AddedCapsule",
    "BallotId",
    "BallotView",
    "CampaignView",
    "Contribution",
    "Enrolment",
    "Evidence",
    "FinalFetch",
    "GrantedFetch",
    "LedgerEvent",
    "ModelRecord",
    "Proposal",
    "SlotView",
    "Vote",
]


@dataclass(frozen=True)
class Evidence:
    """What a vote or a record rests on. AUCs in [0, 1]; ``variance`` of their difference.

    With more than two classes ``positives`` are the cases of the smallest one, ``negatives`` all
    others, and an AUC is the mean of each class against the rest.
    """

    auc_head: float
    auc_candidate: float
    variance: float
    positives: int
    negatives: int


@dataclass(frozen=True)
class ModelRecord:
    """What the ledger keeps of a candidate. Hashes are 32 bytes; weights are never on chain.

    ``undone`` says that the head was restored to a model before this one.
    """

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
    undone: bool = False


@dataclass(frozen=True)
class BallotId:
    """What a ballot is about, which is also its name.

    ``campaign`` is 0 for admissions and removals. ``slot`` is the open slot's number, or the
    head's for a restore after the campaign's end, 0 where the ballot is not about a slot.
    ``attempt`` is the slot's, 0 after the end; or the opener's round, from 1. ``opener`` is an
    account.
    """

    kind: BallotKind
    campaign: int
    slot: int
    attempt: int
    opener: str


@dataclass(frozen=True)
class Vote:
    """One vote. ``partner`` is an account; the requester's request is its yes."""

    partner: str
    approve: bool
    evidence: Evidence | None = None


@dataclass(frozen=True)
class BallotView:
    """A ballot as the ledger has it. ``electorate`` are the accounts that may vote.

    ``subject`` is what is voted on, in 32 bytes; a vote names it and counts for nothing else. Of
    the ballots of a slot's present attempt it was compared with what the slot says; of a former
    attempt it is zero. ``model`` is the slot of the ancestor that a restore would go back to, or of
    the model that a final fetch is for; else 0. ``deadline`` is the last second in which it can be
    decided.
    """

    id: BallotId
    subject: bytes
    model: int
    state: BallotState
    yes: int
    no: int
    quorum: int
    deadline: int
    electorate: tuple[str, ...]
    votes: tuple[Vote, ...] = ()

    @property
    def kind(self) -> BallotKind:
        """What is voted on."""
        return self.id.kind

    def waits_for(self, partner: str) -> bool:
        """Whether this partner could still vote here."""
        return (
            self.state is BallotState.OPEN
            and partner in self.electorate
            and all(vote.partner != partner for vote in self.votes)
        )


@dataclass(frozen=True)
class Enrolment:
    """A partner's part in a campaign. A joiner is no ``voter`` until a head was dealt to it."""

    partner: str
    name: str
    cases: int
    data_commitment: bytes
    evaluator: bool
    voter: bool = True


@dataclass(frozen=True)
class AddedCapsule:
    """Where the ledger says that ``partner`` has shared a model's key anew."""

    partner: str
    capsule_hash: bytes


@dataclass(frozen=True)
class Contribution:
    """What a partner gave to a model: its models among the ancestors and itself, and its training
    cases summed over them (the basis for royalties)."""

    partner: str
    name: str
    models: int
    cases: int

    def __add__(self, other: Contribution) -> Contribution:
        """The same partner's sum over two pages of a lineage."""
        return Contribution(
            self.partner, self.name, self.models + other.models, self.cases + other.cases
        )


@dataclass(frozen=True)
class FinalFetch:
    """A partner's latest fetch of the final model; ``head`` is the slot it was asked for."""

    state: FinalFetchState
    round: int
    deadline: int
    head: int
    request_key_digest: bytes


@dataclass(frozen=True)
class GrantedFetch:
    """A fetch that a majority granted: of the head in a slot, or of the final model.

    ``model`` is the slot of the model to be opened. ``slot`` and ``attempt`` are the requester's
    slot; of the final model ``slot`` is 0 and ``attempt`` the request's round.
    """

    model: int
    requester: str
    slot: int
    attempt: int
    request_key_digest: bytes
    deadline: int


@dataclass(frozen=True)
class SlotView:
    """A slot as the ledger has it. ``deadline`` is a block timestamp in seconds.

    ``fetch_attempt`` is the attempt in which the head was last asked for, 0 if it never was: what
    was released for that request carries it.
    """

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
    fetch_attempt: int = 0


@dataclass(frozen=True)
class CampaignView:
    """A campaign as the ledger has it, at one block.

    ``head`` is the number of the slot whose model is the head (0: genesis); ``slot`` the open slot,
    None unless the campaign runs; ``slots`` how many slots there will have been; ``now`` the time
    that the next block would have, in seconds; ``quorum`` the votes that the spec asks for in every
    ballot, 0 for a strict majority; ``requests`` the open ballots that are no slot's: on restores,
    on joiners, on the final model; ``final_grants`` tokens for that which were not redeemed yet.
    ``deadlines`` are the seconds that each step has, by its clock's name in lower case.
    ``removals_pending`` says that some partner is no member any more and that nothing else happens
    until a member has applied that.
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
    slots: int
    slot: SlotView | None = None
    removals_pending: bool = False
    quorum: int = 0
    deadlines: Mapping[str, int] = field(default_factory=dict, hash=False)
    requests: tuple[BallotView, ...] = ()
    final_grants: tuple[GrantedFetch, ...] = ()

    def enrolment(self, partner: str) -> Enrolment | None:
        """The partner's enrolment, None if it has not enrolled."""
        return next((e for e in self.enrolments if e.partner == partner), None)

    def granted_fetches(self) -> tuple[GrantedFetch, ...]:
        """Fetches for which holders owe their shares now: granted, and still in time."""
        slot = self.slot
        granted = list(self.final_grants)
        if slot is not None and slot.state is SlotState.FETCH_GRANTED and self.head != GENESIS:
            granted.append(
                GrantedFetch(
                    model=self.head,
                    requester=slot.owner,
                    slot=slot.number,
                    attempt=slot.attempt,
                    request_key_digest=slot.request_key_digest,
                    deadline=slot.deadline,
                )
            )
        if self.removals_pending:
            return ()
        return tuple(each for each in granted if self.now <= each.deadline)

    def name_of(self, partner: str) -> str:
        """The partner's name; its account if it has not enrolled."""
        enrolment = self.enrolment(partner)
        return enrolment.name if enrolment else partner


@dataclass(frozen=True)
class Proposal:
    """An open ballot on the admission or removal of ``account``; ``name`` is whom that calls."""

    ballot: BallotView
    account: str
    name: str


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
