"""Releasing shares: what holders of a model's key owe whoever was granted the fetch.

A holder seals its share to the requester's one-time key, through the store, without a transaction:
only after the grant is on the ledger, until the step's deadline, and whatever it voted itself. (A
share sent with the vote would let a requester with a private accomplice open below quorum; a
release by those who voted yes alone would let one of them block. protocol.md, "Keys")
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.custody import capsules, own_share, prefix
from cdistrim.documents import MAX_DOCUMENT
from cdistrim.errors import SealError
from cdistrim.messages import Release
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord, SlotState, SlotView
from cdistrim.resharing import due_for_resharing
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["has_released", "release_share"]


def release_share(site: Site, view: CampaignView) -> bool:
    """Seal this site's share of the head to the requester, if its fetch was granted.

    So does it with shares of ancestors whose keys the requester has to share anew. Does nothing
    where the grant is not on the ledger or its time is over, where this site holds no share, or
    where it released already. Returns whether this call released.

    Raises:
        IntegrityError: The requester's public key in the store is not the one on the ledger.
    """
    slot = view.slot
    if slot is None or not _may_release(site, view, slot):
        return False
    if has_released(site, view.number, slot.number, slot.attempt):
        return False
    public = site.store.get(
        prefix(site, view.number, "requests", f"{slot.number}-{slot.attempt}"),
        slot.request_key_digest,
        limit=MAX_DOCUMENT,
    )
    head = site.ledger.model(view.number, view.head)
    due = [record for record in due_for_resharing(site, view) if record.slot != view.head]
    released: list[bytes] = []
    # The head's last: once the requester has that, it does not wait for the others.
    for record in (*reversed(due), head):
        for release in _releases(site, view, slot, record, public):
            where = _release_prefix(site, view.number, slot.number, slot.attempt)
            released.append(site.store.put(where, release.to_bytes()).digest)
    if released:
        path = _released_path(site, view.number, slot.number, slot.attempt)
        write_atomically(path, b"".join(released))
    return bool(released)


def _releases(
    site: Site, view: CampaignView, slot: SlotView, record: ModelRecord, public: bytes
) -> Iterator[Release]:
    """This site's share of a model's key, from each capsule in which it holds one."""
    for capsule in capsules(site, view.number, record):
        try:
            share = own_share(site, view.number, record, capsule)
        except SealError as error:
            site.logger.warning("No share of %s to release: %s", record.name, error)
            continue
        yield Release.seal(
            share,
            capsule,
            public,
            holder=site.account,
            requester=slot.owner,
            slot=slot.number,
            attempt=slot.attempt,
        ).signed(site.keys)


def _may_release(site: Site, view: CampaignView, slot: SlotView) -> bool:
    return (
        slot.state is SlotState.FETCH_GRANTED
        and view.head != GENESIS
        and slot.owner != site.account
        and view.now <= slot.deadline
        and not view.removals_pending
    )


def has_released(site: Site, campaign: int, slot: int, attempt: int) -> bool:
    """Whether this site released for that slot, and the store still has what it released."""
    path = _released_path(site, campaign, slot, attempt)
    if not path.exists():
        return False
    digests = path.read_bytes()
    where = _release_prefix(site, campaign, slot, attempt)
    return all(site.store.exists(where, digests[i : i + 32]) for i in range(0, len(digests), 32))


def _released_path(site: Site, campaign: int, slot: int, attempt: int) -> Path:
    """Where this site remembers what it released: anybody could put junk in its name."""
    return site.memory / "released" / f"{campaign}-{slot}-{attempt}"


def _release_prefix(site: Site, campaign: int, slot: int, attempt: int) -> str:
    return prefix(site, campaign, "releases", f"{slot}-{attempt}", site.account)
