"""A site's agent: pulls the site's work from the Prefect server, and minds the ledger by itself.

Flows are served as module paths by ``Runner.aadd_flow``: what a caller of the server's API changes
in a deployment (entrypoint, path, pull steps, job variables) is not run. The server can still stay
silent or cancel; hence the *minder*: a duty that has stood for longer than ``grace`` seconds is
done in a process of its own, without any server. So a coordinator that never calls a site can't
starve it, and lets nobody miss a deadline.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow
from prefect.runner import Runner
from prefect.types.entrypoint import EntrypointType

from cdistrim.custody import has_released
from cdistrim.errors import CDistriMError
from cdistrim.lease import holder_of
from cdistrim.protocol import Deed, Duty, duties
from cdistrim.site import SITE_VARIABLE, Site, bound_site
from cdistrim.watch import observe, poll_seconds
from flows.dispatch import DEED_FLOWS

__all__ = ["act_once", "serve_site", "standing_duties"]

RUNS_AT_ONCE = 4
REGISTRATION_CHECK_S = 30.0

_logger = logging.getLogger(__name__)


def serve_site(directory: Path, *, grace: float) -> None:
    """Serve a site until its deployments are gone or the process is told to stop.

    Ends with exit code 1 when a deployment was deleted at the server: whoever supervises the agent
    (systemd) starts it again, and it registers anew.

    Raises:
        CDistriMError: The site is not in order: keys, data, ledger.
    """
    os.environ[SITE_VARIABLE] = str(directory.resolve())
    site = bound_site()
    # Fail now and here, not in the first run: keys, ledger and data are what every run needs.
    site.ledger.members()
    _ = site.data
    stop = threading.Event()
    minder = threading.Thread(target=_mind, args=(directory, grace, stop), daemon=True)
    minder.start()
    try:
        asyncio.run(_serve(site))
    finally:
        stop.set()
        minder.join(timeout=5)


async def _serve(site: Site) -> None:
    runner = Runner(name=site.name, limit=RUNS_AT_ONCE, pause_on_shutdown=False)
    flows = {flow.name: flow for flow in DEED_FLOWS.values() if isinstance(flow, Flow)}
    for flow in flows.values():
        await runner.aadd_flow(
            flow, name=site.name, entrypoint_type=EntrypointType.MODULE_PATH, tags=[site.name]
        )
    watch = asyncio.create_task(_end_when_gone([f"{name}/{site.name}" for name in flows]))
    serve = asyncio.create_task(runner.start())
    done, _ = await asyncio.wait({watch, serve}, return_when=asyncio.FIRST_COMPLETED)
    for ended in done:
        ended.result()


async def _end_when_gone(deployments: list[str]) -> None:
    """Return never; end the process if a deployment was deleted.

    Raises:
        SystemExit: With exit code 1.
    """
    async with get_client() as client:
        while True:
            await asyncio.sleep(REGISTRATION_CHECK_S)
            for name in deployments:
                try:
                    await client.read_deployment_by_name(name)
                except ObjectNotFound:
                    _logger.error("Deployment %s is gone; the agent ends to register anew", name)
                    raise SystemExit(1) from None
                except OSError:
                    continue  # The server is away; the runner has its own patience with that.


def standing_duties(site: Site) -> Iterator[Duty]:
    """What the ledger asks of this site now, in all campaigns that have not ended."""
    for number in range(site.ledger.campaigns(), 0, -1):
        view = observe(site.ledger, number)
        for duty in duties(view):
            if duty.partner == site.account:
                yield duty


def act_once(directory: Path) -> Iterator[str]:
    """Do what the ledger asks of the site, here and now; the keys of what was done."""
    os.environ[SITE_VARIABLE] = str(directory.resolve())
    for duty in list(standing_duties(bound_site())):
        DEED_FLOWS[duty.deed](duty.campaign, duty.slot, duty.attempt)
        yield duty.key


def _mind(directory: Path, grace: float, stop: threading.Event) -> None:
    """Look at the ledger; do in a process of its own what nobody had the site do."""
    site = Site(directory)
    since: dict[str, float] = {}
    helper: subprocess.Popen[bytes] | None = None
    while not stop.wait(poll_seconds()):
        try:
            standing = [duty for duty in standing_duties(site) if not _under_way(site, duty)]
        except CDistriMError as error:
            site.logger.warning("The minder can't read the ledger: %s", error)
            continue
        now = time.monotonic()
        since = {duty.key: since.get(duty.key, now) for duty in standing}
        overdue = [key for key, began in since.items() if now - began > grace]
        if overdue and (helper is None or helper.poll() is not None):
            site.logger.warning("Nobody called for %s; acting without the server", overdue[0])
            command = [sys.executable, "-m", "cdistrim", "site", "act", str(directory)]
            helper = subprocess.Popen(command)  # noqa: S603  our own command line
    if helper is not None and helper.poll() is None:
        helper.terminate()


def _under_way(site: Site, duty: Duty) -> bool:
    """Whether a living process of this site is at it, or there is nothing left to do."""
    if duty.deed is Deed.RELEASE:
        return has_released(site, duty.campaign, duty.slot, duty.attempt)
    holder = holder_of(site.work) if duty.deed is Deed.ITERATE else None
    # Only looked at, not tried: a try would hold the lease for a moment that somebody needs it.
    return holder is not None and Path(f"/proc/{holder.pid}").exists()
