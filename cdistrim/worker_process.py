"""Processes of a pool: they leave Ctrl-C to their parent, and end when it does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from contextlib import suppress

__all__ = ["begin_worker", "end_workers"]


def begin_worker() -> None:
    """The first that a process of a pool does; for ``initializer`` of an executor.

    A terminal sends Ctrl-C to all processes at once: the parent alone answers it, or each would
    print a traceback. Where the parent is killed there is nobody to work for.
    """
    with suppress(ValueError):  # Not the main thread: then this is no process of its own.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:

        def follow() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=follow, daemon=True).start()


def end_workers() -> None:
    """End all processes that this one has begun, in the middle of their work."""
    for child in multiprocessing.active_children():
        child.terminate()
