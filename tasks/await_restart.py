"""Wait until a slot whose head can't be opened starts over, ends, or has no time left."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.waiting import tell_of_restart
from cdistrim.watch import await_restart as wait
from tasks.boundary import step

__all__ = ["await_restart"]


@step(retries=5)
def await_restart(ref: IterationRef) -> bool:
    """Whether it started over, with the head restored."""
    tell_of_restart(bound_site(), ref)
    return wait(bound_site(), ref).attempt != ref.attempt
