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
from enum import Enum
from pathlib import Path

from prefect.flows import Flow

from cdistrim.belonging import refuse_removed
from cdistrim.leftovers import clear_when_idle
from cdistrim.names import names_of
from cdistrim.progress import listener
from cdistrim.protocol import CampaignView, Deed, Duty, duties
from cdistrim.site import SITE_VARIABLE, Site, bound_site
from cdistrim.standing import seen_duties
from cdistrim.waiting import duty_sentence
from cdistrim.watch import observe
from deployments.minder import Minder
from deployments.service import Service, serve
from flows.dispatch import DEED_FLOWS, done_along_the_way
from tasks.boundary import SiteFailure, origin_of

__all__ = ["Act", "Outcome", "act_once", "outcome_of", "serve_site"]

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


class Outcome(Enum):
    """What became of a duty."""

    DONE = "done"
    FAILED = "failed"
    OVER = "over"
    """Others decided it, or its deadline passed, before this site came to it: nothing was done."""
    LEFT = "left undone, since no share of it opens here"
    """A release to which this site has nothing to give: it was dealt no share, or lost its key."""


@dataclass(frozen=True)
class Act:
    """A duty whose turn came: what it asked, in words, and what went wrong."""

    duty: Duty
    what: str
    outcome: Outcome
    failure: Exception | None = None


def act_once(directory: Path, *, only: str = "") -> Iterator[Act]:
    """Do what the ledger asks of the site, here and now, without any agent.

    Args:
        directory: The site's.
        only: Key of the one duty to do; empty for all. Partner iterations come last: they wait for
            others.

    Raises:
        ConfigurationError: The site was removed from the consortium.
    """
    os.environ[SITE_VARIABLE] = str(directory.resolve())
    site = bound_site()
    refuse_removed(site)
    names = names_of(site.ledger)
    for view, duty in sorted(seen_duties(site), key=lambda seen: seen[1].deed is Deed.ITERATE):
        if only not in ("", duty.key):
            continue
        if done_along_the_way(site, duty):
            continue  # The ledger does not see shares and offers, which lie in the store.
        what = duty_sentence(duty, view, names)
        # What came before may have taken a while.
        if all(duty.key != each.key for each in duties(observe(site.ledger, duty.campaign))):
            yield Act(duty, what, Outcome.OVER)
            continue
        listener().note(f"{site.name}: {what}")
        failure = _attempt(DEED_FLOWS[duty.deed], duty)
        outcome = Outcome.FAILED if failure else outcome_of(site, view, duty)
        yield Act(duty, what, outcome, failure)
    # One-time keys of evaluations that are over: maybe no turn of this site follows.
    clear_when_idle(site)


def outcome_of(site: Site, view: CampaignView, duty: Duty) -> Outcome:
    """What became of a duty whose flow has ended in order."""
    if duty.deed is Deed.RELEASE and not done_along_the_way(site, duty):
        return Outcome.LEFT
    if duty.deed is Deed.VOTE:
        asked = [each for each in view.requests if each.id.opener == duty.opener]
        if view.slot is not None and view.slot.ballot is not None:
            asked.append(view.slot.ballot)
        found = [each.id for each in asked if each.kind is duty.kind]
        ballots = [site.ledger.ballot(each) for each in found]
        votes = [vote.partner for ballot in ballots if ballot is not None for vote in ballot.votes]
        return Outcome.DONE if site.account in votes else Outcome.OVER
    return Outcome.DONE


def _attempt(flow: Callable[..., object], duty: Duty) -> Exception | None:
    try:
        flow(duty.campaign, duty.slot, duty.attempt)
    except SiteFailure as failure:
        # The operator of the site is allowed the full text.
        return origin_of(failure)
    return None
