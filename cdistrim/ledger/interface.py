"""What the rest of the project may ask of a ledger, and the words that only this takes.

Accounts are checksum addresses (EIP-55) everywhere in Python.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from pydantic import PlainValidator

from cdistrim.protocol import (
    AddedCapsule,
    BallotId,
    BallotView,
    CampaignView,
    Contribution,
    Evidence,
    FinalFetch,
    LedgerEvent,
    Mode,
    ModelRecord,
    Proposal,
    RestoreReason,
    SlotView,
)
from cdistrim.spec import DeadlineSpec

__all__ = [
    "MAX_FEE_GWEI",
    "NO_EVIDENCE",
    "NO_HASH",
    "BlockRef",
    "Candidate",
    "Confirmations",
    "Deployment",
    "FormerMember",
    "Ledger",
    "LoggedEvent",
    "Member",
    "Receipt",
    "SignedVote",
]

NAME_PATTERN = r"[a-z0-9][a-z0-9-]{0,30}"
"""A member's name, as the contract takes it."""

NAME_RULE = "A name has 1 to 31 of a-z, 0-9 and '-', and does not begin with '-'."

_MOST_CONFIRMATIONS = 1000


def _confirmations(value: object) -> object:
    if value == "finalized" or (type(value) is int and 0 <= value <= _MOST_CONFIRMATIONS):
        return value
    raise ValueError(
        f'it has to be a number of blocks from 0 to {_MOST_CONFIRMATIONS}, or "finalized"'
    )


Confirmations = Annotated[int | Literal["finalized"], PlainValidator(_confirmations)]
"""Blocks on top of one before it counts, or ``"finalized"``: the chain's own word for it.

0 is right where a block is final as soon as it is made (QBFT, a development chain).
"""

MAX_FEE_GWEI = 500.0
"""The highest fee per unit of gas (EIP-1559) that a transaction offers unless the settings say
otherwise, in gwei: far above what Ethereum's main network usually takes."""

NO_HASH = bytes(32)
"""What the ledger has where a hash is not known yet."""

NO_EVIDENCE = Evidence(0.0, 0.0, 0.0, 0, 0)
"""What the ledger has where nothing was measured, e.g. in a fetch vote."""


@dataclass(frozen=True)
class Member:
    """A member of the consortium.

    ``sealing_key`` is the public key that receives sealed keys, empty until the member published
    one; ``key_changed_at`` when it did, in seconds of ledger time; ``key_replaced`` whether it had
    another one before.
    """

    account: str
    name: str
    sealing_key: bytes = b""
    key_changed_at: int = field(default=0, compare=False)
    key_replaced: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class FormerMember:
    """Somebody who was removed, at ``removed_at`` in seconds of ledger time. Nobody comes back."""

    account: str
    name: str
    removed_at: int


@dataclass(frozen=True)
class Candidate:
    """The record that a slot's owner fixes when it requests the upload. Hashes are 32 bytes.

    Reported mode encrypts after the grant: there the request leaves ``ciphertext_hash`` and
    ``capsule_hash`` out, and the confirmation repeats the rest and supplies these two.
    ``digest`` is the contract's ``candidateDigest`` of a candidate that was read from there.
    """

    parent: int
    weights_hash: bytes
    evidence: Evidence = NO_EVIDENCE
    ciphertext_hash: bytes = NO_HASH
    capsule_hash: bytes = NO_HASH
    digest: bytes = field(default=b"", compare=False)


@dataclass(frozen=True)
class Deployment:
    """Where a consortium's contract is. ``block`` is the first that can have an event of it.

    ``repeated`` says that the chain had it before. ``gas`` is what was paid for now, 0 for nothing.
    """

    contract: str
    views: str
    block: int
    gas: int
    repeated: bool = False


