"""What stands at a site now: what the ledger asks of it, what it refused, and for whom it waits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdistrim.declining import declines, refusal_sentence
from cdistrim.names import names_of
from cdistrim.protocol import CampaignView, Duty, duties
from cdistrim.waiting import standing_sentences
from cdistrim.watch import observe

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["refused_here", "seen_duties", "standing_duties", "waited_for"]


def standing_duties(site: Site) -> Iterator[Duty]:
    """What the ledger asks of this site now, but for what its operator has refused."""
    for _, duty in seen_duties(site):
        yield duty


def seen_duties(site: Site) -> Iterator[tuple[CampaignView, Duty]]:
    """The same, each with the campaign as it was seen: the newest campaign comes first.

    A former member keeps its place in a campaign's order, but the ledger takes nothing from it.
    """
    if all(member.account != site.account for member in site.ledger.members()):
        return
    for number in range(site.ledger.campaigns(), 0, -1):
        view = observe(site.ledger, number)
        for duty in duties(view):
            if duty.partner == site.account and not declines(site, view, duty):
                yield view, duty


def refused_here(site: Site) -> Iterator[str]:
    """What the operator's refusals mean for campaigns that have not ended: a sentence for each."""
    for number in range(1, site.ledger.campaigns() + 1):
        if sentence := refusal_sentence(site, observe(site.ledger, number)):
            yield sentence


def waited_for(site: Site) -> Iterator[str]:
    """What is asked of others now, by the ledger, in campaigns that have not ended: in words."""
    names = names_of(site.ledger)
    for number in range(1, site.ledger.campaigns() + 1):
        yield from standing_sentences(observe(site.ledger, number), names, but=site.account)
