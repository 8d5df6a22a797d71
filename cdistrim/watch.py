"""Waiting: for ballots, shares, evaluate grants, deadlines. Polls; only the ledger is believed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from cdistrim.custody import capsules, prefix
from cdistrim.grants import grants_prefix, has_offered
from cdistrim.opening import dealt_badly, find_key, gather, place_of_slot
from cdistrim.protocol import (
    GENESIS,
    BallotKind,
    CampaignView,
    ModelRecord,
    SlotState,
    SlotView,
)

if TYPE_CHECKING:
    from cdistrim.iteration import IterationRef
    from cdistrim.ledger import Ledger
    from cdistrim.site import Site

__all__ = [
    "POLL_VARIABLE",
    "await_ballot",
    "await_grant",
    "await_next_fetch",
    "await_restart",
    "await_shares",
    "await_token",
    "half_time_is_over",
    "observe",
    "poll_seconds",
]

POLL_VARIABLE = "CDISTRIM_POLL_SECONDS"
"""Environment variable: seconds between two looks at the ledger (default 1)."""

_DECIDING = {
    BallotKind.FETCH: (SlotState.WAITING, SlotState.FETCH_REQUESTED),
    BallotKind.UPLOAD: (SlotState.TRAINING, SlotState.UPLOAD_REQUESTED),
}
_BEING_DECIDED = (SlotState.UPLOAD_REQUESTED, SlotState.UPLOAD_GRANTED)


def poll_seconds() -> float:
    """Seconds between two looks at the ledger."""
    return float(os.environ.get(POLL_VARIABLE, "1"))


def observe(ledger: Ledger, campaign: int) -> CampaignView:
    """The campaign now. ``now`` is this machine's clock where the last block is older.

    A quiet chain makes no blocks, so its last timestamp would never pass a deadline. A clock that
    runs ahead does no harm: the contract refuses to close a step before its time.
    """
    view = ledger.campaign(campaign)
    return replace(view, now=max(view.now, int(time.time())))


def _is_over(ledger: Ledger, slot: SlotView) -> bool:
    return max(ledger.now(), time.time()) > slot.deadline


def await_ballot(
    site: Site,
    ref: IterationRef,
    step: BallotKind,
    meanwhile: Callable[[SlotView], object] = lambda _slot: None,
) -> SlotView:
    """Wait until the slot's ballot is decided or its deadline has passed; the slot then.

    ``meanwhile`` is called at every look at an open ballot, e.g. to grant to late evaluators.
    """
    while True:
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.attempt != ref.attempt or slot.state not in _DECIDING[step]:
            return slot
        if _is_over(site.ledger, slot):
            return slot
        meanwhile(slot)
        time.sleep(poll_seconds())


def half_time_is_over(site: Site, view: CampaignView, slot: SlotView) -> bool:
    """Whether less than half of the time is left in which the head has to be opened."""
    left = slot.deadline - max(view.now, int(time.time()))
    return left < site.spec(view).deadlines.opening / 2


def await_shares(site: Site, ref: IterationRef, envelope: bytes) -> bool:
    """Wait until enough good shares of the head were released, or half of the time is over.

    Args:
        envelope: The head's, which the shares have to open.

    Returns:
        Whether waiting is over in time: they open it, or it is known that they never will. There is
        nothing to wait for where the head is genesis. In the second half a restore ballot still has
        time to pass.
    """
    seen: list[str] | None = None
    while True:
        view = site.ledger.campaign(ref.campaign)
        if view.head == GENESIS:
            return True
        slot = site.ledger.slot(ref.campaign, ref.slot)
        record = site.ledger.model(view.number, view.head)
        released = _released(site, slot, record)
        if released != seen:
            seen = released
            at = {"slot": ref.slot, "attempt": slot.fetch_attempt}
            found = gather(site, view.number, record, **at)
            if find_key(site, view.number, record, found, envelope) or dealt_badly(found):
                return True
        if slot.state is not SlotState.FETCH_GRANTED or half_time_is_over(site, view, slot):
            return False
        time.sleep(poll_seconds())


def _released(site: Site, slot: SlotView, head: ModelRecord) -> list[str]:
    """What lies in the store, by its path, where the head's holders release their shares."""
    holders = {holder for each in capsules(site, slot.campaign, head) for holder in each.holders}
    return [
        reference.path
        for holder in sorted(holders)
        for reference in site.store.list(
            prefix(site, holder, slot.campaign, "releases", place_of_slot(slot))
        )
    ]


