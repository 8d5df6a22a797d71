"""Measure head and candidate on this site's own cases."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["evaluate"]


@step(retries=0)
def evaluate(ref: IterationRef) -> None:
    """Measure head and candidate on this site's own cases."""
    session_of(bound_site(), ref).evaluate()
