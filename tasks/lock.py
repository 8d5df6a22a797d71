"""Take the site's lease: only its holder may have weights in memory."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["lock"]


@step(retries=5)
def lock(ref: IterationRef) -> None:
    """Take the site's lease: only its holder may have weights in memory."""
    session_of(bound_site(), ref).lock()
