"""A slot that brought no model: the head is the previous one again, its partner is skipped.

The contract restores and skips in the transaction that decides the ballot. This flow closes what
ran out of time, sees that the restored head is whole, and removes what the iteration left here.
"""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.iteration import IterationRef
from flows.parameters import Number, run_name
from tasks.close_expired import close_expired
from tasks.discard_candidate import discard_candidate
from tasks.verify_head import verify_head

__all__ = ["restore_and_skip"]


@flow(
    name="restore_and_skip",
    flow_run_name=run_name,
    persist_result=False,
    log_prints=False,
)
def restore_and_skip(campaign: Number, slot: Number, attempt: Number) -> str:
    """Close, verify, clean up; the name of the model that is the head again."""
    ref = IterationRef(campaign, slot, attempt)
    close_expired(ref)
    discard_candidate(ref)
    return verify_head(ref)
