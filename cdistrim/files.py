"""Files that appear whole or not at all, never in the place of another; and bounded reading."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["appear", "new_file", "read_regular"]

_PART = 1 << 20


def appear(part: Path, file: Path) -> None:
    """Give a finished file its name; the former one may stay.

    Raises:
        FileExistsError: There is such a file already.
        OSError: It can't be written there.
    """
    try:
        file.hardlink_to(part)
    except OSError as error:
        # A memory stick's file system knows no second names: somebody else's file of the same name
        # that appears this very moment would be lost there.
        if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS) or file.exists():
            raise
        part.rename(file)


@contextmanager
def new_file(file: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Write a file where there is none: whole, when the block has ended, or not at all.

    Raises:
        FileExistsError: There is such a file already.
        OSError: It can't be written there.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(descriptor)
        part.chmod(mode)
        appear(part, file)
    finally:
        part.unlink(missing_ok=True)


def read_regular(path: Path, limit: int) -> bytes:
    """At most ``limit`` bytes of a file; a limit takes no memory that the file does not fill.

    What is no regular file is not read: a device may have no end, a pipe would have us wait.

    Raises:
        OSError: It can't be read, or is no regular file.
    """
    # Without O_NONBLOCK a pipe would have us wait for whoever writes to it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            return _read_at_most(stream, limit)
    finally:
        os.close(descriptor)


def _read_at_most(stream: BinaryIO, limit: int) -> bytes:
    parts: list[bytes] = []
    # One read of all would take the limit's memory before it sees how short the file is.
    while limit and (part := stream.read(min(limit, _PART))):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts)
