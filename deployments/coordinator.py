"""The coordinator's service: the campaign flow, on a schedule if one is given.

Served like the sites' flows, see :mod:`deployments.service`. It holds no key: the worst that
whoever controls it or the server can do is to schedule nothing, and then sites act by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from cdistrim.coordinator import COORDINATOR_VARIABLE, bound_coordinator
from cdistrim.errors import UsageError
from deployments.service import Service, serve
from flows.campaign import campaign

__all__ = ["check_cron", "serve_coordinator"]

_logger = logging.getLogger(__name__)


def serve_coordinator(directory: Path, *, cron: str = "") -> None:
    """Serve the campaign flow until its deployment is gone or the process is told to stop.

    One campaign runs at a time: a run that finds another one at work is cancelled. A campaign that
    is open at the start, since a former process was stopped or lost, is continued.

    Raises:
        SystemExit: With exit code 1, since the deployment was deleted at the server.
        UsageError: The schedule is no cron expression.
        ConfigurationError: ``coordinator.json`` is missing or invalid.
        LedgerUnavailableError: The chain does not answer.
    """
    check_cron(cron)
    os.environ[COORDINATOR_VARIABLE] = str(directory.resolve())
    bound_coordinator().ledger.members()
    service = Service(
        "coordinator",
        (campaign,),
        runs_at_once=2,
        cron=cron,
        alone=True,
        unfinished=lambda: bound_coordinator().open_campaign() is not None,
    )
    asyncio.run(serve(service, _logger.warning))
    raise SystemExit(1)


def check_cron(cron: str) -> None:
    """See that ``cron`` is empty or a schedule.

    Raises:
        UsageError: It is neither.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        if cron:
            CronSchedule(cron=cron)
    except ValidationError:
        raise UsageError(
            f"--cron {cron!r} is no schedule.",
            hint="Give five fields, e.g. '0 2 * * 6' for Saturdays at 2:00 UTC.",
        ) from None
