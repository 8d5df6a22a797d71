"""Enrol this site in a campaign: number of cases, data commitment, evaluator role."""

from __future__ import annotations

from cdistrim.enrolment import enrol as enrol_site
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site
from tasks.boundary import step

__all__ = ["enrol"]


@step(retries=5)
def enrol(ref: IterationRef) -> None:
    """Check spec, approval and data, then enrol; nothing happens if it is enrolled already."""
    enrol_site(bound_site(), ref.campaign)
