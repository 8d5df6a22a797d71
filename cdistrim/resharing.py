"""Sharing keys anew when members come, go, or replace their sealing keys.

A model's key was shared among those who were partners then. So that head and ancestors stay
openable by who is a partner *now*, whoever is granted the head shares their keys anew in its slot:
it has the head's key, and holders release their shares of those ancestors, too, that are due. What
is due everybody reads off ledger and store. New capsules are put on the ledger (`CapsuleAdded`);
old ones stay valid, so that nobody can take a key away by sharing it badly.

A removal *waits* for that: an honest site approves it only if head and ancestors of all campaigns
can be opened by those who stay (:func:`stranded`). On the ledger a removal takes effect at once.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.capsule import Capsule
from cdistrim.custody import (
    capsules,
    ciphertext,
    holders_of,
    own_share,
    prefix,
    read_messages,
    record_context,
    threshold_of,
)
from cdistrim.envelope import DataKey, account_of
from cdistrim.errors import (
    BadDealingError,
    IntegrityError,
    LedgerRefusal,
    SealError,
    UntrustedDataError,
)
from cdistrim.grants import offers_prefix
from cdistrim.messages import OfferedKey, OpeningReport
from cdistrim.opening import find_key, gather
from cdistrim.opening_reports import reports_on, vouched_capsules
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    CampaignView,
    ModelRecord,
    SlotView,
)
from cdistrim.sealing import public_digest
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = [
    "MOST_AT_ONCE",
    "Custody",
    "custody_of",
    "due_for_resharing",
    "future_holders",
    "reshare",
    "stranded",
]

MOST_AT_ONCE = 25
"""Models whose keys are shared anew in one slot. Each is a transaction of the slot's owner, and a
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


def reshare(site: Site, view: CampaignView, slot: SlotView, head: DataKey) -> list[str]:
    """Share the keys of head and ancestors anew where that is due; the names of these models.

    An ancestor of which too few holders released a good share stays as it is: the next slot's owner
    tries again.

    Args:
        slot: This site's own, in which it was granted the head.
        head: The head's key.
    """
    done = []
    holders = future_holders(site, view)
    due = due_for_resharing(site, view)
    newest = site.ledger.model(view.number, view.head)
    if newest not in due and not _is_shared_well(site, view, newest, holders, head):
        due = [newest, *due]
    for record in due:
        key = head if record.slot == view.head else _released_key(site, view, record, slot)
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
    site: Site, view: CampaignView, record: ModelRecord, slot: SlotView
) -> DataKey | None:
    """The key of an ancestor, if enough holders have released good shares of it."""
    try:
        at = {"slot": slot.number, "attempt": slot.fetch_attempt}
        found = gather(site, view.number, record, **at)
        envelope = ciphertext(site, view.number, record)
    except UntrustedDataError as error:
        site.logger.warning("%s can't be opened: %s", record.name, error)
        return None
    opened = find_key(site, view.number, record, found, envelope)
    return opened[0] if opened is not None else None


# --- who could open what --------------------------------------------------------------------------


@dataclass(frozen=True)
class Custody:
    """Who can open a model, by its best capsule.

    Args:
        model: Its name.
        threshold: How many holders have to release their shares.
        able: Holders who are partners, and nothing below is so.
        doubtful: Holders who are partners but have replaced the key that their share is sealed to
            (an old one may still open it), sent junk at the latest opening, or were not there.
        gone: Holders who are no partners any more.
    """

    campaign: int
    model: str
    threshold: int
    able: frozenset[str]
    doubtful: frozenset[str]
    gone: frozenset[str]

    @property
    def spare(self) -> int:
        """How many of the able ones may fail and the model still opens; below 0 it does not."""
        return len(self.able) - self.threshold


