"""Ask the ledger for the fetch token."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["request_token"]


@step(retries=5)
def request_token(ref: IterationRef) -> None:
    """Ask the ledger for the fetch token."""
    session_of(bound_site(), ref).request_token()
