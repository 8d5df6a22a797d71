"""Digests of the files that a case is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cdistrim.data.scan import CaseExcluded, Exclusion

__all__ = ["digest_of_files"]


def digest_of_files(files: Sequence[Path], unreadable: Exclusion) -> bytes:
    """SHA-256 over the contents of files, whatever their names and order are, 32 bytes.

    Args:
        files: What a case is made of.
        unreadable: The reason why the case is left out if one of them can't be read.

    Raises:
        CaseExcluded: One can't.
    """
    digests = []
    for file in files:
        try:
            with file.open("rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").digest())
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", "") or type(error).__name__
            raise CaseExcluded(unreadable, reason) from None
    return hashlib.sha256(b"".join(sorted(digests))).digest()
