"""Backups and restores that are killed before each of their writes.

Run as ``python -m tests.killed_backup backup SITE ROOT`` or ``restore FILE ROOT``: a process is
forked that does it into ``ROOT/1`` and kills itself before its first change of the file system,
another one into ``ROOT/2`` before its second, and so on until one comes to its end. Prints the
number of that one. The passphrase comes from the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cdistrim.backup import back_up, restore
from cdistrim.site import Site

__all__ = ["main"]

_CHANGES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _changes(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & _WRITES)
    return event in _CHANGES


def _fork(number: int, deed: Callable[[], object]) -> bool:
    """Whether the deed came to its end."""
    child = os.fork()
    if child == 0:
        left = number

        def kill(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            if _changes(event, arguments):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(kill)
        deed()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.waitstatus_to_exitcode(status) == 0, f"run {number} failed"
    return True


def main(what: str, source: Path, root: Path) -> int:
    """The number of the first run that came to its end."""
    number = 0
    while True:
        number += 1
        target = root / str(number)
        if what == "backup":
            done = _fork(number, lambda target=target: back_up(Site(source), target))  # type: ignore[misc]
        else:
            done = _fork(number, lambda target=target: restore(source, target))  # type: ignore[misc]
        if done:
            return number


if __name__ == "__main__":
    sys.dont_write_bytecode = True  # Or imports would count as changes.
    sys.stdout.write(f"{main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))}\n")
