"""How a site answers ballots: where a vote is decided (by `policy`) and cast.

The steps of :func:`vote_on_candidate` are numbered; comments refer to the numbers.

1. The record names the head as parent, and the candidate's objects are what it names.
2. The candidate opens under the evaluate grant and has the recorded weights.
3. Hard checks: architecture, shapes, finite weights.
4. Head, candidate and best accepted head are measured on the same hold-out, or remembered.
5. Norm of the update; then `policy` forms the opinion, and the vote carries the evidence.

Trouble with somebody else's data is a reason to vote no; trouble with a service is not: the call
fails and is tried again until the deadline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdistrim import custody, policy
from cdistrim.errors import LedgerRefusal, ModelRejectedError, UntrustedDataError
from cdistrim.lease import Lease
from cdistrim.measurements import Measurer
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignView,
    Evidence,
    ModelRecord,
    SlotState,
    SlotView,
)
from cdistrim.spec import CampaignSpec, VotingMode
from cdistrim.weights import check_weights, update_ratio

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.weights import Weights

__all__ = ["Answer", "answer_ballot"]


@dataclass(frozen=True)
class Answer:
    """What a site voted, and why in one sentence without case-level data."""

    approve: bool
    sentence: str
    evidence: Evidence


def answer_ballot(site: Site, view: CampaignView) -> Answer | None:
    """Vote on the open ballot, if it waits for this site; None if it does not.

    Raises:
        LeaseHeldError: Another process of this site has weights in memory; try again.
        UnavailableError: Ledger or store don't answer; try again.
    """
    slot = view.slot
    if slot is None or slot.ballot is None or not slot.ballot.waits_for(site.account):
        return None
    if slot.ballot.kind is BallotKind.FETCH:
        answer: Answer | None = _vote_on_fetch(site, view)
    else:
        answer = _vote_on_upload(site, view, slot)
    if answer is None:
        return None
    try:
        site.ledger.cast_vote(
            ballot=slot.ballot.id,
            subject=slot.ballot.subject,
            approve=answer.approve,
            evidence=answer.evidence,
        )
    except LedgerRefusal:
        if _still_waits(site, slot.ballot.id):
            raise
        return None  # The others decided the ballot while this site was measuring.
    site.record_vote(view.number, slot.number, slot.ballot.kind.name.lower(), answer.sentence)
    return answer


def _still_waits(site: Site, ballot: BallotId) -> bool:
    now = site.ledger.ballot(ballot)
    return now is not None and now.waits_for(site.account)


def _vote_on_fetch(site: Site, view: CampaignView) -> Answer:
    opinion = policy.form_fetch_opinion(
        policy.FetchFacts(
            # The contract lets nobody but the slot's owner ask.
            owners_turn=True,
            spec_approved=site.has_approved(view.spec_hash),
            head_intact=_head_intact(site, view),
        )
    )
    return Answer(opinion.approve, opinion.sentence, policy.NO_EVIDENCE)


def _head_intact(site: Site, view: CampaignView) -> bool:
    if view.head == GENESIS:
        return True
    try:
        custody.see_whole(site, view.number, site.ledger.model(view.number, view.head))
    except UntrustedDataError as error:
        site.logger.warning("The head is not intact: %s", error)
        return False
    return True


def _vote_on_upload(site: Site, view: CampaignView, slot: SlotView) -> Answer | None:
    """None if the others decided before this site began to measure."""
    spec = site.spec(view)
    record = slot.candidate
    if record is None or not site.has_approved(view.spec_hash):
        return Answer(
            False, "The campaign's spec is not approved at this site.", policy.NO_EVIDENCE
        )
    if spec.voting.mode is VotingMode.REPORTED:
        opinion = policy.judge_reported(
            spec.voting, record.evidence, best=policy.best_of(_reported_heads(site, view))
        )
        return Answer(opinion.approve, opinion.sentence, record.evidence)
    with Lease(site.work, campaign=view.number, slot=slot.number, purpose="evaluation"):
        return _vote_on_candidate(site, view, slot, record, spec)


def _vote_on_candidate(
    site: Site, view: CampaignView, slot: SlotView, record: ModelRecord, spec: CampaignSpec
) -> Answer | None:
    try:
        # 1, 2: custody compares every hash with the ledger's.
        candidate = custody.open_as_custodian(site, view.number, record)
        # 3
        check_weights(candidate, spec.model)
    except ModelRejectedError as error:
        refusal = policy.refuse_hard(error)
        return Answer(False, refusal.sentence, refusal.evidence)
    except UntrustedDataError as error:
        site.logger.warning("Candidate %s refused: %s", record.name, error)
        sentence = f"The candidate can't be trusted ({error.code})."
        return Answer(False, sentence, policy.NO_EVIDENCE)
    # 4
    if slot.ballot is None or not _still_waits(site, slot.ballot.id):
        return None
    measurer = Measurer(site, spec, slot)
    cases = site.data.holdout
    head = measurer.measure(cases, custody.head_hash(site, view), lambda: _head(site, view))
    measured = measurer.measure(cases, record.weights_hash, lambda: candidate)
    best = _best_head(site, view, measurer)
    # 5: the bound needs no head in memory; the ratio is for where it does not settle the matter.
    try:
        if (measured.norm + head.norm) > spec.voting.max_update_ratio * head.norm:
            ratio = update_ratio(_head(site, view), candidate)
            policy.check_update(ratio, spec.voting)
    except ModelRejectedError as error:
        refusal = policy.refuse_hard(error)
        return Answer(False, refusal.sentence, refusal.evidence)
    opinion = policy.form_opinion(
        spec.voting, site.data.holdout.labels, head.scores, measured.scores, best=best
    )
    return Answer(opinion.approve, opinion.sentence, opinion.evidence)


def _head(site: Site, view: CampaignView) -> Weights:
    if view.head == GENESIS:
        return custody.open_genesis(site, view)
    return custody.open_as_custodian(site, view.number, site.ledger.model(view.number, view.head))


def _accepted(site: Site, view: CampaignView) -> Iterator[SlotView]:
    for number in range(1, view.head + 1):
        slot = site.ledger.slot(view.number, number)
        if slot.state is SlotState.ACCEPTED and slot.candidate is not None:
            yield slot


def _reported_heads(site: Site, view: CampaignView) -> Iterator[policy.BestHead]:
    for slot in _accepted(site, view):
        if slot.candidate is not None:
            yield policy.BestHead(slot.number, slot.candidate.evidence.auc_candidate)


def _best_head(site: Site, view: CampaignView, measurer: Measurer) -> policy.BestHead | None:
    """The accepted model that this site once measured highest on its hold-out.

    What it measured is what it voted (or recorded, in its own slots), so the ledger remembers it.
    """
    heads: list[policy.BestHead] = []
    for slot in _accepted(site, view):
        if slot.owner == site.account and slot.candidate is not None:
            heads.append(policy.BestHead(slot.number, slot.candidate.evidence.auc_candidate))
        heads.extend(
            policy.BestHead(slot.number, vote.evidence.auc_candidate)
            for vote in (slot.ballot.votes if slot.ballot else ())
            if vote.partner == site.account and vote.evidence and vote.evidence.positives
        )
    best = policy.best_of(heads)
    if best is None or best.slot == view.head:
        return None
    record = site.ledger.model(view.number, best.slot)
    measured = measurer.measure(
        site.data.holdout,
        record.weights_hash,
        lambda: custody.open_as_custodian(site, view.number, record),
    )
    return policy.BestHead(best.slot, best.auc, measured.scores)
