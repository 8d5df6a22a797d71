"""Wait until the partners have decided a ballot of this slot."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.protocol import BallotKind, SlotState, SlotView
from cdistrim.site import bound_site
from cdistrim.waiting import BallotTeller
from cdistrim.watch import await_ballot as wait
from tasks.boundary import step

__all__ = ["await_ballot"]


@step(retries=5)
def await_ballot(ref: IterationRef, ballot: BallotKind) -> SlotState:
    """The slot's state once the ballot is decided, or its deadline has passed.

    Meanwhile the owner fetches the head's ciphertext, or grants the candidate to late evaluators.
    """
    session, teller = session_of(bound_site(), ref), BallotTeller(bound_site())

    def meanwhile(slot: SlotView) -> None:
        teller.look(slot)
        session.while_waiting(slot)

    return wait(bound_site(), ref, ballot, meanwhile).state
