"""Seal this site's share of the head's key to the slot's owner, once its fetch is granted."""

from __future__ import annotations

from cdistrim import progress
from cdistrim.iteration import IterationRef
from cdistrim.releasing import release_share as release
from cdistrim.site import bound_site
from cdistrim.watch import await_token, observe
from tasks.boundary import step

__all__ = ["release_share"]


@step(retries=5, shown=False)
def release_share(ref: IterationRef) -> bool:
    """Whether this call released; False without a grant, or if this site holds no share."""
    site = bound_site()
    await_token(site, ref)
    released = release(site, observe(site.ledger, ref.campaign))
    if released:
        progress.listener().step(ref.slot, site.name, "release_share")
    return released
