"""What reads foreign files fails in one way, and says nothing that stood in them.

Readers of medical formats raise whatever they like on a broken file, and warn and log with values
out of it: a name in a date's place, say. Here all of that becomes a
:class:`~cdistrim.data.scan.CaseExcluded`, which has fixed words and numbers only.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from cdistrim.data.scan import CaseExcluded, Exclusion

__all__ = ["UnreadableError", "excluding", "silence"]

P = ParamSpec("P")
T = TypeVar("T")

_TALKATIVE = ("pydicom", "nibabel", "nibabel.global", "PIL")
_counting = threading.Lock()
_readers = 0
_silenced = ExitStack()


class UnreadableError(Exception):
    """A file is not what its reader needs.

    Args:
        detail: As of :class:`~cdistrim.data.scan.CaseExcluded`: nothing out of the file but
            numbers.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def excluding(reason: Exclusion) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Have a reader raise nothing but CaseExcluded, warn of nothing, and log nothing.

    A case is never left out because memory ran out, which says nothing about it: readers allocate
    no more than the file can fill, and MemoryError passes.

    Args:
        reason: Of everything that is no CaseExcluded already.
    """

    def decorate(reader: Callable[P, T]) -> Callable[P, T]:
        @wraps(reader)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            # Raised outside of the handlers: a context would carry the foreign text along.
            with silence():
                try:
                    return reader(*args, **kwargs)
                except CaseExcluded as error:
                    excluded = CaseExcluded(error.reason, error.detail)
                except UnreadableError as error:
                    excluded = CaseExcluded(reason, error.detail)
                except MemoryError:
                    raise
                except EOFError:
                    excluded = CaseExcluded(reason, "a file ends too early")
                except Exception as error:  # noqa: BLE001 - any, from any depth of the libraries
                    excluded = CaseExcluded(reason, type(error).__name__)
            raise excluded

        return guarded

    return decorate


@contextmanager
def silence() -> Iterator[None]:
    """Neither warnings nor log records of the libraries that read files.

    Levels of loggers and filters of warnings belong to the process: the first of several threads
    sets them, the last one puts them back, and other threads' warnings are lost meanwhile.
    """
    global _readers
    with _counting:
        if not _readers:
            _silenced.enter_context(_silent_process())
        _readers += 1
    try:
        yield
    finally:
        with _counting:
            _readers -= 1
            if not _readers:
                _silenced.close()


@contextmanager
def _silent_process() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
