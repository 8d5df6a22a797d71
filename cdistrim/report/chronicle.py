"""Reads the ledger's events for the report: their arguments, and what each transaction was for.

Argument names are those of ``contracts/src/ICDistriM.sol``. AUCs are fixed-point numbers there, in
units of 1e-9, variances in 1e-18.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from enum import StrEnum

from cdistrim.protocol import (
    GENESIS,
    BallotKind,
    Evidence,
    LedgerEvent,
    model_name,
)
from cdistrim.report import wording

__all__ = ["Chronicle", "LedgerStep", "Transaction", "evidence_of", "hexadecimal", "number"]

_AUC_UNIT = 1e-9
_VARIANCE_UNIT = 1e-18


class LedgerStep(StrEnum):
    """What a transaction was for. In the order in which charts stack them."""

    MEMBERSHIP = "membership"
    OPENING = "campaign opening"
    ENROLMENT = "enrolment"
    FETCH_REQUEST = "fetch request"
    FETCH_VOTES = "fetch votes"
    HEAD_OPENED = "head opened"
    UPLOAD_REQUEST = "upload request"
    UPLOAD_VOTES = "upload votes"
    CONFIRMATION = "upload confirmed"
    RESTORE = "restore"
    FINAL_MODEL = "final model"
    CLOSING = "closing"


_STEP_OF_EVENT: tuple[tuple[str, LedgerStep], ...] = (
    ("MemberAdmitted", LedgerStep.MEMBERSHIP),
    ("MemberRemoved", LedgerStep.MEMBERSHIP),
    ("KeyRotated", LedgerStep.MEMBERSHIP),
    ("CampaignOpened", LedgerStep.OPENING),
    ("Enrolled", LedgerStep.ENROLMENT),
    ("JoinRequested", LedgerStep.ENROLMENT),
    ("PartnerJoined", LedgerStep.ENROLMENT),
    ("FetchRequested", LedgerStep.FETCH_REQUEST),
    ("CandidateSubmitted", LedgerStep.UPLOAD_REQUEST),
    ("RestoreRequested", LedgerStep.RESTORE),
    ("CapsuleAdded", LedgerStep.RESTORE),
    ("FinalModelRequested", LedgerStep.FINAL_MODEL),
    ("FinalModelUsed", LedgerStep.FINAL_MODEL),
    ("VoteCast", LedgerStep.FETCH_VOTES),
    ("ModelOpened", LedgerStep.HEAD_OPENED),
    ("ModelAccepted", LedgerStep.CONFIRMATION),
)
"""The event that tells a transaction's purpose; the first row that fits decides."""

_VOTES = {
    BallotKind.FETCH: LedgerStep.FETCH_VOTES,
    BallotKind.UPLOAD: LedgerStep.UPLOAD_VOTES,
    BallotKind.RESTORE: LedgerStep.RESTORE,
    BallotKind.JOIN: LedgerStep.ENROLMENT,
    BallotKind.FINAL_FETCH: LedgerStep.FINAL_MODEL,
    BallotKind.ADMISSION: LedgerStep.MEMBERSHIP,
    BallotKind.REMOVAL: LedgerStep.MEMBERSHIP,
}

_OUTSIDE_SLOTS = (
    LedgerStep.MEMBERSHIP,
    LedgerStep.OPENING,
    LedgerStep.ENROLMENT,
    LedgerStep.RESTORE,
    LedgerStep.FINAL_MODEL,
)


@dataclass(frozen=True)
class Transaction:
    """A transaction with what it cost; ``slot`` is None outside of slots."""

    hash: str
    gas: int
    sender: str
    slot: int | None
    step: LedgerStep


