"""After a skip: see that the ledger's head is the previous model, whole in the store."""

from __future__ import annotations

from cdistrim.iteration import IterationRef
from cdistrim.restore import verify_restored_head
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["verify_head"]


@step(retries=5)
def verify_head(ref: IterationRef) -> str:
    """The name of the model that is the head again."""
    return verify_restored_head(bound_site(), ref)
