"""Parameters of flows: ids only, strictly typed. They come from a server that nobody trusts."""

from __future__ import annotations

from typing import Annotated, Any

from prefect.runtime import flow_run
from pydantic import Field

from cdistrim.site import bound_site

__all__ = ["Number", "run_name"]

Number = Annotated[int, Field(ge=0, le=2**31, strict=True)]
"""Number of a campaign, slot or attempt."""


def run_name() -> str:
    """Name of a flow run in the UI: which flow, for which slot (or campaign), at which site."""
    parameters: dict[str, Any] = flow_run.parameters
    flow = str(flow_run.flow_name).replace("_", " ")
    slot, campaign = parameters.get("slot"), parameters.get("campaign")
    return f"{flow}: {f'slot {slot}' if slot else f'campaign {campaign}'}, {bound_site().name}"
