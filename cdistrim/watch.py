"""Waiting for the ledger: ballots, keys, deadlines. Polls; believes only what the ledger says."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from cdistrim import custody
from cdistrim.protocol import GENESIS, BallotKind, CampaignView, SlotState, SlotView

if TYPE_CHECKING:
    from cdistrim.iteration import IterationRef
    from cdistrim.ledger import Ledger
    from cdistrim.site import Site

__all__ = ["POLL_VARIABLE", "await_ballot", "await_release", "observe", "poll_seconds"]

POLL_VARIABLE = "CDISTRIM_POLL_SECONDS"
"""Environment variable: seconds between two looks at the ledger (default 1)."""

_DECIDING = {
    BallotKind.FETCH: (SlotState.WAITING, SlotState.FETCH_REQUESTED),
    BallotKind.UPLOAD: (SlotState.TRAINING, SlotState.UPLOAD_REQUESTED),
}


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


def await_ballot(site: Site, ref: IterationRef, step: BallotKind) -> SlotView:
    """Wait until the slot's ballot is decided or its deadline has passed; the slot then."""
    while True:
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.attempt != ref.attempt or slot.state not in _DECIDING[step]:
            return slot
        if _is_over(site.ledger, slot):
            return slot
        time.sleep(poll_seconds())


def await_release(site: Site, ref: IterationRef) -> None:
    """Wait until a custodian has released something for this slot, or the deadline has passed."""
    while True:
        view = site.ledger.campaign(ref.campaign)
        if view.head == GENESIS:
            return
        where = custody.prefix(site, ref.campaign, "releases", f"{ref.slot}-{ref.attempt}")
        if site.store.list(where):
            return
        slot = site.ledger.slot(ref.campaign, ref.slot)
        if slot.state is not SlotState.FETCH_GRANTED or _is_over(site.ledger, slot):
            return
        time.sleep(poll_seconds())
