"""Wait until enough holders have released their shares of the head's key to this slot."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import await_shares as wait
from tasks.boundary import step

__all__ = ["await_shares"]


@step(retries=5)
def await_shares(ref: IterationRef) -> bool:
    """Whether there are enough; False once the slot's time is over."""
    return wait(bound_site(), ref)
