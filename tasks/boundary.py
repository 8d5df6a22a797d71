"""The boundary between a site and the Prefect server, which is trusted with nothing.

Whatever a task or a flow raises travels to the server: message, type and traceback. So every step
is wrapped once, here: the full text goes to the site's own log, and what leaves is a
:class:`SiteFailure` with a code. Results stay in memory (no persistence, no caching), and only
trouble with a service is retried, with backoff.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from cdistrim import progress
from cdistrim.errors import CDistriMError, UnavailableError
from cdistrim.iteration import IterationRef
from cdistrim.site import bound_site

__all__ = ["SiteFailure", "guarded", "origin_of", "step"]

P = ParamSpec("P")
R = TypeVar("R")


class SiteFailure(Exception):
    """What the Prefect server gets to know of a failure at a site: step, slot, code.

    Attributes:
        code: Name of the error's class.
        exit_code: The exit code of the error behind it.
        retryable: Whether a retry may help.
    """

    def __init__(self, where: str, code: str, *, exit_code: int, retryable: bool) -> None:
        super().__init__(f"{code} in {where}; the full text is in the site's own log.")
        self.code = code
        self.exit_code = exit_code
        self.retryable = retryable


_origins: WeakKeyDictionary[SiteFailure, Exception] = WeakKeyDictionary()
# Beside the failures, not in them: whatever hangs on an exception travels to the server with it.


def origin_of(failure: SiteFailure) -> Exception:
    """The error in this process behind a failure, for the site's own terminal."""
    return _origins.get(failure, failure)


def guarded(where: str, call: Callable[[], R]) -> R:
    """Run ``call``; keep the text of what it raises here and let a code out.

    Raises:
        SiteFailure: ``call`` raised anything.
    """
    try:
        return call()
    except SiteFailure:
        raise
    except CDistriMError as error:
        origin: Exception = error
        bound_site().logger.exception("%s failed", where)
        failure = SiteFailure(
            where,
            error.code,
            exit_code=error.exit_code,
            retryable=isinstance(error, UnavailableError),
        )
    except Exception as error:  # noqa: BLE001  anything may come out of a third party's code
        origin = error
        bound_site().logger.exception("%s failed unexpectedly", where)
        failure = SiteFailure(where, type(error).__name__, exit_code=1, retryable=False)
    _origins[failure] = origin
    raise failure from None


def _may_retry(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    data = state.data
    if not isinstance(data, SiteFailure) or not data.retryable:
        return False
    progress.listener().note(f"{bound_site().name}: {data} Trying again.")
    return True


def step(
    *, retries: int = 0, shown: bool = True
) -> Callable[[Callable[Concatenate[IterationRef, P], R]], Task[Concatenate[IterationRef, P], R]]:
    """Make a protocol step a Prefect task: guarded, timed, shown, retried where that is safe.

    Args:
        retries: How often to try again after trouble with a service. Only for idempotent steps.
        shown: Whether its beginning is told to the display; otherwise the step tells what it did.
    """

    def decorate(
        body: Callable[Concatenate[IterationRef, P], R],
    ) -> Task[Concatenate[IterationRef, P], R]:
        name = str(getattr(body, "__name__", "step"))

        @functools.wraps(body)
        def run(ref: IterationRef, *args: P.args, **kwargs: P.kwargs) -> R:
            site = guarded(name, bound_site)
            if shown:
                progress.listener().step(ref.slot, site.name, name)
            started = time.monotonic()
            try:
                return guarded(f"{name} of slot {ref.slot}", lambda: body(ref, *args, **kwargs))
            finally:
                seconds = time.monotonic() - started
                site.record_step(name, ref.campaign, ref.slot, ref.attempt, seconds)

        make = task(
            name=name,
            retries=retries,
            retry_delay_seconds=[min(2.0**attempt, 30.0) for attempt in range(retries)],
            retry_condition_fn=_may_retry,
            cache_policy=NO_CACHE,
            persist_result=False,
            log_prints=False,
        )
        return make(run)

    return decorate
