"""A member opens a campaign from the spec that lies at its site, e.g. on a coordinator's schedule.

The server names no spec and no partner: what is opened was written by the site's own operator.
"""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.iteration import IterationRef
from flows.parameters import Number, run_name
from tasks.open_campaign import open_campaign

__all__ = ["convene"]


@flow(name="convene", flow_run_name=run_name, persist_result=False, log_prints=False)
def convene(campaign: Number, slot: Number = 0, attempt: Number = 0) -> int:
    """Open campaign number ``campaign``, unless it exists; its number."""
    return open_campaign(IterationRef(campaign, slot, attempt))
