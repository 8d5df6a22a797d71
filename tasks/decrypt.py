"""Open the head into memory and report it on the ledger."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["decrypt"]


@step(retries=8)
def decrypt(ref: IterationRef) -> None:
    """Open the head into memory and report it on the ledger."""
    session_of(bound_site(), ref).decrypt()
