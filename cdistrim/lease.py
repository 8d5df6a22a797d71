"""The lease: one holder at a time has weights of this site in memory.

The paper locks a site's weights with portalocker so that nobody edits, retrains, loads or predicts
with them outside the protocol (section III). Here the lock lies on a sidecar file that is *never
deleted*: unlinking a locked file would let a second lock succeed on a new one. The operating system
drops it with the process, so a crashed holder blocks nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import portalocker

from cdistrim.errors import ConfigurationError, LeaseHeldError

__all__ = ["Holder", "Lease", "holder_of", "is_held"]

_LOCK = "lease.lock"
_HOLDER = "lease.json"


@dataclass(frozen=True)
class Holder:
    """Who holds a lease, and what for. ``since`` is UTC, ISO 8601."""

    pid: int
    host: str
    since: str
    campaign: int
    slot: int
    purpose: str

    def __str__(self) -> str:
        return (
            f"process {self.pid} on {self.host} since {self.since} "
            f"for slot {self.slot} of campaign {self.campaign} ({self.purpose})"
        )


def holder_of(directory: Path) -> Holder | None:
    """What the last holder wrote about itself; None if it left, or wrote nothing readable.

    Only a failed :meth:`Lease.acquire` says that it still holds: a crashed one can't clean up.
    """
    try:
        return Holder(**json.loads((directory / _HOLDER).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def is_held(directory: Path) -> bool:
    """Whether some process holds the lease now. Only looks: a try would keep others out."""
    try:
        inode = (directory / _LOCK).stat().st_ino
    except OSError:
        return False
    # Fields: number, FLOCK, ADVISORY, WRITE, pid, device:device:inode, range; see proc_locks(5).
    locks = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(
        "FLOCK" in words and word.endswith(f":{inode}") for words in locks for word in words[4:7]
    )


class Lease:
    """An exclusive lock on a site's weights, for a ``with`` block or between two calls.

    It is not reentrant: whoever asks a second time, be it the same process, thread or object, is
    refused. A forked child does not inherit it.

    Args:
        directory: Where the two sidecar files lie; made (0700) if missing.
        campaign: What the weights are wanted for, told to others who ask.
        slot: Likewise.
        purpose: Likewise, e.g. ``partner iteration``.
    """

    def __init__(self, directory: Path, *, campaign: int, slot: int, purpose: str) -> None:
        self.directory = directory
        self._wanted = (campaign, slot, purpose)
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lease."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lease at once or not at all.

        Raises:
            LeaseHeldError: Somebody has it.
            ConfigurationError: The sidecar files can't be written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"The lock file {self.directory / _LOCK} can't be opened: {error.strerror}.",
                hint="The site's directory must belong to this account and be writable.",
            ) from error
        try:
            portalocker.lock(
                descriptor, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
            )
            self._tell()
        except portalocker.AlreadyLocked:
            os.close(descriptor)
            raise LeaseHeldError(
                f"The weights at {self.directory} are in use by "
                f"{holder_of(self.directory) or 'a process that has not said who it is'}.",
                hint="Wait until it is done, or end it.",
            ) from None
        except (OSError, portalocker.LockException) as error:
            os.close(descriptor)
            raise ConfigurationError(
                f"The weights at {self.directory} can't be locked: {error}.",
                hint="Put the site's directory on a local file system that is writable and has "
                "space.",
            ) from error
        self._descriptor = descriptor
        _held.add(self)

    def release(self) -> None:
        """Give the lease back; harmless if it is not held."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        _held.discard(self)
        try:
            (self.directory / _HOLDER).unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def __enter__(self) -> Lease:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def _tell(self) -> None:
        """Say who holds; written while the lock is held, read by anybody."""
        campaign, slot, purpose = self._wanted
        since = datetime.now(UTC).isoformat(timespec="seconds")
        holder = Holder(os.getpid(), socket.gethostname(), since, campaign, slot, purpose)
        part = self.directory / f".{_HOLDER}.{secrets.token_hex(4)}.part"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as stream:
                json.dump(asdict(holder), stream)
            part.replace(self.directory / _HOLDER)
        finally:
            part.unlink(missing_ok=True)

    def _forget(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


_held: set[Lease] = set()


def _forget_all() -> None:
    # A forked child (a data loader's worker, say) shares the lock; outliving its killed parent it
    # would keep everybody out. Closing its copy does not unlock the parent's.
    for lease in list(_held):
        lease._forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_all)
