"""Bring the head's ciphertext to this site, checked against the ledger; its hash."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["fetch"]


@step(retries=5)
def fetch(ref: IterationRef) -> str:
    """Bring the head's ciphertext to this site, checked against the ledger; its hash."""
    return session_of(bound_site(), ref).fetch()
