"""After a vote on an upload: stay for the next slot's fetch, which follows within seconds."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import await_next_fetch as wait
from tasks.boundary import step

__all__ = ["await_next_fetch"]


@step(retries=5, shown=False)
def await_next_fetch(ref: IterationRef) -> IterationRef | None:
    """The slot whose fetch waits for this site's vote; None if none does."""
    slot = wait(bound_site(), ref)
    return None if slot is None else IterationRef(slot.campaign, slot.number, slot.attempt)
