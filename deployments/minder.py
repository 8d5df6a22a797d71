"""The minder: what nobody had the site do in time, it has done by itself.

It also signs what the site sees of the ledger's history, so that nobody can rewrite that unnoticed.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cdistrim.audit import keep_checkpoint
from cdistrim.errors import CDistriMError
from cdistrim.lease import is_held
from cdistrim.leftovers import forget_evaluations
from cdistrim.protocol import Deed, Duty
from cdistrim.site import Site
from cdistrim.standing import standing_duties
from cdistrim.watch import poll_seconds
from flows.dispatch import done_along_the_way

__all__ = ["CHECKPOINT_S", "LONGEST_BACKOFF", "Minder"]

HELPERS_AT_ONCE = 2
"""One may wait in a partner iteration while the other votes."""

LONGEST_BACKOFF = 2**7

CHECKPOINT_S = 600.0
"""Seconds between two looks whether there is something new to sign, at least."""


@dataclass
class _Standing:
    since: float
    tries: int = 0


class Minder:
    """Looks at the ledger; does in a process of its own what has stood for too long.

    Args:
        directory: The site's.
        grace: Seconds that a duty may stand; after a try in vain, twice as long, and so on.
        start: Starts a command.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        directory: Path,
        grace: float,
        *,
        start: Callable[[list[str]], subprocess.Popen[bytes]] = subprocess.Popen,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._site = Site(directory)
        self._grace = grace
        self._start = start
        self._clock = clock
        self._standing: dict[str, _Standing] = {}
        self._helpers: dict[str, subprocess.Popen[bytes]] = {}
        self._signed_at = -CHECKPOINT_S

    def mind(self, stop: threading.Event) -> None:
        """Look ten times in a time of grace, until told to stop."""
        while not stop.wait(max(self._grace / 10, poll_seconds())):
            try:
                self.look()
                # Old candidates stay shut even if the machine is stolen tonight.
                forget_evaluations(self._site)
                self.sign()
            except CDistriMError as error:
                self._site.logger.warning("The minder can't read the ledger: %s", error)
            except Exception:
                # Without its minder a site would depend on the server: never let it die.
                self._site.logger.exception("The minder failed")
        for helper in self._helpers.values():
            helper.terminate()

    def look(self) -> None:
        """Compare what the ledger asks with what the site is at; start helpers for the rest.

        Raises:
            UnavailableError: Ledger or store don't answer.
        """
        now = self._clock()
        keys = [d.key for d in standing_duties(self._site) if not _under_way(self._site, d)]
        self._standing = {key: self._standing.get(key, _Standing(now)) for key in keys}
        self._helpers = {key: one for key, one in self._helpers.items() if one.poll() is None}
        for key, duty in self._standing.items():
            if len(self._helpers) == HELPERS_AT_ONCE:
                return
            overdue = now - duty.since > self._grace * min(2**duty.tries, LONGEST_BACKOFF)
            if overdue and key not in self._helpers:
                duty.tries += 1
                duty.since = now
                self._site.logger.warning("Nobody called for %s; acting without the server", key)
                self._helpers[key] = self._start(self._command(key))

    def sign(self) -> None:
        """Keep a signed checkpoint if there is something new, at most every ten minutes.

        What goes wrong is logged, and tried again after that time: no duty waits for it.
        """
        now = self._clock()
        if now - self._signed_at < CHECKPOINT_S:
            return
        self._signed_at = now
        try:
            keep_checkpoint(self._site)
        except (CDistriMError, OSError) as error:
            self._site.logger.error("The checkpoint of the ledger failed: %s", error)

    def _command(self, key: str) -> list[str]:
        act = ["-P", "-m", "cdistrim", "site", "act", str(self._site.directory)]
        return [sys.executable, *act, "--duty", key]


def _under_way(site: Site, duty: Duty) -> bool:
    """Whether a living process of this site is at it, or there is nothing left to do."""
    if duty.deed in (Deed.RELEASE, Deed.OFFER):
        return done_along_the_way(site, duty)
    if duty.deed is Deed.ITERATE:
        return is_held(site.turn)
    # Who votes has the weights; who wants to vote waits until they are free.
    return duty.deed is Deed.VOTE and is_held(site.work)
