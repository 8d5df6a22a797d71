"""What a site owes a partner's slot: its vote on an open ballot, its share after the grant."""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.iteration import IterationRef
from flows.parameters import Number, run_name
from tasks.answer_requests import answer_requests
from tasks.await_next_fetch import await_next_fetch
from tasks.offer_key import offer_key
from tasks.release_share import release_share
from tasks.vote import vote

__all__ = ["cast_votes"]


@flow(
    name="cast_votes",
    flow_run_name=run_name,
    persist_result=False,
    log_prints=False,
)
def cast_votes(campaign: Number, slot: Number, attempt: Number) -> bool | None:
    """Vote where a ballot waits for this site; release its share if the fetch is granted.

    An evaluator offers a one-time key before it is asked: the trainer grants the candidate to it.
    Whoever voted on an upload stays for the next slot's fetch: to be called again takes longer.
    """
    ref = IterationRef(campaign, slot, attempt)
    offer_key(ref)
    answer = _vote_and_release(ref)
    answer_requests(ref)
    if answer is not None and (following := await_next_fetch(ref)) is not None:
        _vote_and_release(following)
        offer_key(following)
    return answer


def _vote_and_release(ref: IterationRef) -> bool | None:
    answer = vote(ref)
    # The vote itself, or the next one's, may have granted the fetch.
    release_share(ref)
    return answer
