"""Answer requests of a campaign that are no slot's: restores, joiners, the final model."""

from __future__ import annotations

from cdistrim import progress
from cdistrim.iteration import IterationRef
from cdistrim.requests import answer_requests as answer
from cdistrim.site import bound_site
from cdistrim.watch import observe
from tasks.boundary import step

__all__ = ["answer_requests"]


@step(retries=5, shown=False)
def answer_requests(ref: IterationRef) -> int:
    """How many votes were cast."""
    site = bound_site()
    count = 0
    for ballot, opinion in answer(site, observe(site.ledger, ref.campaign)):
        progress.listener().vote(ballot.id.slot, site.name, opinion.approve, opinion.sentence)
        count += 1
    return count
