"""Answer the open ballot of a slot, if it waits for this site."""

from __future__ import annotations

from cdistrim import progress
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.voting import answer_ballot
from cdistrim.watch import await_grant, observe
from tasks.boundary import step

__all__ = ["vote"]


@step(retries=5)
def vote(ref: IterationRef) -> bool | None:
    """The vote that was cast; None if no ballot waits for this site."""
    site = bound_site()
    # An evaluator votes on what it was granted; that may take the trainer a moment.
    await_grant(site, ref)
    view = observe(site.ledger, ref.campaign)
    answer = answer_ballot(site, view)
    if answer is None:
        return None
    # The ledger may have moved on since this was called: told is the slot that was voted on.
    slot = view.slot.number if view.slot else ref.slot
    progress.listener().vote(slot, site.name, answer.approve, answer.sentence)
    return answer.approve
