"""Restore and skip: what happens around a slot that brought no model (paper, section III).

The contract does both in the transaction that decides: the head stays, the next slot opens. What
is left for a site is to close what ran out of time, and to see that the head is whole.

A head that can't be opened blocks everybody. Who fails to open it remembers that, and asks for a
ballot to go back to the head's parent; an honest site approves only after it found itself that the
head can't be opened (protocol.md, "Restore").
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim import custody
from cdistrim.envelope import account_of
from cdistrim.errors import (
    IntegrityError,
    LedgerRefusal,
    UnopenableHeadError,
    UntrustedDataError,
)
from cdistrim.messages import Release
from cdistrim.opening import place_of_slot
from cdistrim.policy import RestoreFacts
from cdistrim.protocol import (
    GENESIS,
    CampaignState,
    CampaignView,
    RestoreReason,
    SkipReason,
    SlotState,
    SlotView,
)
from cdistrim.site import write_atomically
from cdistrim.watch import half_time_is_over, observe

if TYPE_CHECKING:
    from cdistrim.capsule import Capsule
    from cdistrim.iteration import IterationRef
    from cdistrim.protocol import ModelRecord
    from cdistrim.site import Site

__all__ = [
    "apply_removals",
    "ask_restore",
    "close_if_expired",
    "remember_failure",
    "restore_facts",
    "skip_sentence",
    "verify_restored_head",
]


def close_if_expired(site: Site, ref: IterationRef) -> bool:
    """Close the campaign's open step if it is over; whether this call closed it.

    It is over when its deadline has passed, or when a partner was removed from the consortium.
    """
    view = observe(site.ledger, ref.campaign)
    if view.state.ended:
        return False
    if view.removals_pending:
        return apply_removals(site, ref.campaign)
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


def apply_removals(site: Site, campaign: int) -> bool:
    """Take out of a campaign who is no member any more; whether this call did."""
    try:
        return not site.ledger.apply_removals(campaign=campaign).repeated
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


# --- a head that can't be opened ------------------------------------------------------------------


def _failure_path(site: Site, campaign: int, head: int) -> Path:
    return site.memory / "unopenable" / f"{campaign}-{head}"


def remember_failure(site: Site, campaign: int, head: int, error: UnopenableHeadError) -> None:
    """Keep that this site failed to open a head: its ground for approving a restore."""
    site.logger.warning("Head %d of campaign %d can't be opened: %s", head, campaign, error)
    reason = RestoreReason.UNOPENABLE if error.reproducible else RestoreReason.IRREPRODUCIBLE
    write_atomically(_failure_path(site, campaign, head), reason.name.encode())


def ask_restore(site: Site, ref: IterationRef) -> bool:
    """Ask the partners to go back to the head's parent, after this site failed to open the head.

    Returns whether such a ballot is open or was; False for genesis, which anybody can open.
    """
    view = observe(site.ledger, ref.campaign)
    if view.head == GENESIS or view.slot is None or view.slot.number != ref.slot:
        return False
    path = _failure_path(site, ref.campaign, view.head)
    reason = RestoreReason[path.read_text()] if path.exists() else RestoreReason.UNOPENABLE
    site.ledger.request_restore(
        campaign=ref.campaign,
        slot=ref.slot,
        attempt=ref.attempt,
        target=site.ledger.model(view.number, view.head).parent,
        reason=reason,
    )
    return True


def restore_facts(site: Site, view: CampaignView) -> RestoreFacts:
    """What this site finds out itself about the head of a campaign.

    Raises:
        UnavailableError: Ledger or store don't answer: that is no ground.
    """
    record = site.ledger.model(view.number, view.head)
    fault = ""
    try:
        custody.see_whole(site, view.number, record)
    except UntrustedDataError as error:
        fault = error.short
    capsules = list(custody.capsules(site, view.number, record))
    held = [capsule for capsule in capsules if capsule.holds(site.account)]
    return RestoreFacts(
        spec_approved=site.has_approved(view.spec_hash),
        head_fault=fault,
        own_share_bad=bool(held)
        and not any(custody.has_share(site, view.number, record, capsule) for capsule in held),
        failed_itself=_failure_path(site, view.number, view.head).exists(),
        too_few_released=_too_few_released(
            site, view, [each for each in capsules if _is_plausible(view, record, each)]
        ),
    )


def _is_plausible(view: CampaignView, record: ModelRecord, capsule: Capsule) -> bool:
    """Whether a capsule may count for whether a head can be opened.

    Anybody can add a capsule of two friends, who then release what looks well. Those count that
    came with the model, or name all who are partners now and take a quorum of them.
    """
    if capsule.digest() == record.capsule_hash:
        return True
    partners = {account_of(each) for each in custody.holders_of(view)}
    return set(capsule.holders) == partners and capsule.threshold == custody.threshold_of(
        view, len(partners)
    )


def _too_few_released(site: Site, view: CampaignView, capsules: list[Capsule]) -> bool:
    """Whether a grant has stood for half of its time with releases of too few holders.

    Anybody can see that; whether what they released is junk only the requester can.
    """
    slot = view.slot
    if not capsules or slot is None or slot.state is not SlotState.FETCH_GRANTED:
        return False
    if not half_time_is_over(site, view, slot):
        return False
    # The owner's own share counts, if it was dealt one.
    return all(
        len(_released_by(site, slot, capsule) | ({account_of(slot.owner)} & set(capsule.holders)))
        < capsule.threshold
        for capsule in capsules
    )


def _released_by(site: Site, slot: SlotView, capsule: Capsule) -> set[str]:
    """Holders other than the requester who have signed a release of a capsule's share."""
    found = set()
    for holder in capsule.holders:
        where = custody.prefix(site, holder, slot.campaign, "releases", place_of_slot(slot))
        releases = custody.read_signed(site, where, Release, holder)
        if any(release.capsule == capsule.digest() for release in releases):
            found.add(holder)
    return found
