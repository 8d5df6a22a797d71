"""The coordinator's service: the campaign flow, on a schedule if one is given.

Served like the sites' flows, as a module path. It holds no key: the worst that whoever controls it
or the server can do is to schedule nothing, and then sites act by themselves.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from prefect.runner import Runner
from prefect.types.entrypoint import EntrypointType

from cdistrim.coordinator import COORDINATOR_VARIABLE, bound_coordinator
from flows.campaign import campaign

__all__ = ["serve_coordinator"]


def serve_coordinator(directory: Path, *, cron: str = "") -> None:
    """Serve the campaign flow until the process is told to stop.

    Raises:
        ConfigurationError: ``coordinator.json`` is missing or invalid.
        LedgerUnavailableError: The chain does not answer.
    """
    os.environ[COORDINATOR_VARIABLE] = str(directory.resolve())
    bound_coordinator().ledger.members()
    asyncio.run(_serve(cron))


async def _serve(cron: str) -> None:
    runner = Runner(name="coordinator", limit=1, pause_on_shutdown=False)
    await runner.aadd_flow(
        campaign,
        name="coordinator",
        cron=cron or None,
        # A scheduled campaign that finds the last one still running has nothing to add.
        concurrency_limit=1,
        entrypoint_type=EntrypointType.MODULE_PATH,
        description="Drives the open campaign, or asks the convener to open the next one.",
    )
    await runner.start()
