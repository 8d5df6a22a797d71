"""How the coordinator gets a site to do its duty: in this process, or through its agent.

A dispatch is a nudge. Whether a duty was done is read off the ledger, never off a run's state.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment

from cdistrim.protocol import Deed, Duty
from cdistrim.site import site_bound_to
from flows.cast_votes import cast_votes
from flows.convene import convene
from flows.enrol import enrol
from flows.partner_iteration import partner_iteration
from flows.restore_and_skip import restore_and_skip

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

__all__ = ["DEED_FLOWS", "Agents", "Dispatcher", "Embedded", "bound_dispatcher", "dispatching_with"]

DEED_FLOWS: Mapping[Deed, Callable[..., object]] = {
    Deed.CONVENE: convene,
    Deed.ENROL: enrol,
    Deed.ITERATE: partner_iteration,
    Deed.VOTE: cast_votes,
    Deed.RELEASE: cast_votes,
    Deed.CLOSE: restore_and_skip,
}
"""Which flow does which deed; sites serve exactly these."""


class Dispatcher(Protocol):
    """Gets duties done."""

    def dispatch(self, duty: Duty) -> bool:
        """See that the site works on its duty; harmless if it does already.

        Returns whether the duty was done meanwhile, so that the ledger is worth another look.
        """

    def finish(self) -> None:
        """Wait for what still runs in this process."""


class Embedded:
    """One process plays all sites, e.g. in the demo: an iteration in a thread, the rest inline.

    Args:
        sites: Directory of each site, by account.

    An error at a site ends the campaign flow: the demo shows it, and a rerun continues.
    """

    def __init__(self, sites: Mapping[str, Path]) -> None:
        self._sites = dict(sites)
        self._done: set[str] = set()
        self._iterations: dict[str, threading.Thread] = {}
        self._failure: BaseException | None = None

    def dispatch(self, duty: Duty) -> bool:
        """Run the duty's flow here, once.

        Raises:
            SiteFailure: The duty, or the iteration that runs meanwhile, failed.
        """
        if self._failure is not None:
            raise self._failure
        if duty.key in self._done:
            return False
        self._done.add(duty.key)
        if duty.deed is Deed.ITERATE:
            context = contextvars.copy_context()
            thread = threading.Thread(
                target=context.run, args=(self._iterate, duty), name=duty.key, daemon=True
            )
            self._iterations[duty.key] = thread
            thread.start()
            return False
        self._run(duty)
        return True

    def finish(self) -> None:
        """Wait for iterations to publish and clean up.

        Raises:
            SiteFailure: One of them failed.
        """
        for thread in self._iterations.values():
            thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self, duty: Duty) -> None:
        with site_bound_to(self._sites[duty.partner]):
            DEED_FLOWS[duty.deed](duty.campaign, duty.slot, duty.attempt)

    def _iterate(self, duty: Duty) -> None:
        try:
            self._run(duty)
        except BaseException as error:  # noqa: BLE001  handed to the campaign's own thread
            self._failure = error


@dataclass
class _Sent:
    run: UUID
    count: int
    at: float


class Agents:
    """Sites run their own agents; a duty becomes a run of the site's deployment.

    Args:
        names: Name of each partner, by account; deployments are called ``flow/name``.

    The idempotency key carries a count, since Prefect returns the same run for a key even when it
    is over. A run that ended although the duty stands is sent again, with backoff.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)
        self._sent: dict[str, _Sent] = {}

    def dispatch(self, duty: Duty) -> bool:
        """Schedule a run at the site's agent; trouble with one agent stops nobody else."""
        name = self._names.get(duty.partner)
        if name is None:
            return False
        before = self._sent.get(duty.key)
        if before is not None and not self._stale(before):
            return False
        count = before.count + 1 if before else 0
        flow = getattr(DEED_FLOWS[duty.deed], "name", "")
        run = run_deployment(
            name=f"{flow}/{name}",
            parameters={
                "campaign": duty.campaign,
                "slot": duty.slot,
                "attempt": duty.attempt,
            },
            timeout=0,
            idempotency_key=f"{duty.key}/{count}",
        )
        # Typed for both worlds; in a synchronous flow it is the run itself.
        self._sent[duty.key] = _Sent(cast("FlowRun", run).id, count, time.monotonic())
        return False

    def finish(self) -> None:
        """Nothing runs here."""

    @staticmethod
    def _stale(sent: _Sent) -> bool:
        """Whether a run is over and had time for its effect to show on the ledger."""
        if time.monotonic() - sent.at < min(5.0 * 2.0**sent.count, 120.0):
            return False
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(sent.run).state
        return state is None or state.is_final()


_dispatcher: ContextVar[Dispatcher | None] = ContextVar("cdistrim_dispatcher", default=None)


@contextmanager
def dispatching_with(dispatcher: Dispatcher) -> Iterator[None]:
    """Make ``dispatcher`` the one that campaign flows in this context use."""
    token = _dispatcher.set(dispatcher)
    try:
        yield
    finally:
        _dispatcher.reset(token)


def bound_dispatcher() -> Dispatcher | None:
    """The dispatcher of this context, None where agents are meant."""
    return _dispatcher.get()
