"""How a site answers ballots: where a vote is decided (by `policy`) and cast.

The steps of :func:`vote_on_candidate` are numbered; comments refer to the numbers.

1. The candidate's objects are what its record names, and open under the evaluate grant.
2. Its key was dealt well: to all partners and nobody else, with the campaign's threshold.
3. Hard checks: architecture, shapes, finite weights.
4. Head and candidate are measured on the same hold-out, or remembered; so is the best head.
5. Norm of the update; then `policy` forms the opinion, and the vote carries the evidence.
6. Before a yes, the shares are published once more, sealed to their holders.

Trouble with somebody else's data is a reason to vote no; trouble with a service is not: the call
fails and is tried again until the deadline.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdistrim import custody, grants, policy
from cdistrim.errors import LedgerRefusal, ModelRejectedError, UntrustedDataError
from cdistrim.lease import Lease
from cdistrim.measurements import Measurer
from cdistrim.protocol import (
    GENESIS,
    BallotKind,
    CampaignView,
    Evidence,
    ModelRecord,
    SlotState,
    SlotView,
)
from cdistrim.requests import decided_meanwhile, key_just_rotated, still_waits
from cdistrim.spec import CampaignSpec, VotingMode

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
        UnavailableError: No answer of ledger or store, or no evaluate grant yet; try again.
    """
    slot = view.slot
    if slot is None or slot.ballot is None or not slot.ballot.waits_for(site.account):
        return None
    if slot.ballot.kind is BallotKind.FETCH:
        answer: Answer | None = _vote_on_fetch(site, view, slot)
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
    except LedgerRefusal as refusal:
        if not decided_meanwhile(site, slot.ballot.id, refusal):
            raise
        return None  # While this site was measuring.
    site.record_vote(view.number, slot.number, slot.ballot.kind.name.lower(), answer.sentence)
    return answer


def _vote_on_fetch(site: Site, view: CampaignView, slot: SlotView) -> Answer:
    requester = next((one for one in site.ledger.members() if one.account == slot.owner), None)
    fault = _fault_of_head(site, view)
    opinion = policy.form_fetch_opinion(
        policy.FetchFacts(
            # The contract lets nobody but the slot's owner ask.
            owners_turn=True,
            spec_approved=site.has_approved(view.spec_hash),
            head_intact=not fault,
            head_fault=fault,
            key_just_rotated=requester is not None and key_just_rotated(requester, view.now),
        )
    )
    return Answer(opinion.approve, opinion.sentence, policy.NO_EVIDENCE)


def _fault_of_head(site: Site, view: CampaignView) -> str:
    """What is wrong with the head's objects in the store; empty if nothing is."""
    if view.head == GENESIS:
        return ""
    try:
        custody.see_whole(site, view.number, site.ledger.model(view.number, view.head))
    except UntrustedDataError as error:
        site.logger.warning("The head is not intact: %s", error)
        return error.short
    return ""


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
    from cdistrim.weights import check_weights

    try:
        envelope = custody.ciphertext(site, view.number, record)
        key = grants.granted_key(
            site, slot, custody.record_context(site, view.number, record), envelope
        )
    except UntrustedDataError as error:
        return _mistrust(site, record, error)
    with Lease(site.work, campaign=view.number, slot=slot.number, purpose="evaluation"):
        try:
            # 1: custody compares every hash with the ledger's.
            candidate = custody.open_with(key, envelope, site, view.number, record)
            # 2
            capsule, shares = grants.checked_shares(site, view, record, key)
            # 3
            check_weights(candidate, spec.model)
        except ModelRejectedError as error:
            refusal = policy.refuse_hard(error)
            return Answer(False, refusal.sentence, refusal.evidence)
        except UntrustedDataError as error:
            return _mistrust(site, record, error)
        answer = _measured(site, view, slot, record, candidate, spec)
    if answer is not None and answer.approve:
        # 6: a crash after it is harmless, a yes without it is not.
        grants.publish_shares(site, view.number, record, capsule, shares)
    return answer


def _mistrust(site: Site, record: ModelRecord, error: UntrustedDataError) -> Answer:
    site.logger.warning("Candidate %s refused: %s", record.name, error)
    sentence = f"The candidate can't be trusted ({error.code}): {error.short}."
    return Answer(False, sentence, policy.NO_EVIDENCE)


def _measured(
    site: Site,
    view: CampaignView,
    slot: SlotView,
    record: ModelRecord,
    candidate: Weights,
    spec: CampaignSpec,
) -> Answer | None:
    from cdistrim.weights import update_ratio

    # 4
    if slot.ballot is None or not still_waits(site, slot.ballot.id):
        return None
    measurer = Measurer(site, spec, slot)
    cases = site.data.holdout
    opened: list[Weights] = []

    def open_head() -> Weights:
        opened.append(_head(site, view, slot))
        return opened[0]

    head = measurer.measure(cases, custody.head_hash(site, view), open_head)
    measured = measurer.measure(cases, record.weights_hash, lambda: candidate)
    best = _best_head(site, view, measurer)
    # 5: the norms bound the update's. The head itself is there if it was opened just now, or is
    # public; without it a candidate is refused that may be too far away from it.
    try:
        bound = (measured.norm + head.norm) / head.norm
        if bound > spec.voting.max_update_ratio:
            if view.head == GENESIS and not opened:
                open_head()
            policy.check_update(
                update_ratio(opened[0], candidate) if opened else bound, spec.voting
            )
    except ModelRejectedError as error:
        refusal = policy.refuse_hard(error)
        return Answer(False, refusal.sentence, refusal.evidence)
    opinion = policy.form_opinion(
        spec.voting, site.data.holdout.labels, head.scores, measured.scores, best=best
    )
    return Answer(opinion.approve, opinion.sentence, opinion.evidence)


def _head(site: Site, view: CampaignView, slot: SlotView) -> Weights:
    """The head, which this site has never measured: its key was granted with the candidate's."""
    if view.head == GENESIS:
        return custody.open_genesis(site, view)
    record = site.ledger.model(view.number, view.head)
    envelope = custody.ciphertext(site, view.number, record)
    context = custody.record_context(site, view.number, record)
    key = grants.granted_key(site, slot, context, envelope)
    return custody.open_with(key, envelope, site, view.number, record)


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

    What it measured is what it voted (or recorded, in its own slots), so the ledger remembers it;
    the scores behind it are in the site's memory, or gone: the model can't be opened again.
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
    digest = site.ledger.model(view.number, best.slot).weights_hash
    measured = measurer.remembered(site.data.holdout, digest)
    return policy.BestHead(best.slot, best.auc, measured.scores if measured else None)
