"""What a site owes a partner's slot: its vote on an open ballot, its key after the grant."""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.iteration import IterationRef
from flows.parameters import Number, run_name
from tasks.release_key import release_key
from tasks.vote import vote

__all__ = ["cast_votes"]


@flow(
    name="cast_votes",
    flow_run_name=run_name,
    persist_result=False,
    log_prints=False,
)
def cast_votes(campaign: Number, slot: Number, attempt: Number) -> bool | None:
    """Vote if a ballot waits for this site; release the head's key if the fetch is granted."""
    ref = IterationRef(campaign, slot, attempt)
    answer = vote(ref)
    # The vote itself may have granted the fetch.
    release_key(ref)
    return answer
