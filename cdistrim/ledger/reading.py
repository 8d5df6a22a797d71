"""Reading the contract: members, campaigns, slots, records, history."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from cdistrim.errors import IntegrityError, LedgerUnavailableError
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.finality import Finality
from cdistrim.ledger.interface import NO_HASH, Confirmations, FormerMember, Member
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, Reorganised
from cdistrim.ledger.views import (
    Contradiction,
    ballot_view,
    campaign_view,
    contribution,
    final_fetch,
    model_record,
    slot_view,
)
from cdistrim.ledger.words import ballot_word
from cdistrim.protocol import (
    AddedCapsule,
    BallotId,
    BallotKind,
    BallotState,
    BallotView,
    CampaignView,
    Contribution,
    FinalFetch,
    FinalFetchState,
    GrantedFetch,
    LedgerEvent,
    ModelRecord,
    Proposal,
    SlotView,
)

__all__ = ["ReadOnlyLedger", "of_one_chain"]

P = ParamSpec("P")
T = TypeVar("T")

_READINGS = 5
_FIRST_PAUSE_S = 0.05
_REQUESTS = ("RestoreRequested", "JoinRequested", "FinalModelRequested")
_PAGE = 100
"""Models that one call of a paged view goes through: far below any node's limit."""


def of_one_chain(read: Callable[P, T]) -> Callable[P, T]:
    """Read from the start again if the chain was reorganised meanwhile, or the node contradicts
    itself.

    A node may answer about a block while it makes the next one, and some addresses have several
    nodes behind them, of which one is late. What a ledger has kept is not believed then.

    Raises:
        LedgerUnavailableError: Also because the chain was reorganised, time after time.
        IntegrityError: Also because the node contradicts itself, time after time.
    """

    @wraps(read)
    def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        pause = _FIRST_PAUSE_S
        for _ in range(_READINGS - 1):
            try:
                return read(*args, **kwargs)
            except Reorganised:
                continue
            except Contradiction:
                if args and isinstance(args[0], ReadOnlyLedger):
                    args[0].forget()
                time.sleep(pause)
                pause *= 2
        return read(*args, **kwargs)

    return reading


@dataclass(frozen=True)
class _Present:
    """A block, and what was read of the contract as of it: it can't change any more.

    ``newest`` is what the chain had when this block was the last that counts.
    """

    at: BlockRef
    newest: BlockRef | None
    views: dict[tuple[object, ...], Any] = field(default_factory=dict)


