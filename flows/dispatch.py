"""How the coordinator gets a site to do its duty: in this process, or through its agent.

A dispatch is a nudge. Whether a duty was done is read off the ledger, never off a run's state.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from cdistrim.grants import has_offered
from cdistrim.leftovers import clear_when_idle
from cdistrim.protocol import Deed, Duty
from cdistrim.releasing import owes_release
from cdistrim.site import bound_site, site_bound_to
from flows.cast_votes import cast_votes
from flows.convene import convene
from flows.enrol import enrol
from flows.partner_iteration import partner_iteration
from flows.restore_and_skip import restore_and_skip
from tasks.boundary import guarded

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

    from cdistrim.site import Site

__all__ = [
    "DEED_FLOWS",
    "Agents",
    "Dispatcher",
    "Embedded",
    "bound_dispatcher",
    "dispatching_with",
    "done_along_the_way",
]

DEED_FLOWS: Mapping[Deed, Callable[..., object]] = {
    Deed.CONVENE: convene,
    Deed.ENROL: enrol,
    Deed.ITERATE: partner_iteration,
    Deed.VOTE: cast_votes,
    Deed.RELEASE: cast_votes,
    Deed.OFFER: cast_votes,
    Deed.CLOSE: restore_and_skip,
}
"""Which flow does which deed; sites serve exactly these."""


class Dispatcher(Protocol):
    """Gets duties done."""

    def dispatch(self, duty: Duty) -> None:
        """See that the site works on its duty; harmless if it does already."""

    def finish(self) -> None:
        """Wait for what still runs in this process."""


class Embedded:
    """One process plays all sites, e.g. in the demo: each duty in a thread of its own.

    Args:
        sites: Directory of each site, by account.

    The sites share the cores here, so no more of them vote at a time than are needed to decide a
    ballot. An error at a site ends the campaign flow: the demo shows it, and a rerun continues.
    """

    def __init__(self, sites: Mapping[str, Path]) -> None:
        self._sites = dict(sites)
        self._threads: dict[str, threading.Thread] = {}
        self._latest: dict[str, threading.Thread] = {}
        self._voting: list[threading.Thread] = []
        self._failure: BaseException | None = None

    def dispatch(self, duty: Duty) -> None:
        """Run the duty's flow here, once.

        Raises:
            SiteFailure: A duty failed, this one or one that was dispatched before.
        """
        if self._failure is not None:
            raise self._failure
        # One thing at a time at a site; what is due twice comes up again at the next look.
        if duty.key in self._threads or self._busy(duty.partner):
            return
        if duty.spare and any(thread.is_alive() for thread in self._voting):
            return
        context = contextvars.copy_context()
        thread = threading.Thread(
            target=context.run, args=(self._work, duty), name=duty.key, daemon=True
        )
        self._threads[duty.key] = thread
        self._latest[duty.partner] = thread
        if duty.deed is Deed.VOTE:
            self._voting = [one for one in self._voting if one.is_alive()] + [thread]
        thread.start()

    def _busy(self, partner: str) -> bool:
        thread = self._latest.get(partner)
        return thread is not None and thread.is_alive()

    def finish(self) -> None:
        """Wait for sites to publish and clean up.

        Raises:
            SiteFailure: A duty failed.
        """
        for thread in self._threads.values():
            thread.join()
        if self._failure is not None:
            raise self._failure
        for directory in self._sites.values():
            with site_bound_to(directory):
                guarded("clearing up", lambda: clear_when_idle(bound_site()))

    def _run(self, duty: Duty) -> None:
        with site_bound_to(self._sites[duty.partner]):
            if self._done(duty):
                return
            DEED_FLOWS[duty.deed](duty.campaign, duty.slot, duty.attempt)

    @staticmethod
    def _done(duty: Duty) -> bool:
        """Whether a vote has done it along the way: the ledger knows nothing of it."""
        return guarded(duty.deed.value, lambda: done_along_the_way(bound_site(), duty))

    def _work(self, duty: Duty) -> None:
        try:
            self._run(duty)
        except BaseException as error:  # noqa: BLE001  handed to the campaign's own thread
            self._failure = error


@dataclass
class _Calls:
    """A site's calls for one duty.

    Attributes:
        run: What the last one became; None where no answer told.
        number: Of the run, from 0. A call without an answer is repeated with the number it had:
            the server may have made the run all the same, and makes no second one then.
        count: How many there were.
        at: When the last one was, in the clock's seconds.
    """

    run: UUID | None = None
    number: int = 0
    count: int = 0
    at: float = 0.0

    def may_be_repeated(self, now: float) -> bool:
        """Whether the last one had time for its effect to show on the ledger."""
        return not self.count or now - self.at >= min(2.5 * 2.0**self.count, 120.0)


def done_along_the_way(site: Site, duty: Duty) -> bool:
    """Whether a duty was done together with another one, of which the ledger knows nothing."""
    which = (site, duty.campaign, duty.slot, duty.attempt)
    if duty.deed is Deed.RELEASE:
        return not owes_release(*which, duty.opener)
    return duty.deed is Deed.OFFER and has_offered(*which)


PATIENCE_S = {Deed.RELEASE: 5.0, Deed.OFFER: 5.0}
"""Seconds that a duty may stand before it is sent: whoever has just voted does these by itself."""


class Agents:
    """Sites run their own agents; a duty becomes a run of the site's deployment.

    Args:
        names: Name of each partner, by account; deployments are called ``flow/name``.
        clock: Seconds, monotonic.

    The idempotency key carries a number, since Prefect returns the same run for a key even when it
    is over. A run that ended although the duty stands is sent again, with backoff.
    """

    def __init__(
        self, names: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._names = dict(names)
        self._clock = clock
        self._seen: dict[str, float] = {}
        self._calls: dict[str, _Calls] = {}

    def dispatch(self, duty: Duty) -> None:
        """Schedule a run at the site's agent; trouble with one agent stops nobody else."""
        name = self._names.get(duty.partner)
        now = self._clock()
        stands = now - self._seen.setdefault(duty.key, now)
        if name is None or stands < PATIENCE_S.get(duty.deed, 0.0):
            return
        calls = self._calls.setdefault(duty.key, _Calls())
        if not calls.may_be_repeated(now):
            return
        try:
            if calls.run is not None:
                if not _is_over(calls.run):
                    return
                calls.run, calls.number = None, calls.number + 1
            calls.run = self._send(duty, name, calls.number)
        except (PrefectException, httpx.HTTPError) as error:
            # No deployment yet, or the server is busy or away: the site minds the ledger by itself.
            get_run_logger().warning("%s can't be called now: %s", name, type(error).__name__)
        calls.count += 1
        calls.at = self._clock()

    def finish(self) -> None:
        """Nothing runs here."""

    @staticmethod
    def _send(duty: Duty, name: str, number: int) -> UUID:
        flow = getattr(DEED_FLOWS[duty.deed], "name", "")
        run = run_deployment(
            name=f"{flow}/{name}",
            parameters={"campaign": duty.campaign, "slot": duty.slot, "attempt": duty.attempt},
            timeout=0,
            idempotency_key=f"{duty.key}/{number}",
        )
        # Typed for both worlds; in a synchronous flow it is the run itself.
        return cast("FlowRun", run).id


def _is_over(run: UUID) -> bool:
    with get_client(sync_client=True) as client:
        try:
            state = client.read_flow_run(run).state
        except ObjectNotFound:
            return True  # Somebody deleted it.
    return state is None or state.is_final()


_dispatcher: ContextVar[Dispatcher | None] = ContextVar("cdistrim_dispatcher", default=None)


@contextmanager
def dispatching_with(dispatcher: Dispatcher) -> Iterator[None]:
    """Make ``dispatcher`` the one that campaign flows in this context use.

    Heartbeats tell a server that a flow's process lives. Where all flows share this process they
    are off: stopping one costs every flow a second. (So does reading Prefect's settings again a
    tenth, hence once and not for each flow; the threads of :class:`Embedded` take on the context.)
    """
    token = _dispatcher.set(dispatcher)
    heartbeats_off = (
        temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
        if isinstance(dispatcher, Embedded)
        else nullcontext()
    )
    try:
        with heartbeats_off:
            yield
    finally:
        _dispatcher.reset(token)


def bound_dispatcher() -> Dispatcher | None:
    """The dispatcher of this context, None where agents are meant."""
    return _dispatcher.get()
