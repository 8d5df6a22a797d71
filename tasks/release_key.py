"""Seal the head's key to the slot's owner, once its fetch is granted on the ledger."""

from __future__ import annotations

from cdistrim.custody import release_head_key
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import observe
from tasks.boundary import step

__all__ = ["release_key"]


@step(retries=5)
def release_key(ref: IterationRef) -> bool:
    """Whether this call released; False without a grant, or if this site is no custodian."""
    site = bound_site()
    return release_head_key(site, observe(site.ledger, ref.campaign))
