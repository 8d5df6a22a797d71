"""Files that only their owner may read: written whole, never over others, refused when others can.

As ssh does with its keys. The mode of a file is checked on the open file itself.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cdistrim.errors import KeyFileError
from cdistrim.files import appear

__all__ = [
    "damaged",
    "place_private",
    "read_private",
    "refuse_foreign_writers",
    "sync_directory",
    "write_private",
    "written_directory",
]

_MAX_FILE = 1 << 16


@contextmanager
def written_directory(directory: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write a directory of key files beside its place, and put it there when the block ends well.

    Raises:
        KeyFileError: There are keys already, or it can't be written.
    """
    part = directory.with_name(f".{directory.name}.{secrets.token_hex(8)}.part")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in directory.parent.glob(f".{directory.name}.*.part"):
            shutil.rmtree(left)  # By a process that was killed.
        part.mkdir(mode=0o700)
        for name, content in files.items():
            write_private(part / name, content)
        yield part
        # Succeeds only if there is nothing yet, or an empty directory.
        part.rename(directory)
    except OSError as error:
        raise KeyFileError(
            f"Keys could not be written to {directory}: {error.strerror}.",
            hint="Existing keys are never overwritten; move them away yourself if you must."
            if directory.exists()
            else "See whether this account may write there, then run it again.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def read_private(path: Path, what: str, *, forbidden: int = 0o077) -> bytes:
    """A file's content, after its mode was checked on the open file itself."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & forbidden:
                raise KeyFileError(
                    f"The {what} {path} is readable by others (mode {mode:04o}).",
                    hint=f"Run: chmod 600 {path}. Change what it protects if others used it.",
                )
            content = stream.read(_MAX_FILE + 1)
    except FileNotFoundError:
        raise KeyFileError(
            f"The {what} {path} is missing.",
            hint="Restore it from a backup. If a sealing key is lost for good: `cdistrim site "
            "rotate-key SITE --lost`.",
        ) from None
    except OSError as error:
        raise KeyFileError(
            f"The {what} {path} can't be read: {error.strerror}.",
            hint="See whose it is, and run this as that account.",
        ) from error
    if len(content) > _MAX_FILE:
        raise damaged(path)
    return content


def refuse_foreign_writers(path: Path) -> None:
    """Who can write to a file can change it; who can write to a directory, what lies in it."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o022:
        private = "700" if path.is_dir() else "600"
        raise KeyFileError(
            f"{path} is writable by others (mode {mode:04o}).",
            hint=f"Run: chmod {private} {path}",
        )


def place_private(path: Path, content: bytes) -> None:
    """Write a private file that appears whole, and never takes another one's place."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        for left in path.parent.glob(f".{path.name}.*.part"):
            left.unlink()  # By a process that was killed.
        write_private(part, content)
        appear(part, path)
        sync_directory(path.parent)
    except OSError as error:
        raise KeyFileError(
            f"{path} could not be written: {error.strerror}.",
            hint="See whether this account may write there, then run it again.",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(where: Path | str) -> KeyFileError:
    return KeyFileError(
        f"{where} is damaged or no key file of C-DistriM.", hint="Restore it from a backup."
    )
