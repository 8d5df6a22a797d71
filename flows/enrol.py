"""A site enrols in a campaign that names it."""

# Served flows travel to their process by value: annotations must be objects, not names to look up
# (so no `from __future__ import annotations` here).
from prefect import flow

from cdistrim.iteration import IterationRef
from flows.parameters import Number, run_name
from tasks.enrol import enrol as enrol_task

__all__ = ["enrol"]


@flow(name="enrol", flow_run_name=run_name, persist_result=False, log_prints=False)
def enrol(campaign: Number, slot: Number = 0, attempt: Number = 0) -> None:
    """Enrol this site; harmless if it is enrolled."""
    enrol_task(IterationRef(campaign, slot, attempt))
