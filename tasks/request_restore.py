"""Ask the partners to go back to the head's parent, since the head can't be opened here."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.restore import ask_restore
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["request_restore"]


@step(retries=5)
def request_restore(ref: IterationRef) -> bool:
    """Whether the partners were asked, now or before."""
    return ask_restore(bound_site(), ref)