class ReadOnlyLedger:
    """The half of a :class:`Ledger` that needs no account.

    Args:
        node: Where to read.
        address: The contract, checked to be ours.
        views: Its derived views, checked likewise.
        chain_id: The node's chain.
        confirmations: What makes a block count: reads see no other.
        first_block: A block not after the contract's first; events are read from there.
    """

    def __init__(
        self,
        node: Node,
        address: str,
        *,
        views: str,
        chain_id: int,
        confirmations: Confirmations,
        first_block: int,
    ) -> None:
        self._node = node
        self._address = address
        self._views = views
        self._chain_id = chain_id
        self._finality = Finality(node, confirmations)
        self._first_block = first_block
        self._events = EventLog(node, address, first_block)
        self._latest = _Present(BlockRef(0, b""), None)

    @property
    def address(self) -> str:
        """The contract's address."""
        return self._address

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain_id

    def forget(self) -> None:
        """Keep nothing that was read: it is read again when it is needed."""
        self._latest = _Present(BlockRef(0, b""), None)
        self._events.forget()

    def now(self) -> int:
        """The time that the next block would have, in seconds."""
        # Chains that mine on demand stand still while nobody writes; deadlines don't.
        for block in ("pending", "latest"):
            found = self._node.block(block)
            if found is not None:
                return int(found["timestamp"])
        raise LedgerUnavailableError(
            f"The chain at {self._node.name} has no block.", hint="Check the node."
        )

    @of_one_chain
    def members(self) -> tuple[Member, ...]:
        """All active members; their keys are the events', checked against the digests."""
        present = self._present()
        found = self._view("members", present=present)
        published = self._events.arguments("KeyRotated", present.at)
        keys: dict[str, bytes] = {}
        replaced: set[str] = set()
        for event in published:
            if event["account"] in keys:
                replaced.add(event["account"])
            keys[event["account"]] = event["sealingKey"]
        members = []
        for member in found:
            key = keys.get(member["account"], b"")
            digest = hashlib.sha256(key).digest() if key else NO_HASH
            if digest != member["sealingKeyDigest"]:
                raise Contradiction(
                    f"The sealing key of member {member['name']} in the events is not the one "
                    "whose digest the contract has.",
                    hint="Use another node: this one gives wrong events.",
                )
            if member["active"]:
                members.append(
                    Member(
                        member["account"],
                        member["name"],
                        key,
                        member["keyChangedAt"],
                        member["account"] in replaced,
                    )
                )
        return tuple(members)

    @of_one_chain
    def former_members(self) -> tuple[FormerMember, ...]:
        """All who were removed, in order of that."""
        present = self._present()
        names = {one["account"]: one["name"] for one in self._view("members", present=present)}
        return tuple(
            FormerMember(event["account"], names.get(event["account"], ""), when)
            for event, when in self._events.dated("MemberRemoved", present.at)
        )

    @of_one_chain
    def campaigns(self) -> int:
        """How many campaigns there are."""
        return int(self._view("campaigns"))

    @of_one_chain
    def campaign(self, number: int) -> CampaignView:
        """A campaign's present, consistent as of one block."""
        present = self._present()
        snapshot = self._view("snapshotOf", number, present=present)
        return campaign_view(
            snapshot,
            self._casts(snapshot["ballot"], present),
            self._record(number, snapshot["slot"]["candidate"], present),
            self._requests(number, present),
            self._final_grants(number, present),
            now=max(self.now(), snapshot["timestamp"]),
        )

    @of_one_chain
    def proposals(self) -> tuple[Proposal, ...]:
        """Open ballots on admissions and removals, the oldest first."""
        present = self._present()
        names = {one["account"]: one["name"] for one in self._view("members", present=present)}
        found = []
        for event in self._latest_asked(("AdmissionProposed", "RemovalProposed"), 0, present):
            ballot = self._ballot(event["ballot"], present)
            if ballot is not None and ballot.state is BallotState.OPEN:
                name = event.get("name", names.get(event["account"], ""))
                found.append(Proposal(ballot, event["account"], name))
        return tuple(found)

    @of_one_chain
    def slot(self, campaign: int, number: int) -> SlotView:
        """A planned, open or ended slot with its latest ballot."""
        present = self._present()
        slot = self._view("slotOf", campaign, number, present=present)
        fetch = slot["candidate"]["candidateDigest"] == NO_HASH
        latest = BallotId(
            kind=BallotKind.FETCH if fetch else BallotKind.UPLOAD,
            campaign=campaign,
            slot=number,
            attempt=(fetch and slot["fetchAttempt"]) or slot["attempt"],
            opener=slot["owner"],
        )
        candidate = self._record(campaign, slot["candidate"], present)
        return slot_view(slot, self._ballot(latest, present), candidate)

    @of_one_chain
    def ballot(self, ballot: BallotId) -> BallotView | None:
        """A ballot of any kind; None if it was never opened."""
        return self._ballot(ballot, self._present())

    @of_one_chain
    def model(self, campaign: int, slot: int) -> ModelRecord:
        """The record of an accepted slot."""
        present = self._present()
        return self._model(
            campaign, self._view("modelOf", campaign, slot, present=present), present
        )

    @of_one_chain
    def lineage(self, campaign: int, slot: int) -> tuple[ModelRecord, ...]:
        """An accepted model and all that it was trained from, newest first.

        Raises:
            IntegrityError: The node gives models that are not each other's parents.
        """
        present = self._present()
        records: list[ModelRecord] = []
        while slot:
            page = self._view("lineageOf", campaign, slot, _PAGE, present=present)
            if not page:
                raise _endless("models in the lineage", campaign, slot)
            for fields in page:
                if fields["slot"] != slot or fields["parent"] >= slot:
                    raise _endless("models in the lineage", campaign, slot)
                records.append(self._model(campaign, fields, present))
                slot = fields["parent"]
        return tuple(records)

    @of_one_chain
    def added_capsules(self, campaign: int, slot: int) -> tuple[AddedCapsule, ...]:
        """Where an accepted model's key was shared anew, oldest first: each partner's latest."""
        found: dict[str, AddedCapsule] = {}
        for event in self._events.arguments(
            "CapsuleAdded", self._present().at, campaign=campaign, slot=slot
        ):
            found.pop(event["account"], None)
            found[event["account"]] = AddedCapsule(event["account"], event["capsuleHash"])
        return tuple(found.values())

    @of_one_chain
    def dealt(self, campaign: int) -> frozenset[str]:
        """Joiners of a campaign whom the open slot's candidate makes voters, by account."""
        present = self._present()
        mask = self._view("campaignRecord", campaign, present=present)["dealt"]
        if not mask:
            return frozenset()
        members = self._view("members", present=present)
        return frozenset(one["account"] for one in members if mask >> one["seat"] & 1)

    @of_one_chain
    def contributions(self, campaign: int, slot: int) -> tuple[Contribution, ...]:
        """What each partner gave to an accepted model, in the campaign's order.

        Raises:
            IntegrityError: The node gives pages that do not lead to the genesis model.
        """
        present = self._present()
        sums: dict[str, Contribution] = {}
        while slot:
            page, rest = self._view("contributionsOf", campaign, slot, _PAGE, present=present)
            if rest and rest > slot - _PAGE:  # a full page goes through models of smaller numbers
                raise _endless("contributions", campaign, slot)
            slot = rest
            for found in map(contribution, page):
                former = sums.get(found.partner)
                sums[found.partner] = found if former is None else former + found
        return tuple(sums.values())

    @of_one_chain
    def final_fetch(self, campaign: int, partner: str) -> FinalFetch:
        """A partner's latest fetch of the final model."""
        return final_fetch(self._view("finalFetchRecord", campaign, partner))

    @of_one_chain
    def history(self, campaign: int) -> tuple[LedgerEvent, ...]:
        """All events of a campaign, oldest first."""
        return self._events.of_campaign(campaign, self._present().at)

    def _requests(self, campaign: int, present: _Present) -> tuple[BallotView, ...]:
        """Open ballots of a campaign that are no slot's; kept, since every look asks for them."""
        key = ("requests", campaign)
        if key not in present.views:
            asked = self._latest_asked(_REQUESTS, campaign, present)
            ballots = [self._ballot(event["ballot"], present) for event in asked]
            present.views[key] = tuple(
                each for each in ballots if each is not None and each.state is BallotState.OPEN
            )
        requests: tuple[BallotView, ...] = present.views[key]
        return requests

    def _final_grants(self, campaign: int, present: _Present) -> Iterator[GrantedFetch]:
        """Tokens for a campaign's final model that were not redeemed yet."""
        for event in self._latest_asked(("FinalModelRequested",), campaign, present):
            opener = event["ballot"].opener
            found = final_fetch(self._view("finalFetchRecord", campaign, opener, present=present))
            if found.state is FinalFetchState.GRANTED:
                yield GrantedFetch(
                    model=found.head,
                    requester=opener,
                    slot=0,
                    attempt=found.round,
                    request_key_digest=found.request_key_digest,
                    deadline=found.deadline,
                )

    def _latest_asked(
        self, events: tuple[str, ...], campaign: int, present: _Present
    ) -> list[dict[str, Any]]:
        """Of every kind and opener the latest request: nobody has two that are open."""
        latest: dict[tuple[object, ...], dict[str, Any]] = {}
        of = {"campaign": campaign} if campaign else {}
        for name in events:
            for event in self._events.arguments(name, present.at, **of):
                latest[event["ballot"].kind, event["ballot"].opener] = event
        return list(latest.values())

    def _present(self) -> _Present:
        """The block to read at. Whoever looks again while nothing happens asks for it alone."""
        newest = self._finality.newest()
        present = self._latest
        if newest != present.newest:
            present = self._latest = _Present(self._finality.final(newest), newest)
        return present

    def _view(self, function: str, *arguments: object, present: _Present | None = None) -> Any:  # noqa: ANN401
        at = present or self._present()
        key = (function, *arguments)
        if key not in at.views:
            derived = views_artifact()
            if derived.has(function):
                data = derived.encode(function, (self._address, *arguments))
                at.views[key] = derived.decode_result(
                    function, self._asked(self._views, data, at.at)
                )
            else:
                data = artifact().encode(function, arguments)
                answer = self._asked(self._address, data, at.at)
                at.views[key] = artifact().decode_result(function, answer)
        return at.views[key]

    def _asked(self, to: str, data: bytes, at: BlockRef) -> bytes:
        """What a view answers as of one block and no other of the same number."""
        try:
            answer = self._node.call(to, data, at)
        except NodeRefusal:
            if self._node.has(at):
                raise
            raise Reorganised(self._node.name, at.number) from None
        if not answer:
            raise LedgerUnavailableError(
                f"The contract {self._address} was not there yet in block {at.number}, the last "
                "that counts.",
                hint="Wait for more blocks. On a chain that makes none by itself, or calls none "
                '"finalized", set "confirmations" in the settings to 0.',
            )
        return answer

    def _record(
        self, campaign: int, fields: dict[str, Any], present: _Present
    ) -> ModelRecord | None:
        there = fields["candidateDigest"] != NO_HASH
        return self._model(campaign, fields, present) if there else None

    def _model(self, campaign: int, fields: dict[str, Any], present: _Present) -> ModelRecord:
        where = {"campaign": campaign, "slot": fields["slot"], "attempt": fields["attempt"]}
        submitted = self._events.arguments("CandidateSubmitted", present.at, **where)
        return model_record(fields, next((each["candidate"] for each in submitted), None))

    def _ballot(self, ballot: BallotId, present: _Present) -> BallotView | None:
        found = self._view("ballotOf", ballot_word(ballot), present=present)
        return ballot_view(found, self._casts(found, present))

    def _casts(self, ballot: dict[str, Any], present: _Present) -> list[dict[str, Any]]:
        votes = len(ballot["approvals"]) + len(ballot["refusals"])
        if votes == 0 or (votes == 1 and ballot["approvals"] == (ballot["opener"],)):
            return []  # nobody but the requester, whose request is its vote
        return list(self._events.arguments("VoteCast", present.at, ballot=ballot["id"]))


def _endless(what: str, campaign: int, slot: int) -> IntegrityError:
    """A model's parent has a smaller number: whoever says otherwise could keep us for ever."""
    return IntegrityError(
        f"The {what} of slot {slot} of campaign {campaign} do not lead from parent to parent.",
        hint="Use another node: this one contradicts itself.",
    )
