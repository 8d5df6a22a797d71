"""A site's agent: pulls the site's work from the Prefect server, and minds the ledger by itself.

The server may stay silent, cancel, or be gone; hence the *minder* (:mod:`deployments.minder`): a
duty that has stood for longer than ``grace`` seconds is done in a process of its own, without any
server. A coordinator that never calls a site can't starve it, or make it miss a deadline.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prefect.flows import Flow

from cdistrim.leftovers import clear_when_idle
from cdistrim.progress import listener
from cdistrim.protocol import Deed, Duty
from cdistrim.site import SITE_VARIABLE, Site, bound_site
from cdistrim.waiting import duty_sentence, names_of, standing_sentences
from cdistrim.watch import observe
from deployments.minder import Minder, standing_duties
from deployments.service import Service, serve
from flows.dispatch import DEED_FLOWS
from tasks.boundary import SiteFailure, origin_of

__all__ = ["Act", "act_once", "serve_site", "waited_for"]

RUNS_AT_ONCE = 4
"""One that trains, some that wait or vote."""


def serve_site(directory: Path, *, grace: float) -> None:
    """Serve a site until its deployments are gone or the process is told to stop.

    Raises:
        SystemExit: With exit code 1, since a deployment was deleted at the server: whoever
            supervises the agent (systemd) starts it again, and it registers anew.
        CDistriMError: The site is not in order: keys, data, ledger.
    """
    os.environ[SITE_VARIABLE] = str(directory.resolve())
    _check(directory)
    clear_when_idle(bound_site())
    flows = {flow.name: flow for flow in DEED_FLOWS.values() if isinstance(flow, Flow)}
    site = bound_site()
    service = Service(site.name, tuple(flows.values()), runs_at_once=RUNS_AT_ONCE)
    stop = threading.Event()
    minder = threading.Thread(
        target=Minder(directory, grace).mind, args=(stop,), name="minder", daemon=True
    )
    minder.start()
    try:
        asyncio.run(serve(service, site.logger.warning))
    finally:
        stop.set()
        minder.join(timeout=5)
    raise SystemExit(1)


def _check(directory: Path) -> None:
    """Fail now and here, not in the first run: keys, ledger and data are what every run needs."""
    site = Site(directory)
    site.ledger.members()
    _ = site.data


@dataclass(frozen=True)
class Act:
    """A duty that was tried: what it asked, in words, and what went wrong."""

    duty: Duty
    what: str
    failure: Exception | None


def act_once(directory: Path, *, only: str = "") -> Iterator[Act]:
    """Do what the ledger asks of the site, here and now, without any agent.

    Args:
        directory: The site's.
        only: Key of the one duty to do; empty for all. Partner iterations come last: they wait for
            others.
    """
    os.environ[SITE_VARIABLE] = str(directory.resolve())
    site = bound_site()
    names = names_of(site.ledger)
    duties = sorted(standing_duties(site), key=lambda duty: duty.deed is Deed.ITERATE)
    for duty in duties:
        if only in ("", duty.key):
            what = duty_sentence(duty, observe(site.ledger, duty.campaign), names)
            listener().note(f"{site.name}: {what}")
            yield Act(duty, what, _attempt(DEED_FLOWS[duty.deed], duty))
    # One-time keys of evaluations that are over: maybe no turn of this site follows.
    clear_when_idle(site)


def waited_for(directory: Path) -> Iterator[str]:
    """What is asked of whom now, by the ledger, in campaigns that have not ended: in words."""
    site = Site(directory)
    names = names_of(site.ledger)
    for number in range(1, site.ledger.campaigns() + 1):
        yield from standing_sentences(observe(site.ledger, number), names)


def _attempt(flow: Callable[..., object], duty: Duty) -> Exception | None:
    try:
        flow(duty.campaign, duty.slot, duty.attempt)
    except SiteFailure as failure:
        # The operator of the site is allowed the full text.
        return origin_of(failure)
    return None
