"""What stays behind of a slot, and its removal: at the owner's site and in its part of the store.

A slot that ends in order is cleared by its own session. A killed process can't do that, and where
the ledger decided meanwhile nobody calls the slot again; so whoever comes next at this site clears
what is over. The one-time key goes last: as long as it is there, the rest may be there, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim import custody
from cdistrim.errors import LeaseHeldError, LedgerRefusal
from cdistrim.lease import Lease
from cdistrim.protocol import SlotView, model_name

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["clear_ended_slots", "clear_slot", "clear_when_idle", "remove_checkpoint"]

_HALF_WRITTEN = (".request-*.part", ".checkpoint-*.part")


def clear_slot(site: Site, slot: SlotView) -> None:
    """Remove everything of an ended slot of this site but what the ledger names.

    In the store these are candidates of processes that were killed before they could put theirs on
    record. A site without delete rights leaves them: they are ciphertext whose key nobody has.
    """
    if not slot.state.ended or slot.owner != site.account:
        return
    name, record = model_name(site.name, slot.number), slot.candidate
    objects = {
        "models": record.ciphertext_hash if record else b"",
        "capsules": record.capsule_hash if record else b"",
    }
    for kind, recorded in objects.items():
        site.store.sweep(custody.prefix(site, slot.campaign, kind, name), keep={recorded})
    _clear_attempt(site, slot.campaign, slot.number, slot.attempt)


def remove_checkpoint(site: Site, campaign: int, slot: int, attempt: int) -> None:
    """Remove the checkpoint of an attempt in which nobody will train any more."""
    site.checkpoint(campaign, slot, attempt).unlink(missing_ok=True)


def clear_ended_slots(site: Site) -> None:
    """Clear what killed processes of this site left; for whoever holds the site's turn.

    Raises:
        UnavailableError: Ledger or store don't answer.
    """
    for half in _HALF_WRITTEN:
        for path in site.work.glob(half):
            path.unlink(missing_ok=True)
    paths = [*site.work.glob("request-*-*-*.key"), *site.work.glob("checkpoint-*-*-*.bin")]
    attempts = {tuple(int(word) for word in path.stem.split("-")[1:]) for path in paths}
    for campaign, number, attempt in sorted(attempts):
        try:
            slot = site.ledger.slot(campaign, number)
        except LedgerRefusal:
            continue  # Of another chain: whatever it is, this one can't say that it is over.
        if slot.attempt > attempt:
            _clear_attempt(site, campaign, number, attempt)
        else:
            clear_slot(site, slot)


def _clear_attempt(site: Site, campaign: int, slot: int, attempt: int) -> None:
    remove_checkpoint(site, campaign, slot, attempt)
    custody.erase_request_key(site, campaign, slot, attempt)


def clear_when_idle(site: Site) -> None:
    """Clear at the start or the end of a process, unless another one is at this site's turn."""
    try:
        with Lease(site.turn, campaign=0, slot=0, purpose="clearing up"):
            clear_ended_slots(site)
    except LeaseHeldError:
        return
