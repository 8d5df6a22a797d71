"""Seal the head's key to the slot's owner, once its fetch is granted on the ledger."""

from __future__ import annotations

from cdistrim import progress
from cdistrim.custody import release_head_key
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import observe
from tasks.boundary import step

__all__ = ["release_key"]


@step(retries=5, shown=False)
def release_key(ref: IterationRef) -> bool:
    """Whether this call released; False without a grant, or if this site is no custodian."""
    site = bound_site()
    released = release_head_key(site, observe(site.ledger, ref.campaign))
    if released:
        progress.listener().step(ref.slot, site.name, "release_key")
    return released
