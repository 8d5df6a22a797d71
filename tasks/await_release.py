"""Wait until a custodian has released the head's key to this slot."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import await_release as wait
from tasks.boundary import step

__all__ = ["await_release"]


@step(retries=5)
def await_release(ref: IterationRef) -> None:
    """Return once there is a release to try, or the slot's time is over."""
    wait(bound_site(), ref)
