"""What stays behind of a slot, and its removal: at the owner's site and in its part of the store.

A slot that ends in order is cleared by its own session. A killed process can't do that, and where
the ledger decided meanwhile nobody calls the slot again; so whoever comes next at this site clears
what is over. The one-time key goes last: as long as it is there, the rest may be there, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdistrim import custody
from cdistrim.errors import LeaseHeldError, LedgerRefusal
from cdistrim.final_model import standing_round
from cdistrim.grants import erase_offered_key, granting_path
from cdistrim.lease import Lease
from cdistrim.opening import erase_request_key
from cdistrim.protocol import SlotView, model_name
from cdistrim.site import remove_half_written

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = [
    "clear_ended_slots",
    "clear_slot",
    "clear_when_idle",
    "forget_evaluations",
    "remove_checkpoint",
]


def clear_slot(site: Site, slot: SlotView) -> None:
    """Remove everything of an ended slot of this site but what the ledger names.

    In the store these are candidates of processes that were killed before they could put theirs on
    record. A site without delete rights leaves them: they are ciphertext whose key nobody has.
    """
    if not slot.state.ended or slot.owner != site.account:
        return
    name, record = model_name(site.name, slot.number), slot.candidate
    added = site.ledger.added_capsules(slot.campaign, slot.number)
    objects = {
        "models": {record.ciphertext_hash} if record else set(),
        "capsules": {record.capsule_hash, *(each.capsule_hash for each in added)}
        if record
        else set(),
    }
    for kind, recorded in objects.items():
        where = custody.prefix(site, site.account, slot.campaign, kind, name)
        site.store.sweep(where, keep=recorded)
    remove_checkpoint(site, slot.campaign, slot.number, slot.attempt)
    granting_path(site, slot.campaign, slot.number, slot.attempt).unlink(missing_ok=True)
    erase_request_key(site, slot.campaign, slot.number, slot.fetch_attempt)


def remove_checkpoint(site: Site, campaign: int, slot: int, attempt: int) -> None:
    """Remove the checkpoint of an attempt in which nobody will train any more."""
    site.checkpoint(campaign, slot, attempt).unlink(missing_ok=True)


def clear_ended_slots(site: Site) -> None:
    """Clear what killed processes of this site left; for whoever holds the site's turn.

    Raises:
        UnavailableError: Ledger or store don't answer.
    """
    for directory in (site.work, site.memory):
        remove_half_written(directory)
    for slot, attempt in _slots_of(site, "checkpoint-*-*-*.bin"):
        if slot.state.ended or slot.attempt > attempt:
            remove_checkpoint(site, slot.campaign, slot.number, attempt)
    for slot, attempt in _slots_of(site, "granting-*-*-*.bin"):
        if slot.state.ended or slot.attempt > attempt:
            granting_path(site, slot.campaign, slot.number, attempt).unlink(missing_ok=True)
    for slot, attempt in _slots_of(site, "request-*-*-*.key"):
        if slot.fetch_attempt > attempt:
            erase_request_key(site, slot.campaign, slot.number, attempt)
        else:
            clear_slot(site, slot)
    _forget_final_requests(site)
    forget_evaluations(site)


def _forget_final_requests(site: Site) -> None:
    """Erase one-time keys for final models that were asked for and will not be opened with them."""
    for path in sorted(site.work.glob("request-*-0-*.key")):
        campaign, _, number = (int(word) for word in path.stem.split("-")[1:])
        try:
            # One of a later round than the ledger's is about to be asked with.
            asked = site.ledger.final_fetch(campaign, site.account).round >= number
            over = asked and standing_round(site, campaign) != number
        except LedgerRefusal:
            continue  # Of another chain.
        if over:
            erase_request_key(site, campaign, 0, number)


def forget_evaluations(site: Site) -> None:
    """Erase one-time keys of evaluations that are over: their candidates can't be opened again.

    Raises:
        UnavailableError: The ledger does not answer.
    """
    for slot, attempt in _slots_of(site, "evaluation-*-*-*.key"):
        if slot.state.ended or slot.attempt > attempt:
            erase_offered_key(site, slot.campaign, slot.number, attempt)


def _slots_of(site: Site, pattern: str) -> Iterator[tuple[SlotView, int]]:
    """Slots of which such a file lies here, and the attempt that it is of."""
    for path in sorted(site.work.glob(pattern)):
        campaign, number, attempt = (int(word) for word in path.stem.split("-")[1:])
        try:
            yield site.ledger.slot(campaign, number), attempt
        except LedgerRefusal:
            continue  # Of another chain: whatever it is, this one can't say that it is over.


def clear_when_idle(site: Site) -> None:
    """Clear at the start or the end of a process, unless another one is at this site's turn."""
    try:
        with Lease(site.turn, campaign=0, slot=0, purpose="clearing up"):
            clear_ended_slots(site)
    except LeaseHeldError:
        return
