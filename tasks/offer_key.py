"""Offer a one-time key, to which the slot's owner seals the candidate that this site measures."""

from __future__ import annotations

from cdistrim.grants import offer_key as offer
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from cdistrim.watch import observe
from tasks.boundary import step

__all__ = ["offer_key"]


@step(retries=5, shown=False)
def offer_key(ref: IterationRef) -> bool:
    """Whether this call offered; False if this site does not evaluate, or has offered before."""
    site = bound_site()
    return offer(site, observe(site.ledger, ref.campaign))
