"""Reading the contract: members, campaigns, slots, records, history."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from cdistrim.errors import IntegrityError, LedgerUnavailableError
from cdistrim.ledger.codec import artifact
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.interface import NO_HASH, Member
from cdistrim.ledger.node import Node
from cdistrim.ledger.views import ballot_view, campaign_view, model_record, slot_view
from cdistrim.protocol import CampaignView, LedgerEvent, ModelRecord, SlotView, Step

__all__ = ["ReadOnlyLedger"]


@dataclass(frozen=True)
class _Present:
    """A block, and what was read of the contract as of it: it can't change any more."""

    block: int
    tip: bytes
    views: dict[tuple[object, ...], Any] = field(default_factory=dict)


class ReadOnlyLedger:
    """The half of a :class:`Ledger` that needs no account.

    Args:
        node: Where to read.
        address: The contract, checked to be ours.
        chain_id: The node's chain.
        confirmations: Blocks on top of one before reads see it.
        first_block: A block not after the contract's first; events are read from there.
    """

    def __init__(
        self, node: Node, address: str, *, chain_id: int, confirmations: int, first_block: int
    ) -> None:
        self._node = node
        self._address = address
        self._chain_id = chain_id
        self._confirmations = confirmations
        self._events = EventLog(node, address, first_block)
        self._latest = _Present(0, b"")

    @property
    def address(self) -> str:
        """The contract's address."""
        return self._address

    @property
    def chain_id(self) -> int:
        """The chain's id."""
        return self._chain_id

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

    def members(self) -> tuple[Member, ...]:
        """All active members; their keys are the events', checked against the digests."""
        present = self._present()
        found = self._view("members", present=present)
        self._events.reach(present.block)
        keys = {e["account"]: e["sealingKey"] for e in self._events.arguments("MemberAdmitted")}
        members = []
        for member in found:
            key = keys.get(member["account"], b"")
            if hashlib.sha256(key).digest() != member["sealingKeyDigest"]:
                raise IntegrityError(
                    f"The sealing key of member {member['name']} in the events is not the one "
                    "whose digest the contract has.",
                    hint="Use another node: this one gives wrong events.",
                )
            if member["active"]:
                members.append(Member(member["account"], member["name"], key))
        return tuple(members)

    def campaigns(self) -> int:
        """How many campaigns there are."""
        return int(self._view("campaigns"))

    def campaign(self, number: int) -> CampaignView:
        """A campaign's present, consistent as of one block."""
        present = self._present()
        snapshot = self._view("snapshotOf", number, present=present)
        slot, ballot = snapshot["slot"], snapshot["ballot"]
        casts = self._casts(number, slot["number"], slot["attempt"], ballot, present.block)
        return campaign_view(snapshot, casts, now=max(self.now(), snapshot["timestamp"]))

    def slot(self, campaign: int, number: int) -> SlotView:
        """A planned, open or ended slot with its latest ballot."""
        present = self._present()
        slot = self._view("slotOf", campaign, number, present=present)
        attempt = slot["attempt"]
        step = Step.FETCH if slot["candidate"]["weightsHash"] == NO_HASH else Step.UPLOAD
        ballot = self._view("ballotOf", campaign, number, attempt, step, present=present)
        casts = self._casts(campaign, number, attempt, ballot, present.block)
        return slot_view(slot, ballot_view(ballot, casts))

    def model(self, campaign: int, slot: int) -> ModelRecord:
        """The record of an accepted slot."""
        return model_record(self._view("modelOf", campaign, slot))

    def history(self, campaign: int) -> tuple[LedgerEvent, ...]:
        """All events of a campaign, oldest first."""
        block = self._present().block
        self._events.reach(block)
        return self._events.of_campaign(campaign, block)

    def _present(self) -> _Present:
        """The block to read at. Whoever looks again while nothing happens asks for it alone."""
        tip = self._node.block("latest")
        if tip is None:
            raise LedgerUnavailableError(
                f"The chain at {self._node.name} has no block.", hint="Check the node."
            )
        digest = bytes(tip["hash"])
        if digest != self._latest.tip:
            self._latest = _Present(max(0, int(tip["number"]) - self._confirmations), digest)
        return self._latest

    def _view(self, function: str, *arguments: object, present: _Present | None = None) -> Any:  # noqa: ANN401
        at = present or self._present()
        key = (function, *arguments)
        if key not in at.views:
            data = self._node.call(self._address, artifact().encode(function, arguments), at.block)
            at.views[key] = artifact().decode_result(function, data)
        return at.views[key]

    def _casts(
        self, campaign: int, slot: int, attempt: int, ballot: dict[str, Any], block: int
    ) -> list[dict[str, Any]]:
        if len(ballot["approvals"]) + len(ballot["refusals"]) < 2:
            return []  # nobody but the requester, whose request is its vote
        self._events.reach(block)
        return list(
            self._events.arguments(
                "VoteCast", campaign=campaign, slot=slot, attempt=attempt, step=ballot["step"]
            )
        )
