"""Files that appear whole or not at all, and never in the place of another."""

from __future__ import annotations

import errno
from pathlib import Path

__all__ = ["appear"]


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
