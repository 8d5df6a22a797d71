"""Restore and skip: what happens around a slot that brought no model (paper, section III).

The contract does both in the transaction that decides: the head stays, the next slot opens. What
is left for a site is to close what ran out of time, and to see that the head is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim import custody
from cdistrim.errors import IntegrityError, LedgerRefusal
from cdistrim.protocol import GENESIS, CampaignState, SkipReason, SlotState, SlotView
from cdistrim.watch import observe

if TYPE_CHECKING:
    from cdistrim.iteration import IterationRef
    from cdistrim.site import Site

__all__ = ["close_if_expired", "skip_sentence", "verify_restored_head"]


def close_if_expired(site: Site, ref: IterationRef) -> bool:
    """Close the campaign's open step if it is over; whether this call closed it.

    It is over when its deadline has passed, or when a partner was removed from the consortium.
    """
    view = observe(site.ledger, ref.campaign)
    if view.state.ended:
        return False
    if view.removals_pending:
        return _apply_removals(site, ref)
    deadline = view.slot.deadline if view.slot else view.enrol_deadline
    if view.state is CampaignState.RUNNING and view.slot and view.slot.number != ref.slot:
        return False
    if view.now <= deadline:
        return False
    try:
        site.ledger.close_expired(campaign=ref.campaign, slot=ref.slot)
    except LedgerRefusal as refusal:
        # Another member was quicker, or the chain's clock is behind this machine's.
        if refusal.name in {"DeadlineNotPassed", "WrongSlot", "WrongCampaignState"}:
            return False
        raise
    return True


def _apply_removals(site: Site, ref: IterationRef) -> bool:
    try:
        return not site.ledger.apply_removals(campaign=ref.campaign).repeated
    except LedgerRefusal as refusal:
        if refusal.name == "NoRemovals":  # another member was quicker
            return False
        raise


def verify_restored_head(site: Site, ref: IterationRef) -> str:
    """See that the head is an earlier model and lies in the store as recorded; its name.

    Raises:
        IntegrityError: The head's object is missing or altered.
    """
    view = site.ledger.campaign(ref.campaign)
    if view.head == GENESIS:
        return "genesis"
    if (
        view.head == ref.slot
        and site.ledger.slot(ref.campaign, ref.slot).state is SlotState.SKIPPED
    ):
        raise IntegrityError(
            f"Slot {ref.slot} was skipped, yet the ledger's head is its candidate.",
            hint="Compare with other nodes: this one contradicts itself.",
        )
    record = site.ledger.model(view.number, view.head)
    custody.ciphertext(site, view.number, record)
    return record.name


def skip_sentence(slot: SlotView) -> str:
    """Why a slot was skipped, in plain words with the votes."""
    ballot = slot.ballot
    count = f"{ballot.yes} yes, {ballot.no} no, {ballot.quorum} needed" if ballot else ""
    return {
        SkipReason.NONE: count or "no ballot",
        SkipReason.FETCH_REFUSED: f"the partners refused the fetch ({count})",
        SkipReason.DEGRADED: f"the candidate was voted down ({count}); the head is restored",
        SkipReason.DEADLINE_PASSED: "a deadline passed",
        SkipReason.NOT_ENROLLED: "the partner never enrolled",
        SkipReason.OWNER_REMOVED: "the partner is no member any more",
        SkipReason.TOO_FEW_PARTNERS: "too few partners were left to decide",
    }[slot.skip_reason]
