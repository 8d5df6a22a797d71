"""Disjoint parts of a public collection, so that several sites can play hospitals."""

from __future__ import annotations

import hashlib

from cdistrim.data.sources.interface import key_of

__all__ = ["in_part"]


def in_part(patient: str, part: tuple[int, int] | None) -> bool:
    """Whether a patient is in the k-th of n parts of about the same size; always, without one.

    Which part that is follows from the name alone, so all sites agree on it.
    """
    if part is None:
        return True
    number, parts = part
    digest = hashlib.sha256(b"cdistrim/part/v1\0" + key_of(patient).encode()).digest()
    return int.from_bytes(digest[:8], "big") % parts == number - 1
