"""After a skip: remove what the iteration left at its owner's site."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["discard_candidate"]


@step(retries=2)
def discard_candidate(ref: IterationRef) -> None:
    """Weights leave memory, local copies the disk; the ledger and the store keep the evidence."""
    session_of(bound_site(), ref).close()