class Chronicle:
    """The events of one campaign in the ledger's order, membership included.

    Args:
        events: Events of the contract, in any order; other campaigns' are left out.
        campaign: Number of the campaign.
        names: Names by account, lower case.
        order: Accounts in the campaign's order, lower case.
    """

    def __init__(
        self,
        events: Iterable[LedgerEvent],
        campaign: int,
        names: Mapping[str, str],
        order: Sequence[str],
    ) -> None:
        self.events: tuple[LedgerEvent, ...] = tuple(
            sorted(
                (e for e in events if e.arguments.get("campaign", campaign) == campaign),
                key=lambda e: (e.block, e.index),
            )
        )
        self._names = names
        self._order = order
        self.transactions: tuple[Transaction, ...] = self._group()

    def name_of(self, account: object) -> str:
        """The name behind an account; the shortened account if it has none."""
        key = str(account).lower()
        return wording.printable(self._names.get(key) or wording.short_hash(key))

    def head_name(self, slot: int) -> str:
        """What people call a head: its model's name, or the public start."""
        if slot == GENESIS:
            return "the public start model"
        return model_name(self.owner_name(slot), slot)

    def owner_name(self, slot: int) -> str:
        """Name of the partner whose turn a slot is; joiners and removals change the order."""
        turns = (e for e in self.events if e.arguments.get("slot") == slot)
        told = next((e.arguments["owner"] for e in turns if "owner" in e.arguments), None)
        return self.name_of(told or self._order[(slot - 1) % len(self._order)])

    def of_slot(
        self, slot: int, name: str, kind: BallotKind | None = None
    ) -> tuple[LedgerEvent, ...]:
        """Events of one name of a slot's latest attempt, optionally of one kind of ballot."""
        mine = [e for e in self.events if e.arguments.get("slot") == slot and _is_of_turn(e)]
        last = max((number(e, "attempt") for e in mine if "attempt" in e.arguments), default=0)
        return tuple(
            e
            for e in mine
            if e.name == name
            and e.arguments.get("attempt", last) == last
            and (kind is None or number(e, "kind") == kind)
        )

    def _group(self) -> tuple[Transaction, ...]:
        grouped: dict[str, list[LedgerEvent]] = {}
        for event in self.events:
            grouped.setdefault(event.transaction, []).append(event)
        return tuple(_transaction(hash_, events) for hash_, events in grouped.items())


def _is_of_turn(event: LedgerEvent) -> bool:
    """Not about a fetch of the final model or a restore, which name a slot, too."""
    return event.arguments.get("kind", BallotKind.FETCH) in (BallotKind.FETCH, BallotKind.UPLOAD)


def number(event: LedgerEvent, name: str) -> int:
    """A whole-number argument, 0 where the event lacks it."""
    value = event.arguments.get(name, 0)
    return int(value) if isinstance(value, int) else 0


def hexadecimal(value: object) -> str:
    """A hash as ``0x…`` text; empty for a hash of zeros, which stands for "none"."""
    text = value.hex() if isinstance(value, bytes | bytearray) else str(value or "")
    digits = text.removeprefix("0x").lower()
    return f"0x{digits}" if digits.strip("0") else ""


def evidence_of(value: object) -> Evidence | None:
    """Evidence out of an event, whichever way its tuple was decoded; None if nothing was measured.

    Args:
        value: A mapping or sequence in the ledger's units, or :class:`Evidence` in its own.
    """
    if isinstance(value, Evidence):
        evidence = value
    else:
        raw = field_values(value, ("aucHead", "aucCandidate", "variance", "positives", "negatives"))
        if raw is None:
            return None
        head, candidate, variance, positives, negatives = (
            int(figure) if isinstance(figure, int) else 0 for figure in raw
        )
        evidence = Evidence(
            head * _AUC_UNIT, candidate * _AUC_UNIT, variance * _VARIANCE_UNIT, positives, negatives
        )
    return evidence if evidence.positives and evidence.negatives else None


def field_values(value: object, names: Sequence[str]) -> tuple[object, ...] | None:
    """The fields of a struct that was decoded to a record, a mapping or a sequence."""
    if is_dataclass(value):
        snake = (re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower() for name in names)
        return tuple(getattr(value, name, None) for name in snake)
    if isinstance(value, Mapping):
        return tuple(value.get(name) for name in names)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return tuple(value) if len(value) == len(names) else None
    return None


def _transaction(hash_: str, events: Sequence[LedgerEvent]) -> Transaction:
    by_name = {event.name: event for event in reversed(events)}
    step = next((step for name, step in _STEP_OF_EVENT if name in by_name), LedgerStep.CLOSING)
    if step is LedgerStep.FETCH_VOTES:
        step = _VOTES[BallotKind(number(by_name["VoteCast"], "kind"))]
    slots = [
        number(event, "slot")
        for event in events
        if "slot" in event.arguments and event.name != "SlotOpened"
    ]
    slot = slots[0] if slots and step not in _OUTSIDE_SLOTS else None
    return Transaction(hash_, events[0].gas, events[0].sender.lower(), slot, step)
