"""What a site leaves undone in a campaign whose spec its operator refused.

A refusal is an answer: nothing failed, and nothing is tried again. Votes stay due, and are no. So
do shares of models that others were granted: a holder owes them whatever it voted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim.protocol import CampaignState, CampaignView, Deed, Duty
from cdistrim.site import SpecAnswer

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["declines", "refusal_sentence"]

_NEEDS_APPROVAL = frozenset({Deed.ENROL, Deed.ITERATE, Deed.OFFER})
"""Deeds that run the campaign's code on the site's data, or lead to that."""


def declines(site: Site, view: CampaignView, duty: Duty) -> bool:
    """Whether a duty of this site is left undone, since its operator refused the campaign."""
    return duty.deed in _NEEDS_APPROVAL and _is_refused(site, view)


def refusal_sentence(site: Site, view: CampaignView) -> str:
    """What follows from a refusal for this site's part in a campaign; empty if nothing does."""
    if view.state.ended or site.account not in view.order or not _is_refused(site, view):
        return ""
    told = f"campaign {view.number}: refused here; "
    if view.enrolment(site.account) is not None:
        return f"{told}{site.name} votes no, and its turns pass at their deadlines"
    if view.state is CampaignState.ENROLLING:
        return f"{told}{site.name} does not enrol"
    return ""


def _is_refused(site: Site, view: CampaignView) -> bool:
    return site.answer_to(view.spec_hash) is SpecAnswer.REFUSED
