"""See the accepted record on the ledger; the model's name."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["confirm"]


@step(retries=5)
def confirm(ref: IterationRef) -> str:
    """See the accepted record on the ledger; the model's name."""
    return session_of(bound_site(), ref).confirm().name
