"""Sites that are awake: they answer what a completed campaign asks of them, as agents would."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from cdistrim.releasing import release_share
from cdistrim.requests import answer_requests
from cdistrim.site import Site
from cdistrim.watch import observe

__all__ = ["awake"]


@contextmanager
def awake(*sites: Site, release: bool = True) -> Iterator[None]:
    """These sites do what the ledger asks of them, as their agents would."""
    over = threading.Event()

    def act() -> None:
        mine = [Site(site.directory) for site in sites]
        while not over.wait(0.05):
            for site in mine:
                list(answer_requests(site, observe(site.ledger, 1)))
                if release:
                    release_share(site, observe(site.ledger, 1))

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
