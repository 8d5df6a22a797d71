"""The contract's records as the protocol's views. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cdistrim.errors import IntegrityError
from cdistrim.ledger.interface import NO_EVIDENCE, NO_HASH, Candidate
from cdistrim.protocol import (
    BallotKind,
    BallotState,
    BallotView,
    CampaignState,
    CampaignView,
    Contribution,
    Enrolment,
    FinalFetch,
    GrantedFetch,
    ModelRecord,
    SlotView,
    Vote,
)

__all__ = [
    "Contradiction",
    "ballot_view",
    "campaign_view",
    "contribution",
    "final_fetch",
    "model_record",
    "slot_view",
]

Fields = Mapping[str, Any]


class Contradiction(IntegrityError):
    """Two answers of a node can't both be so.

    If they were of two moments, or of two nodes behind one address, reading again helps.
    """

    @property
    def code(self) -> str:
        return IntegrityError.__name__


def campaign_view(
    snapshot: Fields,
    casts: Iterable[Fields],
    candidate: ModelRecord | None,
    requests: Iterable[BallotView],
    final_grants: Iterable[GrantedFetch],
    *,
    now: int,
) -> CampaignView:
    """A campaign's present.

    Args:
        snapshot: The contract's ``Snapshot``.
        casts: Arguments of the ``VoteCast`` events of the open slot's ballot.
        candidate: The open slot's, if it has one.
        requests: Open ballots of the campaign that are no slot's.
        final_grants: Tokens for the final model that were not redeemed yet.
        now: Ledger time in seconds.
    """
    campaign = snapshot["campaign"]
    running = campaign["state"] is CampaignState.RUNNING
    ballot = ballot_view(snapshot["ballot"], casts)
    return CampaignView(
        number=campaign["number"],
        spec_hash=campaign["specHash"],
        genesis_hash=campaign["genesisWeightsHash"],
        state=campaign["state"],
        mode=campaign["mode"],
        order=campaign["order"],
        cycles=campaign["cycles"],
        quorum=campaign["quorum"],
        deadlines=campaign["deadlines"].model_dump(),
        requests=tuple(requests),
        final_grants=tuple(final_grants),
        enrolments=tuple(_enrolment(e) for e in campaign["enrolments"] if e["enrolled"]),
        head=campaign["head"],
        accepted=campaign["accepted"],
        now=now,
        enrol_deadline=campaign["enrolDeadline"],
        slots=campaign["slots"],
        removals_pending=campaign["removalsPending"],
        slot=slot_view(snapshot["slot"], ballot, candidate) if running else None,
    )


def slot_view(slot: Fields, ballot: BallotView | None, candidate: ModelRecord | None) -> SlotView:
    """A slot with its latest ballot.

    Raises:
        IntegrityError: The ballot is about something else than the slot says.
    """
    about = {
        BallotKind.FETCH: slot["requestKeyDigest"],
        BallotKind.UPLOAD: slot["candidate"]["candidateDigest"],
    }
    # Of a former attempt the contract says no subject any more: the fetch of a slot whose training
    # was started over when a partner was removed.
    present = ballot if ballot and ballot.id.attempt == slot["attempt"] else None
    if present is not None and present.subject != about[present.kind]:
        raise Contradiction(
            f"The {present.kind.name.lower()} ballot of slot {slot['number']} is not about "
            "what the slot says.",
            hint="Use another node: this one contradicts itself.",
        )
    return SlotView(
        campaign=slot["campaign"],
        number=slot["number"],
        attempt=slot["attempt"],
        owner=slot["owner"],
        state=slot["state"],
        deadline=slot["deadline"],
        request_key_digest=b"" if slot["requestKeyDigest"] == NO_HASH else slot["requestKeyDigest"],
        ballot=ballot,
        candidate=candidate,
        skip_reason=slot["skipReason"],
        fetch_attempt=slot["fetchAttempt"],
    )


def ballot_view(ballot: Fields, casts: Iterable[Fields]) -> BallotView | None:
    """A ballot with its votes, the requester's first; None if it was never opened.

    Raises:
        IntegrityError: The ballot counts a vote that was not cast, or not so.
    """
    if ballot["state"] is BallotState.NONE:
        return None
    said = dict.fromkeys(ballot["approvals"], True) | dict.fromkeys(ballot["refusals"], False)
    votes = []
    for cast in casts:
        counted = said.pop(cast["account"], None)
        if counted is not None:
            if counted is not cast["approve"]:
                raise _miscounted(ballot)
            evidence = None if cast["evidence"] == NO_EVIDENCE else cast["evidence"]
            votes.append(Vote(cast["account"], cast["approve"], evidence))
    if said and said != {ballot["opener"]: True}:  # whose request is its yes, without an event
        raise _miscounted(ballot)
    requesters = [Vote(account, approve) for account, approve in said.items()]
    return BallotView(
        id=ballot["id"],
        subject=ballot["subject"],
        model=ballot["model"],
        state=ballot["state"],
        yes=ballot["yes"],
        no=ballot["no"],
        quorum=ballot["quorum"],
        deadline=ballot["deadline"],
        electorate=ballot["electorate"],
        votes=(*requesters, *votes),
    )


def _miscounted(ballot: Fields) -> Contradiction:
    return Contradiction(
        f"The votes in the events are not those that the {ballot['id'].kind.name.lower()} ballot "
        f"of {ballot['opener']} counts.",
        hint="Use another node: this one contradicts itself.",
    )


def model_record(record: Fields, submitted: Candidate | None) -> ModelRecord:
    """A candidate's or an accepted model's record.

    Args:
        record: The contract's ``ModelRecord``.
        submitted: The candidate of its ``CandidateSubmitted`` event, which has the evidence.

    Raises:
        IntegrityError: That is not the candidate whose digest the contract has.
    """
    if submitted is None or submitted.digest != record["candidateDigest"]:
        raise Contradiction(
            f"The candidate of slot {record['slot']} in the events is not the one whose digest the "
            "contract has.",
            hint="Use another node: this one gives wrong events.",
        )
    return ModelRecord(
        name=record["name"],
        slot=record["slot"],
        attempt=record["attempt"],
        partner=record["account"],
        parent=record["parent"],
        ciphertext_hash=record["ciphertextHash"],
        weights_hash=record["weightsHash"],
        capsule_hash=record["capsuleHash"],
        cases=record["cases"],
        data_commitment=record["dataCommitment"],
        evidence=submitted.evidence,
        undone=record["undone"],
    )


def contribution(fields: Fields) -> Contribution:
    """What a partner gave to a model."""
    return Contribution(
        partner=fields["account"],
        name=fields["name"],
        models=fields["models"],
        cases=fields["cases"],
    )


def final_fetch(record: Fields) -> FinalFetch:
    """A partner's latest fetch of the final model."""
    return FinalFetch(
        state=record["state"],
        round=record["round"],
        deadline=record["deadline"],
        head=record["head"],
        request_key_digest=record["requestKeyDigest"],
    )


def _enrolment(enrolment: Fields) -> Enrolment:
    return Enrolment(
        partner=enrolment["account"],
        name=enrolment["name"],
        cases=enrolment["cases"],
        data_commitment=enrolment["dataCommitment"],
        evaluator=enrolment["evaluator"],
        voter=enrolment["voter"],
    )
