"""The processes of a consortium on one machine: started, started again, stopped without a rest.

Every process, and whatever it starts, carries :data:`MARK` with the consortium's directory in its
environment. So a part that was killed, or a whole ``cdistrim up`` that was, leaves nothing behind
that the next start would not find.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["MARK", "Parts"]

MARK = "CDISTRIM_UP"
"""Environment variable that names the directory a process belongs to."""

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
STEADY_S = 60.0
"""A part that lived this long is started again without much of a pause."""

STOP_S = 15.0


@dataclass
class _Part:
    arguments: list[str]
    process: subprocess.Popen[bytes]
    started: float
    pause: float = FIRST_PAUSE_S
    ended: float | None = field(default=None)


class Parts:
    """Child processes by name; each runs a module of the installed package in its own session.

    Args:
        directory: Of the consortium; logs go to ``log/`` in it.
        environment: What the processes get in addition to :data:`MARK`.
        say: Told what happens, a line at a time.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._directory = directory.resolve()
        self._say = say
        self._parts: dict[str, _Part] = {}
        # A profile or key of the user's own Prefect must not reach a local consortium.
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
        }
        self._environment = inherited | dict(environment) | {MARK: str(self._directory)}

    def launch(self, name: str, arguments: list[str]) -> None:
        """Start ``python ARGUMENTS``; the working directory does not get onto its path."""
        log_directory = self._directory / "log"
        log_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (log_directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own modules
                [sys.executable, "-P", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C at a terminal is for `cdistrim up` to handle.
            )
        self._parts[name] = _Part(arguments, process, time.monotonic())

    def alive(self, name: str) -> bool:
        """Whether a part runs."""
        return self._parts[name].process.poll() is None

    def pids(self) -> dict[str, int]:
        """Process id of each part, by name."""
        return {name: part.process.pid for name, part in self._parts.items()}

    def restart_ended(self) -> None:
        """Start again what has ended, as systemd would: with its leftovers gone, after a pause."""
        now = time.monotonic()
        for name, part in list(self._parts.items()):
            code = part.process.poll()
            if code is None:
                continue
            if part.ended is None:
                part.ended = now
                self.sweep(session=part.process.pid)
                if now - part.started > STEADY_S:
                    part.pause = FIRST_PAUSE_S
                self._say(f"{name} ended with {code}; starting it again in {part.pause:g} s")
            if now - part.ended >= part.pause:
                self.launch(name, part.arguments)
                self._parts[name].pause = min(2 * part.pause, LONGEST_PAUSE_S)

    def stop(self, *, last: str = "") -> None:
        """End all parts at once, and whatever they left; ``last`` when the others are gone."""
        for names in (set(self._parts) - {last}, set(self._parts) & {last}):
            for name in names:
                self._parts[name].process.terminate()
            end = time.monotonic() + STOP_S
            for name in names:
                part = self._parts[name]
                with suppress(subprocess.TimeoutExpired):
                    part.process.wait(max(0.0, end - time.monotonic()))
                self.sweep(session=part.process.pid)
                part.process.wait()
        self._parts.clear()
        self.sweep()

    def sweep(self, *, session: int = 0) -> int:
        """Kill what carries this consortium's mark; how many there were.

        Args:
            session: Only what belongs to this session, i.e. to the part that leads it; 0 for all.
        """
        killed: set[int] = set()
        end = time.monotonic() + STOP_S
        while time.monotonic() < end:
            for pid in self._marked_in(session):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            if all(map(_is_dead, killed)):
                break
            time.sleep(0.02)
        return len(killed)

    def _marked_in(self, session: int) -> list[int]:
        found = []
        for pid in self.marked():
            with suppress(ProcessLookupError):
                if session in (0, os.getsid(pid)):
                    found.append(pid)
        return found

    def marked(self) -> list[int]:
        """Processes that carry this consortium's mark, without this one."""
        mark = f"{MARK}={self._directory}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # Gone, or somebody else's.
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return sorted(set(found) - {os.getpid()})


def _is_dead(pid: int) -> bool:
    """Whether a killed process has let go of its files and ports; its parent may still ask.

    The first thread of a killed process may be dead while others still hold its files.
    """
    process = Path(f"/proc/{pid}")
    try:
        # The name in brackets may contain anything; the state is the first field after it.
        ended = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        return ended and len(list((process / "task").iterdir())) <= 1
    except (OSError, IndexError):
        return True
