"""What the contract's views have to answer, given what the reference knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cdistrim.protocol import GENESIS, SlotState
from tests.contracts.reference.actions import Reference
from tests.contracts.reference.consortium import MEMBERSHIP, ROUNDS
from tests.contracts.reference.records import (
    Ballot,
    Campaign,
    Enrolment,
    FinalFetch,
    Slot,
)

__all__ = ["Answer", "Question", "answers"]

Question = tuple[str, tuple[int | str, ...]]
"""A view and its arguments."""

Answer = tuple[int, ...]
"""What it returns, as 32-byte words of the ABI: all records have a fixed size."""


def answers(reference: Reference, accounts: Iterable[str]) -> Iterator[tuple[Question, Answer]]:
    """The complete state, as of ``reference.now``; of members and all other ``accounts``."""
    accounts = list(accounts)
    yield from _consortium(reference, accounts)
    for campaign in reference.campaigns:
        yield from _campaign(reference, campaign, accounts)
    for word, ballot in reference.ballots.items():
        yield ("ballotRecord", (word,)), _box(reference, ballot)
        yield ("ballotState", (word,)), (int(reference.ballot_state(ballot)),)
        yield ("subjectOf", (word,)), (_number(reference.subject_of(ballot)),)


def _consortium(reference: Reference, accounts: list[str]) -> Iterator[tuple[Question, Answer]]:
    seats = len(reference.members)
    yield ("views", ()), (int(reference.views, 16),)
    yield ("seats", ()), (seats,)
    yield ("activeSeats", ()), (reference.mask(reference.active),)
    yield ("campaigns", ()), (len(reference.campaigns),)
    records = {member.account: _member(reference, member.account) for member in reference.members}
    nobody = (0,) * 6
    for seat, record in enumerate([*records.values(), nobody]):
        yield ("memberAt", (seat,)), record
    for account in accounts:
        yield ("memberOf", (account,)), records.get(account, nobody)
    numbers = range(1, len(reference.campaigns) + 1)
    for kind in ROUNDS:
        for account in records:
            for number in (0,) if kind in MEMBERSHIP else numbers:
                rounds = reference.rounds.get((kind, number, account), 0)
                yield ("roundOf", (int(kind), number, account)), (rounds,)


def _campaign(
    reference: Reference, campaign: Campaign, accounts: list[str]
) -> Iterator[tuple[Question, Answer]]:
    number, seat_of = campaign.number, {m.account: m.seat for m in reference.members}
    order = [seat_of[account] for account in campaign.order]
    yield ("campaignRecord", (number,)), _campaign_record(reference, campaign)
    yield ("orderOf", (number,)), (32, len(order), *order)
    lineage = [GENESIS, *campaign.lineage]
    for slot in range(campaign.slot + 2):
        reached = campaign.slots.get(slot)
        record = (
            _slot(reached, seat_of[reached.owner], slot not in lineage) if reached else 13 * (0,)
        )
        yield ("slotRecord", (number, slot)), record
    for account in accounts:
        e = campaign.enrolments.get(account, Enrolment())
        enrolment = e.cases, int(e.evaluator), _number(e.data_commitment)
        yield ("enrolmentRecord", (number, account)), enrolment
        f = campaign.finals.get(account, FinalFetch())
        final = int(f.state), f.round, f.deadline, f.head, _number(f.request_key_digest)
        yield ("finalFetchRecord", (number, account)), final


def _member(reference: Reference, account: str) -> Answer:
    member = reference.member(account)
    assert member is not None
    return (
        int(account, 16),
        _number(member.name),
        member.seat,
        int(member.active),
        _number(member.sealing_key_digest),
        member.key_changed_at,
    )


def _campaign_record(reference: Reference, campaign: Campaign) -> Answer:
    return (
        _number(campaign.spec_hash),
        _number(campaign.genesis_hash),
        int(campaign.state),
        int(campaign.mode),
        campaign.quorum,
        len(campaign.order),
        campaign.place,
        campaign.cycle,
        campaign.cycles,
        campaign.slot,
        campaign.head,
        len(campaign.lineage),
        campaign.enrol_deadline,
        reference.mask(campaign.partners),
        reference.mask(campaign.voters),
        reference.mask(campaign.evaluators),
        reference.mask(campaign.dealt),
        reference.mask(campaign.invited),
        campaign.deadlines,
    )


def _slot(slot: Slot, seat: int, off_the_line: bool) -> Answer:
    return (
        int(slot.state),
        int(slot.skip_reason),
        slot.attempt,
        slot.fetch_attempt,
        slot.deadline,
        seat,
        int(slot.state is SlotState.ACCEPTED and off_the_line),
        slot.parent,
        _number(slot.request_key_digest),
        _number(slot.candidate_digest),
        _number(slot.ciphertext_hash),
        _number(slot.weights_hash),
        _number(slot.capsule_hash),
    )


def _box(reference: Reference, ballot: Ballot) -> Answer:
    return (
        reference.mask(ballot.electorate),
        reference.mask(ballot.approvals),
        reference.mask(ballot.refusals),
        ballot.deadline or 0,
        ballot.removals,
        ballot.model,
        int(ballot.opened),
        ballot.reason,
    )


def _number(digest: bytes) -> int:
    return int.from_bytes(digest)
