"""Close a step whose deadline has passed, so that the campaign goes on."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.restore import close_if_expired
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["close_expired"]


@step(retries=5)
def close_expired(ref: IterationRef) -> bool:
    """Whether something was closed."""
    return close_if_expired(bound_site(), ref)
