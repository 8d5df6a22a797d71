"""Fix the full record on the ledger and ask for the partners' votes."""

from __future__ import annotations

from cdistrim.iteration import IterationRef, session_of
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["request_upload"]


@step(retries=5)
def request_upload(ref: IterationRef) -> None:
    """Fix the full record on the ledger and ask for the partners' votes."""
    session_of(bound_site(), ref).request_upload()