@dataclass(frozen=True)
class SignedVote:
    """A vote that ``account`` signed (EIP-712) and any member may hand in until ``deadline``.

    ``deadline`` is in seconds of ledger time, ``signature`` 64 bytes as of EIP-2098.
    """

    ballot: BallotId
    subject: bytes
    account: str
    approve: bool
    evidence: Evidence | None
    deadline: int
    signature: bytes


@dataclass(frozen=True)
class BlockRef:
    """One block, and no other one of the same number."""

    number: int
    digest: bytes


@dataclass(frozen=True)
class LoggedEvent:
    """An event exactly as the chain has it: nothing in it depends on who reads, or when.

    ``arguments`` are the contract's own, by its names, as JSON can have them (see
    :mod:`cdistrim.ledger.plain`); ``timestamp`` is the block's, in seconds; ``block_hash`` and
    ``transaction`` are 32 bytes in hexadecimal; ``index`` is the log's in its block.
    """

    name: str
    arguments: dict[str, object] = field(hash=False)
    block: int
    block_hash: str
    timestamp: int
    transaction: str
    index: int


@dataclass(frozen=True)
class Receipt:
    """What a write cost and where it is. ``gas`` is the transaction's, ``timestamp`` in seconds.

    ``repeated`` says that the ledger had the effect before; the rest is then the original's.
    """

    transaction: str
    block: int
    gas: int
    timestamp: int
    repeated: bool = False