def custody_of(site: Site, view: CampaignView, *, without: str = "") -> Iterator[Custody]:
    """Who could open the head and each ancestor of a campaign, were ``without`` removed."""
    if view.head == GENESIS:
        return
    members = {account_of(each.account): each.sealing_key for each in site.ledger.members()}
    partners = {account_of(each) for each in holders_of(view)} - {without.lower()}
    keys = {account: public_digest(key) for account, key in members.items() if account in partners}
    suspects = _suspects(site, view)
    for record in site.ledger.lineage(view.number, view.head):
        counting = (
            vouched_capsules(site, view, record)
            if record.slot == view.head
            else capsules(site, view.number, record)
        )
        found = [_custody(view.number, record, capsule, keys, suspects) for capsule in counting]
        if found:
            yield max(found, key=lambda one: one.spare)
        else:
            nobody: frozenset[str] = frozenset()
            yield Custody(view.number, record.name, 1, nobody, nobody, nobody)


def _custody(
    campaign: int,
    record: ModelRecord,
    capsule: Capsule,
    keys: Mapping[str, bytes],
    suspects: Mapping[str, bytes],
) -> Custody:
    holders = frozenset(capsule.holders)
    gone = holders - set(keys)
    doubtful = frozenset(
        each
        for each in holders & set(keys)
        if capsule.holders[each].key != keys[each]
        or capsule.holders[each].key == suspects.get(each)
    )
    return Custody(
        campaign, record.name, capsule.threshold, holders - doubtful - gone, doubtful, gone
    )


def _suspects(site: Site, view: CampaignView) -> dict[str, bytes]:
    """Holders whose share was junk at the campaign's latest opening, or who were not there.

    Who opens a head does not wait for more shares than it takes. So it is no fault to be missing
    for who showed in that slot that it is there: by a vote, or by offering a key.

    Returns:
        By account, the digest of the sealing key that the share was sealed to: who has replaced
        that key since may be able again.
    """
    for number in range(view.slot.number if view.slot else view.slots, 0, -1):
        slot = site.ledger.slot(view.number, number)
        if not slot.fetch_attempt:
            continue
        for report in reports_on(site, slot):
            reported = _capsule_in(site, view.number, report)
            if reported is not None:
                absent = set(report.missing) - _seen_in(site, slot, report.missing)
                failed = {*report.bad, *absent} & set(reported.holders)
                return {each: reported.holders[each].key for each in failed}
    return {}


def _seen_in(site: Site, slot: SlotView, accounts: Iterable[str]) -> set[str]:
    """Which of these accounts (in lower case) voted in a slot, or offered a key for it."""
    fetch = BallotId(BallotKind.FETCH, slot.campaign, slot.number, slot.fetch_attempt, slot.owner)
    ballots = (site.ledger.ballot(fetch), slot.ballot)
    seen = {
        account_of(vote.partner)
        for ballot in ballots
        if ballot is not None
        for vote in ballot.votes
    }
    for account in set(accounts) - seen:
        where = offers_prefix(site, account, slot.campaign, slot.number, slot.attempt)
        for offer in read_messages(site, where, OfferedKey):
            try:
                offer.require_author(account)
            except IntegrityError:
                continue
            seen.add(account)
            break
    return seen & set(accounts)


def _capsule_in(site: Site, campaign: int, report: OpeningReport) -> Capsule | None:
    """The capsule that an opening was of; None if the report says what can't be."""
    try:
        record = site.ledger.model(campaign, report.model.slot)
    except LedgerRefusal:
        return None
    found = capsules(site, campaign, record)
    return next((each for each in found if each.digest() == report.capsule), None)


def stranded(site: Site, account: str) -> list[Custody]:
    """Models that those who stay could not open if a member were removed now.

    Args:
        account: Whose removal is thought of; empty for nobody's.
    """
    found = []
    for number in range(1, site.ledger.campaigns() + 1):
        view = site.ledger.campaign(number)
        if view.state in (CampaignState.RUNNING, CampaignState.COMPLETED):
            found += [one for one in custody_of(site, view, without=account) if one.spare < 0]
    return found
