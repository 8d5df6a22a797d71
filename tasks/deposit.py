"""Put the candidate into the store, where it is in quarantine."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["deposit"]


@step(retries=5)
def deposit(ref: IterationRef) -> None:
    """Put the candidate into the store, where it is in quarantine."""
    session_of(bound_site(), ref).deposit()
