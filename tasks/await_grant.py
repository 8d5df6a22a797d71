"""Wait until the slot's owner has granted this site the candidate that it shall measure."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import await_grant as wait
from tasks.boundary import step

__all__ = ["await_grant"]


@step(retries=5, shown=False)
def await_grant(ref: IterationRef) -> bool:
    """Whether it was granted, or there is nothing to wait for."""
    return wait(bound_site(), ref)
