"""Reports on openings: what the requester of a head tells all partners, and what follows from it.

Any partner can put a capsule of a model on the ledger, and who has not the model's key can't see
whether it shares that key. Whoever opens the head has it, checks the capsules that others added,
and says which ones are right. So an added capsule counts for the question who could open the head
only if so many vouch for it that at least one of them is honest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdistrim.custody import capsules, holders_of, prefix, read_messages, threshold_of
from cdistrim.envelope import DataKey, account_of
from cdistrim.errors import BadDealingError, IntegrityError
from cdistrim.messages import MOST_VOUCHED, OpeningReport
from cdistrim.opening import Gathered, place_of_slot
from cdistrim.protocol import CampaignView, ModelRecord, SlotView

if TYPE_CHECKING:
    from cdistrim.capsule import Capsule
    from cdistrim.site import Site

__all__ = ["report_opening", "reports_on", "vouched_capsules"]


def report_opening(
    site: Site, slot: SlotView, record: ModelRecord, gathered: Gathered, key: DataKey | None
) -> None:
    """Tell all partners, through the store, whose shares were good, junk or missing.

    Args:
        slot: This site's own, in which it was granted the head.
        record: The head's.
        key: The head's key; None if it did not open.
    """
    found = capsules(site, slot.campaign, record) if key is not None else iter(())
    sound = [each.digest() for each in found if key is not None and _is_sound(site, each, key)]
    report = OpeningReport(
        model=gathered.capsule.context,
        capsule=gathered.capsule.digest(),
        requester=site.account,
        slot=slot.number,
        attempt=slot.fetch_attempt,
        opened=key is not None,
        good=tuple(sorted(gathered.good)),
        bad=gathered.bad,
        missing=gathered.missing,
        sound=tuple(sound[:MOST_VOUCHED]),
    ).signed(site.keys)
    where = prefix(site, site.account, slot.campaign, "openings", place_of_slot(slot))
    site.store.put(where, report.to_bytes())


def _is_sound(site: Site, capsule: Capsule, key: DataKey) -> bool:
    try:
        capsule.shares(key)
    except BadDealingError as error:
        site.logger.warning("A capsule of slot %d is bad: %s", capsule.context.slot, error)
        return False
    return True


def reports_on(site: Site, slot: SlotView) -> Iterator[OpeningReport]:
    """What a slot's owner says of the opening in it, if it says anything."""
    where = prefix(site, slot.owner, slot.campaign, "openings", place_of_slot(slot))
    for report in read_messages(site, where, OpeningReport):
        try:
            report.require_author(slot.owner)
        except IntegrityError:
            continue
        yield report


def vouched_capsules(site: Site, view: CampaignView, head: ModelRecord) -> Iterator[Capsule]:
    """The head's capsules that share its key for certain.

    That is the one that was accepted with it, those that this site has made or checked, and those
    for which so many partners vouch that they can't all be of the few who may be dishonest.
    """
    partners = {account_of(each) for each in holders_of(view)}
    enough = len(partners) - threshold_of(view, len(partners)) + 1
    vouchers: dict[bytes, set[str]] = {}
    for added in site.ledger.added_capsules(view.number, head.slot):
        vouchers.setdefault(added.capsule_hash, set()).add(account_of(added.partner))
    if vouchers:
        for number in range(head.slot + 1, (view.slot.number if view.slot else view.slots) + 1):
            for report in reports_on(site, site.ledger.slot(view.number, number)):
                for digest in set(report.sound) & set(vouchers):
                    vouchers[digest].add(report.requester)
    me = account_of(site.account)
    for capsule in capsules(site, view.number, head):
        by = vouchers.get(capsule.digest(), set()) & partners
        if capsule.digest() == head.capsule_hash or me in by or len(by) >= enough:
            yield capsule
