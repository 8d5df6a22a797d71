"""Reports on openings: what the requester of a model tells all partners, and what follows from it.

Any partner can put a capsule of a model on the ledger, and who has not the model's key can't see
whether it shares that key. Whoever opens the head has it, checks the capsules that others added,
and says which ones are right. So an added capsule counts for the question who could open the head
only if so many vouch for it that at least one of them is honest. Openings of the final model count
like those of a head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdistrim.custody import capsules, holders_of, prefix, read_signed, threshold_of
from cdistrim.envelope import DataKey, account_of
from cdistrim.errors import BadDealingError
from cdistrim.messages import MOST_VOUCHED, OpeningReport
from cdistrim.opening import Gathered
from cdistrim.protocol import CampaignState, CampaignView, ModelRecord, SlotView

if TYPE_CHECKING:
    from cdistrim.capsule import Capsule
    from cdistrim.site import Site

__all__ = [
    "Vouched",
    "report_opening",
    "reports_on",
    "reports_on_final",
    "vouched_capsules",
]


def _place(slot: int, attempt: int) -> str:
    """Of the final model the round is in the report: readers need not know how many there were."""
    return f"{slot}-{attempt}" if slot else "final"


def report_opening(
    site: Site,
    campaign: int,
    record: ModelRecord,
    gathered: Gathered,
    key: DataKey | None,
    *,
    slot: int,
    attempt: int,
) -> None:
    """Tell all partners, through the store, whose shares were good, junk or missing.

    Args:
        record: The head's.
        key: The head's key; None if it did not open.
        slot: This site's own, in which it was granted the head; 0 for the final model.
        attempt: In which it asked; of the final model the round.
    """
    found = capsules(site, campaign, record) if key is not None else iter(())
    sound = [each.digest() for each in found if key is not None and _is_sound(site, each, key)]
    report = OpeningReport(
        model=gathered.capsule.context,
        capsule=gathered.capsule.digest(),
        requester=site.account,
        slot=slot,
        attempt=attempt,
        opened=key is not None,
        good=tuple(sorted(gathered.good)),
        bad=gathered.bad,
        missing=gathered.missing,
        sound=tuple(sound[:MOST_VOUCHED]),
    ).signed(site.keys)
    where = prefix(site, site.account, campaign, "openings", _place(slot, attempt))
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
    yield from _reports(site, slot.campaign, slot.owner, slot.number, slot.fetch_attempt)


def reports_on_final(site: Site, campaign: int, requester: str) -> Iterator[OpeningReport]:
    """What a partner says of its openings of the final model, of all rounds, in no order."""
    yield from _reports(site, campaign, requester, 0, 0)


def _reports(
    site: Site, campaign: int, requester: str, slot: int, attempt: int
) -> Iterator[OpeningReport]:
    where = prefix(site, requester, campaign, "openings", _place(slot, attempt))
    for report in read_signed(site, where, OpeningReport, requester):
        if report.slot == slot:
            yield report


@dataclass(frozen=True)
class Vouched:
    """A capsule of the head, how many partners vouch for it, and how many it takes.

    ``needed`` is 0 for the one that was accepted with the model, which needs nobody's word;
    ``known`` says that this site has made or checked it itself.
    """

    capsule: Capsule
    by: int
    needed: int
    known: bool = False

    @property
    def counts(self) -> bool:
        """Whether it shares the head's key for certain, as this site sees it."""
        return self.known or self.lacking == 0

    @property
    def lacking(self) -> int:
        """How many more partners have to vouch before it counts for all."""
        return max(0, self.needed - self.by)


def vouched_capsules(site: Site, view: CampaignView, head: ModelRecord) -> Iterator[Vouched]:
    """The head's capsules, each with who vouches for it.

    One that was added shares the head's key for certain once so many partners say so that they
    can't all be of the few who may be dishonest.
    """
    partners = {account_of(each) for each in holders_of(view)}
    enough = len(partners) - threshold_of(view, len(partners)) + 1
    vouchers: dict[bytes, set[str]] = {}
    for added in site.ledger.added_capsules(view.number, head.slot):
        vouchers.setdefault(added.capsule_hash, set()).add(account_of(added.partner))
    if vouchers:
        for report in _reports_since(site, view, head):
            for digest in set(report.sound) & set(vouchers):
                vouchers[digest].add(report.requester)
    me = account_of(site.account)
    for capsule in capsules(site, view.number, head):
        by = vouchers.get(capsule.digest(), set()) & partners
        needed = 0 if capsule.digest() == head.capsule_hash else enough
        yield Vouched(capsule, len(by), needed, known=me in by)


def _reports_since(site: Site, view: CampaignView, head: ModelRecord) -> Iterator[OpeningReport]:
    """What was said of the openings since a model became the head."""
    for number in range(head.slot + 1, (view.slot.number if view.slot else view.slots) + 1):
        yield from reports_on(site, site.ledger.slot(view.number, number))
    if view.state is CampaignState.COMPLETED:
        for partner in sorted(holders_of(view)):
            yield from reports_on_final(site, view.number, partner)
