"""One partner's turn, from the fetch token to the accepted (or refused) model.

Runs at the slot's owner. Reads as the procedure of the paper's figures 2 and 3; each step asks the
ledger first, so a rerun passes over what is done and continues.
"""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.errors import UnopenableHeadError
from cdistrim.iteration import IterationRef, session_of
from cdistrim.protocol import BallotKind, SlotState
from cdistrim.site import bound_site
from flows.artifacts import publish_iteration
from flows.parameters import Number, run_name
from flows.restore_and_skip import restore_and_skip
from tasks.await_ballot import await_ballot
from tasks.await_restart import await_restart
from tasks.await_shares import await_shares
from tasks.boundary import SiteFailure, guarded
from tasks.confirm import confirm
from tasks.decrypt import decrypt
from tasks.deposit import deposit
from tasks.encrypt import encrypt
from tasks.evaluate import evaluate
from tasks.fetch import fetch
from tasks.lock import lock
from tasks.request_restore import request_restore
from tasks.request_token import request_token
from tasks.request_upload import request_upload
from tasks.reshare import reshare
from tasks.train import train

__all__ = ["partner_iteration"]


@flow(
    name="partner_iteration",
    flow_run_name=run_name,
    persist_result=False,
    log_prints=False,
)
def partner_iteration(campaign: Number, slot: Number, attempt: Number) -> str:
    """Run or continue a slot of this site; what came of it, in a few words."""
    ref = IterationRef(campaign, slot, attempt)
    session = guarded("partner_iteration", lambda: session_of(bound_site(), ref))
    guarded("partner_iteration", session.begin)
    try:
        state = _ask_and_train(ref)
        if state in (SlotState.UPLOAD_REQUESTED, SlotState.UPLOAD_GRANTED):
            state = _see_it_decided(ref)
        if state in (SlotState.UPLOAD_GRANTED, SlotState.ACCEPTED):
            outcome = f"accepted: {confirm(ref)}"
        elif state is SlotState.WAITING:
            return "starts over: the head could not be opened and was restored"
        else:
            outcome = f"skipped; the head is {restore_and_skip(campaign, slot, attempt)}"
        publish_iteration(ref)
        guarded("partner_iteration", session.tell_outcome)
        return outcome
    finally:
        guarded("partner_iteration", session.close)


def _ask_and_train(ref: IterationRef) -> SlotState:
    """From the fetch token to the open upload ballot; the state that the slot is in then."""
    try:
        request_token(ref)
        state = await_ballot(ref, BallotKind.FETCH)
        if state not in (SlotState.FETCH_GRANTED, SlotState.TRAINING):
            return state
        _open_head(ref)
    except SiteFailure as failure:
        if failure.code != UnopenableHeadError.__name__ or not request_restore(ref):
            raise
        guarded("partner_iteration", session_of(bound_site(), ref).release_weights)
        return SlotState.WAITING if await_restart(ref) else SlotState.SKIPPED
    train(ref)
    if _reported(ref):
        evaluate(ref)
    else:
        _evaluate_and_deposit(ref)
    request_upload(ref)
    return SlotState.UPLOAD_REQUESTED


def _evaluate_and_deposit(ref: IterationRef) -> None:
    """Both at once, since neither needs the other: the partners wait for less.

    The candidate lies in quarantine before anybody is asked: evaluators open it.
    """
    measured = evaluate.submit(ref)
    try:
        encrypt(ref)
        deposit(ref)
    finally:
        measured.wait()  # What measures needs the weights: they don't leave memory before.
    measured.result()


def _see_it_decided(ref: IterationRef) -> SlotState:
    """From the open upload ballot to its end."""
    session = session_of(bound_site(), ref)
    if not _reported(ref):
        # Weights leave memory and the lease is free before the partners take their time.
        guarded("partner_iteration", session.release_weights)
    state = await_ballot(ref, BallotKind.UPLOAD)
    if state is SlotState.UPLOAD_GRANTED:
        if session.candidate is None:
            # The process was lost while it waited: training again gives the same weights.
            _open_head(ref)
            train(ref)
            evaluate(ref)
        encrypt(ref)
        deposit(ref)
    return state


def _open_head(ref: IterationRef) -> None:
    fetch(ref)
    lock(ref)
    await_shares(ref)
    decrypt(ref)
    reshare(ref)


def _reported(ref: IterationRef) -> bool:
    return guarded("partner_iteration", session_of(bound_site(), ref).reported)
