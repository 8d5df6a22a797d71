"""Serving flows to a Prefect server that is trusted with nothing and may be away.

Flows are served by ``Runner.aadd_flow`` under their module paths: the runner keeps the flow it was
given in memory, so what a caller of the server's API changes in a deployment (entrypoint, path,
pull steps, job variables) is not run. A work pool or ``prefect.serve`` would run it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import (
    ConcurrencyLimitConfig,
    ConcurrencyLimitStrategy,
    State,
    StateType,
)
from prefect.client.schemas.responses import SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

__all__ = ["Service", "serve"]

CHECK_VARIABLE = "CDISTRIM_REGISTRATION_CHECK_SECONDS"
"""Environment variable: seconds between two looks whether the deployments exist (default 30)."""

RECONNECT_S = 10.0

SCHEDULE = "command-line"
"""Slug of the schedule that was given at the start; others were made in the UI."""

_UNFINISHED = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]


@dataclass(frozen=True)
class Service:
    """What one process serves.

    Args:
        name: Of the runner and of each deployment.
        flows: To be served, one deployment each.
        runs_at_once: How many child processes may work at the same time.
        cron: Schedule (UTC) of every flow; empty for none.
        alone: Whether a run that finds another one at work is cancelled.
        unfinished: Whether there is work to go on with at the start; then a run of each flow is
            scheduled.
    """

    name: str
    flows: Sequence[Flow[..., Any]]
    runs_at_once: int
    cron: str = ""
    alone: bool = False
    unfinished: Callable[[], bool] = lambda: False

    @property
    def deployments(self) -> tuple[str, ...]:
        """Names of the deployments, ``flow/name``."""
        return tuple(f"{flow.name}/{self.name}" for flow in self.flows)


async def serve(service: Service, say: Callable[[str], None]) -> None:
    """Serve until a deployment was deleted at the server; a server that is away is waited for.

    Args:
        service: What to serve.
        say: Told of trouble, a line at a time; goes to a log on this disk.
    """
    while True:
        try:
            gone = await _serve_once(service)
        except ObjectNotFound:
            gone = True  # Between registering and serving.
        except Exception as error:  # noqa: BLE001  client and runner raise groups of all kinds
            # The site minds the ledger meanwhile: this process must live on.
            gone = False
            say(f"Serving is interrupted ({type(error).__name__}); trying again")
        if gone:
            say("A deployment was deleted at the Prefect server")
            return
        await asyncio.sleep(RECONNECT_S)


class _Runner(Runner):
    """A runner that SIGTERM ends: Prefect's own handler calls a coroutine without awaiting it."""

    def handle_sigterm(self, *_args: object, **_kwargs: object) -> None:
        """End the process; its runs are lost, and settled by the next start."""
        sys.exit(0)


async def _serve_once(service: Service) -> bool:
    """Register and run; whether it ended because a deployment is gone."""
    runner = _Runner(name=service.name, limit=service.runs_at_once, pause_on_shutdown=False)
    only_one = ConcurrencyLimitConfig(
        limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
    )
    registered = {
        await runner.aadd_flow(
            flow,
            name=service.name,
            schedule=Cron(service.cron, slug=SCHEDULE) if service.cron else None,
            concurrency_limit=only_one if service.alone else None,
            tags=[service.name],
            entrypoint_type=EntrypointType.MODULE_PATH,
        ): f"{flow.name}/{service.name}"
        for flow in service.flows
    }
    async with get_client() as client:
        if not service.cron:
            await _remove_schedules(client, list(registered))
        await _settle_lost_runs(client, list(registered))
        if service.unfinished():
            for deployment in registered:
                await client.create_flow_run_from_deployment(deployment)
        serving = asyncio.create_task(runner.start())
        watching = asyncio.create_task(_until_gone(client, registered))
        try:
            await asyncio.wait({serving, watching}, return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            return watching.done()
        finally:
            for child in multiprocessing.active_children():
                child.terminate()  # What it did is on the ledger.
            watching.cancel()
            serving.cancel()
            await asyncio.gather(serving, watching, return_exceptions=True)


async def _remove_schedules(client: PrefectClient, deployments: list[UUID]) -> None:
    """Remove what an earlier start was given; schedules made in the UI stay."""
    for deployment in deployments:
        for schedule in await client.read_deployment_schedules(deployment):
            if schedule.slug == SCHEDULE:
                await client.delete_deployment_schedule(deployment, schedule.id)


async def _settle_lost_runs(client: PrefectClient, deployments: list[UUID]) -> None:
    """Runs of a former process, which nobody drives any more, would stay "running" for ever."""
    lost = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=deployments)),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNFINISHED))
        ),
    )
    for run in lost:
        crashed: State[Any] = Crashed(message="Its process was lost; the ledger has what it did.")
        # Not by force at first: the server's rules free the deployment for the next run.
        answer = await client.set_flow_run_state(run.id, crashed)
        if answer.status is not SetStateStatus.ACCEPT:
            await client.set_flow_run_state(run.id, crashed, force=True)


async def _until_gone(client: PrefectClient, registered: Mapping[UUID, str]) -> None:
    """Return once a deployment is missing, or another one has its name."""
    while True:
        await asyncio.sleep(float(os.environ.get(CHECK_VARIABLE, "30")))
        for number, name in registered.items():
            try:
                if (await client.read_deployment_by_name(name)).id != number:
                    return
            except ObjectNotFound:
                return
            except Exception:  # noqa: BLE001, S112  the runner has its own patience with an absent server
                continue