class Ledger(Protocol):
    """Members, campaigns, slots, ballots and records, and the writes that move them.

    Every write is idempotent: if this account has done the same before, nothing is sent and the
    original's receipt is returned. All methods raise ``LedgerUnavailableError`` if the chain does
    not answer; reads of what does not exist and writes against the rules raise ``LedgerRefusal``.
    """

    @property
    def account(self) -> str | None:
        """The account that signs; None where the ledger is only read."""
        ...

    @property
    def address(self) -> str:
        """The contract's address."""
        ...

    @property
    def views(self) -> str:
        """Address of the contract with the derived views."""
        ...

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        ...

    def now(self) -> int:
        """The time that the next block would have, in seconds: what deadlines are held against."""
        ...

    def members(self) -> tuple[Member, ...]:
        """All active members, in order of admission."""
        ...

    def former_members(self) -> tuple[FormerMember, ...]:
        """All who were removed, in order of that."""
        ...

    def campaigns(self) -> int:
        """How many campaigns there are; they are numbered from 1."""
        ...

    def campaign(self, number: int) -> CampaignView:
        """A campaign's present, consistent as of one block."""
        ...

    def slot(self, campaign: int, number: int) -> SlotView:
        """A planned, open or ended slot with its latest ballot."""
        ...

    def model(self, campaign: int, slot: int) -> ModelRecord:
        """The record of an accepted slot."""
        ...

    def ballot(self, ballot: BallotId) -> BallotView | None:
        """A ballot of any kind; None if it was never opened."""
        ...

    def proposals(self) -> tuple[Proposal, ...]:
        """Open ballots on admissions and removals, the oldest first."""
        ...

    def lineage(self, campaign: int, slot: int) -> tuple[ModelRecord, ...]:
        """An accepted model and all that it was trained from, newest first."""
        ...

    def added_capsules(self, campaign: int, slot: int) -> tuple[AddedCapsule, ...]:
        """Where an accepted model's key was shared anew, oldest first: each partner's latest."""
        ...

    def dealt(self, campaign: int) -> frozenset[str]:
        """Joiners of a campaign whom the open slot's candidate makes voters, by account."""
        ...

    def contributions(self, campaign: int, slot: int) -> tuple[Contribution, ...]:
        """What each partner gave to an accepted model, in the campaign's order."""
        ...

    def final_fetch(self, campaign: int, partner: str) -> FinalFetch:
        """A partner's latest fetch of the final model."""
        ...

    def history(self, campaign: int) -> tuple[LedgerEvent, ...]:
        """All events of a campaign, oldest first."""
        ...

    def final_block(self) -> BlockRef:
        """The last block that counts."""
        ...

    def has_block(self, block: BlockRef) -> bool:
        """Whether the chain has this very block."""
        ...

    def logged(self, to: BlockRef, *, after: int = -1) -> Iterator[LoggedEvent]:
        """All events in the blocks behind number ``after`` up to ``to``, as the chain has them."""
        ...

    def open_campaign(
        self,
        *,
        spec_hash: bytes,
        genesis_hash: bytes,
        order: Sequence[str],
        cycles: int,
        quorum: int | None,
        mode: Mode,
        deadlines: DeadlineSpec,
    ) -> tuple[int, Receipt]:
        """Open a campaign; its number. The same spec again continues the one that has not ended."""
        ...

    def enrol(
        self, *, campaign: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> Receipt:
        """Take part in a campaign."""
        ...

    def request_fetch(
        self, *, campaign: int, slot: int, attempt: int, request_key_digest: bytes
    ) -> Receipt:
        """Ask for the head (the slot's owner)."""
        ...

    def report_opened(
        self,
        *,
        campaign: int,
        slot: int,
        attempt: int,
        good: int = 0,
        bad: int = 0,
        missing: int = 0,
    ) -> Receipt:
        """Redeem the fetch token (the slot's owner). The numbers are of key shares."""
        ...

    def request_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Fix the candidate's record and ask for the upload ballot (the slot's owner)."""
        ...

    def confirm_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Redeem the upload token (reported mode, the slot's owner)."""
        ...

    def close_expired(self, *, campaign: int, slot: int) -> Receipt:
        """End the open slot, or the enrolment (slot 0), once its deadline is over."""
        ...

    def cast_vote(
        self,
        *,
        ballot: BallotId,
        subject: bytes,
        approve: bool,
        evidence: Evidence | None = None,
    ) -> Receipt:
        """Vote in an open ballot."""
        ...

    def sign_vote(
        self,
        *,
        ballot: BallotId,
        subject: bytes,
        approve: bool,
        deadline: int,
        evidence: Evidence | None = None,
    ) -> SignedVote:
        """A vote that any member may hand in until ``deadline``; nothing is sent."""
        ...

    def cast_votes(
        self, *, ballot: BallotId, subject: bytes, votes: Sequence[SignedVote]
    ) -> Receipt:
        """Hand in votes that others signed. Who has voted before is passed over."""
        ...

    def publish_key(self, *, sealing_key: bytes) -> Receipt:
        """Publish this account's sealing key, or put another one in its place."""
        ...

    def propose_admission(self, *, account: str, name: str) -> Receipt:
        """Ask all members to admit somebody; the proposal is this account's yes."""
        ...

    def propose_removal(self, *, account: str) -> Receipt:
        """Ask all members to remove one; the proposal is this account's yes."""
        ...

    def request_join(
        self, *, campaign: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> Receipt:
        """Ask the voters of a running campaign to let this account join."""
        ...

    def apply_removals(self, *, campaign: int) -> Receipt:
        """Take former members out of a campaign; nothing else happens there before."""
        ...

    def request_restore(
        self, *, campaign: int, slot: int, attempt: int, target: int, reason: RestoreReason
    ) -> Receipt:
        """Ask the voters to take the head back to an ancestor."""
        ...

    def add_capsule(self, *, campaign: int, slot: int, capsule_hash: bytes) -> Receipt:
        """Tell where an accepted model's key was shared anew."""
        ...

    def request_final_model(self, *, campaign: int, request_key_digest: bytes) -> Receipt:
        """Ask for the final model."""
        ...

    def report_final_opened(
        self, *, campaign: int, good: int = 0, bad: int = 0, missing: int = 0
    ) -> Receipt:
        """Redeem the token for the final model. The numbers are of key shares."""
        ...

    def record_use(self, *, campaign: int, purpose: bytes) -> Receipt:
        """Record a use of the final model; the same ``purpose`` is the same use."""
        ...