def await_token(site: Site, ref: IterationRef, patience: float = 5.0) -> bool:
    """Wait, after this site's vote on a fetch, until the others have decided it.

    A share is owed as soon as the token is granted, and calling the site again takes longer than
    that: whoever votes first waits for who votes last.

    Args:
        patience: Seconds to wait; whoever drives the site asks again later.

    Returns:
        Whether it is decided; also where there is nothing to wait for.
    """
    end = time.monotonic() + patience
    while ref.slot:  # A request that is no slot's has none.
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.attempt != ref.attempt or slot.state is not SlotState.FETCH_REQUESTED:
            return True
        if slot.ballot is None or slot.ballot.waits_for(site.account):
            return True
        if time.monotonic() > end or _is_over(site.ledger, slot):
            return False
        time.sleep(poll_seconds())
    return True


def await_next_fetch(site: Site, ref: IterationRef, patience: float = 5.0) -> SlotView | None:
    """Wait, after this site's vote on an upload, until the next slot's owner asks for the head.

    That follows within seconds, and calling the site again takes as long: whoever has just voted
    stays for the next ballot.

    Args:
        patience: Seconds to wait; whoever drives the site calls again later.

    Returns:
        The slot whose ballot waits for this site; None if there is nothing to wait for (it is this
        site's own turn, another request waits for its vote, or the campaign ends) or nothing came
        of it in time.
    """
    end = time.monotonic() + patience
    while ref.slot:  # A request that is no slot's has none.
        view = observe(site.ledger, ref.campaign)
        if any(request.waits_for(site.account) for request in view.requests):
            return None  # The next owner may ask for a restore instead: a duty of its own.
        slot = view.slot
        if slot is None or (slot.number == ref.slot and slot.state not in _BEING_DECIDED):
            return None
        if slot.number != ref.slot and (
            slot.owner == site.account
            or slot.state not in (SlotState.WAITING, SlotState.FETCH_REQUESTED)
        ):
            return None
        if slot.ballot is not None and slot.ballot.kind is BallotKind.FETCH:
            return slot if slot.ballot.waits_for(site.account) else None
        if time.monotonic() > end:
            return None
        time.sleep(poll_seconds())
    return None


def await_restart(site: Site, ref: IterationRef) -> SlotView:
    """Wait until a slot whose head can't be opened starts over or ends, or its time is over."""
    while True:
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.attempt != ref.attempt or slot.state.ended or _is_over(site.ledger, slot):
            return slot
        time.sleep(poll_seconds())


def await_grant(site: Site, ref: IterationRef, patience: float = 60.0) -> bool:
    """Wait until this site was granted the candidate that it shall measure.

    Args:
        patience: Seconds to wait; whoever drives the site asks again later.

    Returns:
        Whether it was; also where there is nothing to wait for.
    """
    end = time.monotonic() + patience
    while ref.slot:  # A request that is no slot's has none.
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.ballot is None or slot.ballot.kind is not BallotKind.UPLOAD:
            return True
        if not slot.ballot.waits_for(site.account) or not has_offered(
            site, ref.campaign, ref.slot, slot.attempt
        ):
            return True
        if site.store.list(grants_prefix(site, slot, site.account)):
            return True
        if time.monotonic() > end or _is_over(site.ledger, slot):
            return False
        time.sleep(poll_seconds())
    return True
