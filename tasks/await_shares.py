"""Wait until enough holders have released their shares of the head's key to this slot."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from cdistrim.waiting import tell_of_shares
from tasks.boundary import step

__all__ = ["await_shares"]


@step(retries=5)
def await_shares(ref: IterationRef) -> None:
    """Return once there are enough; fail when half of the time is over, so that a restore can be
    asked for in the other half."""
    tell_of_shares(bound_site(), ref)
    session_of(bound_site(), ref).await_shares()
