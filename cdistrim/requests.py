"""How a site answers requests that are no slot's: restores, joiners, the final model.

`policy` decides; nobody has to be asked, since these follow from what a majority of members decided
before (who is a member) or from what the site sees itself (whether the head opens).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdistrim import policy
from cdistrim.errors import LedgerRefusal
from cdistrim.protocol import BallotId, BallotKind, BallotView, CampaignView
from cdistrim.restore import restore_facts

if TYPE_CHECKING:
    from cdistrim.ledger import Member
    from cdistrim.policy import RequestOpinion
    from cdistrim.site import Site

__all__ = ["answer_requests", "decided_meanwhile", "key_just_rotated", "still_waits"]

_DECIDED = frozenset(
    {
        *("AlreadyVoted", "BallotAlreadyClosed", "BallotVoid", "DeadlinePassed"),
        *("WrongSlot", "WrongAttempt", "WrongCampaignState"),
    }
)
"""By which names the contract refuses a vote that comes too late."""


def answer_requests(site: Site, view: CampaignView) -> Iterator[tuple[BallotView, RequestOpinion]]:
    """Vote on each open request of a campaign that waits for this site; what it voted.

    Raises:
        UnavailableError: Ledger or store don't answer; try again.
    """
    for ballot in view.requests:
        if not ballot.waits_for(site.account):
            continue
        opinion = _opinion(site, view, ballot)
        try:
            site.ledger.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=opinion.approve)
        except LedgerRefusal as refusal:
            if not decided_meanwhile(site, ballot.id, refusal):
                raise
            continue
        kind = ballot.kind.name.lower()
        site.record_vote(view.number, ballot.id.slot, kind, opinion.sentence)
        yield ballot, opinion


def _opinion(site: Site, view: CampaignView, ballot: BallotView) -> RequestOpinion:
    if ballot.kind is BallotKind.RESTORE:
        return policy.form_restore_opinion(restore_facts(site, view))
    member = next((one for one in site.ledger.members() if one.account == ballot.id.opener), None)
    return policy.form_request_opinion(
        spec_approved=site.has_approved(view.spec_hash),
        key_published=member is not None and bool(member.sealing_key),
        key_just_rotated=member is not None and key_just_rotated(member, view.now),
    )


def decided_meanwhile(site: Site, ballot: BallotId, refusal: LedgerRefusal) -> bool:
    """Whether a vote was refused since its ballot was decided, or over, by others.

    The refusal is judged by the newest transactions, which the last block that counts may not have:
    read there, the ballot still waits.
    """
    return refusal.name in _DECIDED or not still_waits(site, ballot)


def still_waits(site: Site, ballot: BallotId) -> bool:
    """Whether a ballot waits for this site, as of the last block that counts."""
    now = site.ledger.ballot(ballot)
    return now is not None and now.waits_for(site.account)


def key_just_rotated(member: Member, now: int) -> bool:
    """Whether a member has replaced its sealing key moments ago; ``now`` is ledger time."""
    return member.key_replaced and now - member.key_changed_at < policy.KEY_REST_S
