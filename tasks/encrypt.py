"""Seal the candidate under a fresh key; the hash of its ciphertext."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["encrypt"]


@step(retries=5)
def encrypt(ref: IterationRef) -> str:
    """Seal the candidate under a fresh key; the hash of its ciphertext."""
    return session_of(bound_site(), ref).encrypt()
