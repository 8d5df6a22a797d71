"""Sharing keys anew when members come, go, or replace their sealing keys.

A model's key was shared among those who were partners then. So that head and ancestors stay
openable by who is a partner *now*, whoever is granted the head shares their keys anew in its slot:
it has the head's key, and holders release their shares of those ancestors, too, that are due. What
is due everybody reads off ledger and store. New capsules are put on the ledger (`CapsuleAdded`);
old ones stay valid, so that nobody can take a key away by sharing it badly.

A completed campaign has no next slot: whoever opens its final model does the same.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.capsule import Capsule
from cdistrim.custody import (
    capsules,
    ciphertext,
    holders_of,
    own_share,
    prefix,
    record_context,
    threshold_of,
)
from cdistrim.envelope import DataKey, account_of
from cdistrim.errors import BadDealingError, SealError, UntrustedDataError
from cdistrim.opening import find_key, gather
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord
from cdistrim.sealing import public_digest
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["MOST_AT_ONCE", "due_for_resharing", "future_holders", "reshare"]

MOST_AT_ONCE = 25
"""Models whose keys are shared anew at one opening. Each is a transaction of who opens, and a
member that replaces its key all the time must not make that dear."""


def future_holders(site: Site, view: CampaignView) -> dict[str, bytes]:
    """Who shall hold shares from now on: the campaign's partners, with their present keys.

    Returns:
        Public sealing keys by account, in lower case.
    """
    partners = holders_of(view)
    return {
        account_of(member.account): member.sealing_key
        for member in site.ledger.members()
        if member.account in partners
    }


def _is_current(capsule: Capsule, holders: Mapping[str, bytes], threshold: int) -> bool:
    return capsule.threshold == threshold and {
        account: sealed.key for account, sealed in capsule.holders.items()
    } == {account: public_digest(key) for account, key in holders.items()}


def _is_due(site: Site, view: CampaignView, record: ModelRecord, holders: dict[str, bytes]) -> bool:
    """Whether no capsule of a model shares its key among exactly these holders.

    One that names this site without a share for it does not count: whoever made it dealt badly.
    """
    mark = _mark_path(site, view.number, record.slot, holders)
    if mark.exists():
        return False
    threshold = threshold_of(view, len(holders))
    for capsule in capsules(site, view.number, record):
        if not _is_current(capsule, holders, threshold):
            continue
        try:
            if capsule.holds(site.account):
                own_share(site, view.number, record, capsule)
        except SealError:
            continue
        write_atomically(mark, b"", durable=False)
        return False
    return True


def _mark_path(site: Site, campaign: int, slot: int, holders: Mapping[str, bytes]) -> Path:
    """Where a site remembers that a model's key is shared among these: it needn't look again."""
    digest = hashlib.sha256()
    for account, key in sorted(holders.items()):
        digest.update(account.encode() + public_digest(key))
    return site.memory / "shared" / f"{campaign}-{slot}-{digest.hexdigest()[:16]}"


def due_for_resharing(site: Site, view: CampaignView) -> list[ModelRecord]:
    """Head and ancestors whose keys have to be shared anew, the newest first, some at a time."""
    if view.head == GENESIS:
        return []
    holders = future_holders(site, view)
    lineage = site.ledger.lineage(view.number, view.head)
    due = (record for record in lineage if _is_due(site, view, record, holders))
    return list(itertools.islice(due, MOST_AT_ONCE))


def reshare(site: Site, view: CampaignView, head: DataKey, *, slot: int, attempt: int) -> list[str]:
    """Share the keys of head and ancestors anew where that is due; the names of these models.

    An ancestor of which too few holders released a good share stays as it is: whoever is granted
    the head next tries again.

    Args:
        head: The head's key.
        slot: This site's own, in which it was granted the head; 0 for the final model.
        attempt: In which it asked; of the final model the round.
    """
    done = []
    holders = future_holders(site, view)
    due = due_for_resharing(site, view)
    newest = site.ledger.model(view.number, view.head)
    if newest not in due and not _is_shared_well(site, view, newest, holders, head):
        due = [newest, *due]
    for record in due:
        key = head if record.slot == view.head else _released_key(site, view, record, slot, attempt)
        if key is None:
            site.logger.warning("Too few shares of %s to share its key anew", record.name)
            continue
        context = record_context(site, view.number, record)
        capsule = Capsule.seal(key, holders, threshold_of(view, len(holders)), context)
        where = prefix(site, site.account, view.number, "capsules", record.name)
        put = site.store.put(where, capsule.to_bytes())
        site.ledger.add_capsule(campaign=view.number, slot=record.slot, capsule_hash=put.digest)
        done.append(record.name)
    return done


def _is_shared_well(
    site: Site, view: CampaignView, record: ModelRecord, holders: dict[str, bytes], key: DataKey
) -> bool:
    """Whether some current capsule of a model, whose key is known here, was dealt well."""
    threshold = threshold_of(view, len(holders))
    for capsule in capsules(site, view.number, record):
        if not _is_current(capsule, holders, threshold):
            continue
        try:
            capsule.shares(key)
        except BadDealingError as error:
            site.logger.warning("The key of %s was shared anew badly: %s", record.name, error)
            continue
        return True
    return False


def _released_key(
    site: Site, view: CampaignView, record: ModelRecord, slot: int, attempt: int
) -> DataKey | None:
    """The key of an ancestor, if enough holders have released good shares of it."""
    try:
        found = gather(site, view.number, record, slot=slot, attempt=attempt)
        envelope = ciphertext(site, view.number, record)
    except UntrustedDataError as error:
        site.logger.warning("%s can't be opened: %s", record.name, error)
        return None
    opened = find_key(site, view.number, record, found, envelope)
    return opened[0] if opened is not None else None
