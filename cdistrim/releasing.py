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
from cdistrim.opening import place_of
from cdistrim.protocol import CampaignView, GrantedFetch, ModelRecord
from cdistrim.resharing import due_for_resharing
from cdistrim.site import write_atomically
from cdistrim.watch import observe

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["has_released", "owes_release", "release_share"]


def release_share(site: Site, view: CampaignView) -> bool:
    """Seal this site's shares to those whose fetch was granted: of the head, or the final model.

    So does it with shares of ancestors whose keys the requester has to share anew. Does nothing
    where no grant is on the ledger or its time is over, where this site holds no share, or where it
    released already. Returns whether this call released.

    Raises:
        IntegrityError: The requester's public key in the store is not the one on the ledger.
    """
    released = [_release(site, view, fetch) for fetch in view.granted_fetches()]
    return any(released)


def _release(site: Site, view: CampaignView, fetch: GrantedFetch) -> bool:
    if fetch.requester == site.account or has_released(site, view.number, fetch):
        return False
    public = site.store.get(
        prefix(site, fetch.requester, view.number, "requests", place_of(fetch)),
        fetch.request_key_digest,
        limit=MAX_DOCUMENT,
    )
    model = site.ledger.model(view.number, fetch.model)
    due = reversed(due_for_resharing(site, view))
    ancestors = [record for record in due if record.slot != fetch.model]
    where = prefix(site, site.account, view.number, "releases", place_of(fetch))
    # The model's own last: once the requester has that, it does not wait for the others.
    released = [
        site.store.put(where, release.to_bytes()).digest
        for record in (*ancestors, model)
        for release in _releases(site, view.number, fetch, record, public)
    ]
    if released:
        write_atomically(_released_path(site, view.number, fetch), b"".join(released))
    return bool(released)


def _releases(
    site: Site, campaign: int, fetch: GrantedFetch, record: ModelRecord, public: bytes
) -> Iterator[Release]:
    """This site's share of a model's key, from each capsule in which it holds one."""
    for capsule in capsules(site, campaign, record):
        try:
            share = own_share(site, campaign, record, capsule)
        except SealError as error:
            site.logger.warning("No share of %s to release: %s", record.name, error)
            continue
        yield Release.seal(
            share,
            capsule,
            public,
            holder=site.account,
            requester=fetch.requester,
            slot=fetch.slot,
            attempt=fetch.attempt,
        ).signed(site.keys)


def has_released(site: Site, campaign: int, fetch: GrantedFetch) -> bool:
    """Whether this site released for a fetch, and the store still has what it released."""
    path = _released_path(site, campaign, fetch)
    if not path.exists():
        return False
    digests = path.read_bytes()
    where = prefix(site, site.account, campaign, "releases", place_of(fetch))
    return all(site.store.exists(where, digests[i : i + 32]) for i in range(0, len(digests), 32))


def owes_release(site: Site, campaign: int, slot: int, attempt: int, requester: str) -> bool:
    """Whether a fetch is granted, and this site has not released its share for it yet.

    Args:
        slot: The requester's; 0 for the final model, and ``attempt`` then the round.
        requester: Account; empty for whoever owns the slot.
    """
    view = observe(site.ledger, campaign)
    return any(
        (fetch.slot, fetch.attempt) == (slot, attempt)
        and requester in ("", fetch.requester)
        and not has_released(site, campaign, fetch)
        for fetch in view.granted_fetches()
    )


def _released_path(site: Site, campaign: int, fetch: GrantedFetch) -> Path:
    """Where this site remembers what it released: anybody could put junk in its name."""
    return site.memory / "released" / f"{campaign}-{place_of(fetch)}"
