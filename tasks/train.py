"""Train the head on this site's cases; the last epoch's loss."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["train"]


@step(retries=0)
def train(ref: IterationRef) -> float:
    """Train the head on this site's cases; the last epoch's loss."""
    return session_of(bound_site(), ref).train()
