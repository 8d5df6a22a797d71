"""Open a campaign from this site's own spec."""

from __future__ import annotations

from cdistrim.convening import convene
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["open_campaign"]


@step(retries=5)
def open_campaign(ref: IterationRef) -> int:
    """The campaign's number; nothing happens if it is on the ledger already."""
    return convene(bound_site(), ref.campaign)
