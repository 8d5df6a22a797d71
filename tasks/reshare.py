"""Share the keys of head and ancestors anew, if members came, went, or replaced their keys."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["reshare"]


@step(retries=5, shown=False)
def reshare(ref: IterationRef) -> list[str]:
    """Names of the models whose keys were shared anew."""
    return session_of(bound_site(), ref).reshare()
