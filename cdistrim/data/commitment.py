"""A hospital's promise about its cases: a Merkle root that shows none of them.

The root goes on the ledger at enrolment. The salts stay at the site: without them nobody can test
whether a patient they know is in the set; with one of them the site can later prove that case.

A case has three parts: identifier, label, volume. Each is hidden under a key of its own, and the
three hidden parts are a leaf of the tree::

    key of a part   HMAC-SHA256(salt, "cdistrim/case/v2" 00 part)    part: id, label, volume
    hidden id       HMAC-SHA256(its key, identifier in UTF-8)
    hidden label    HMAC-SHA256(its key, one byte)
    hidden volume   HMAC-SHA256(its key, digest of the volume, see volume_digest)
    leaf            SHA-256("cdistrim/case/v2" 00 hidden id, hidden label, hidden volume)

So a part's key lets somebody who has the part compare it, and says nothing about the other parts,
nor about the salt. All keys and hidden parts have 32 bytes: nothing can be read in two ways.
Leaves are sorted, so a leaf's place says nothing about the case; the tree is that of RFC 6962.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.cases import CaseSet
from cdistrim.data.merkle import merkle_root
from cdistrim.errors import DataError, KeyFileError
from cdistrim.report.wording import plural

__all__ = [
    "HiddenCase",
    "Part",
    "commit",
    "commit_cases",
    "hide_case",
    "hide_id",
    "hide_label",
    "hide_volume",
    "keep_leaves",
    "kept_leaves",
    "kept_roots",
    "leaves_of",
    "load_salts",
    "part_key",
    "volume_digest",
    "write_salts",
]

SALT_BYTES = 32
SALT_FILE = "salts.json"
COMMITMENTS = "commitments"
"""Directory beside the salts: the leaves of each root that was promised, in a file of its name."""

_DOMAIN = b"cdistrim/case/v2\0"
_VOLUME = b"cdistrim/volume/v2\0"
_HASH_BYTES = 32


class Part(Enum):
    """What a leaf hides each by itself."""

    ID = "id"
    LABEL = "label"
    VOLUME = "volume"


@dataclass(frozen=True)
class HiddenCase:
    """The three hidden parts of a case, 32 bytes each: of no use without their keys."""

    id: bytes
    label: bytes
    volume: bytes

    @property
    def leaf(self) -> bytes:
        """What the case is in the tree, 32 bytes."""
        return hashlib.sha256(_DOMAIN + self.id + self.label + self.volume).digest()


def part_key(salt: bytes, part: Part) -> bytes:
    """The key under which a part of a case is hidden, 32 bytes."""
    return hmac.digest(salt, _DOMAIN + part.value.encode(), "sha256")


def hide_id(key: bytes, case: str) -> bytes:
    """A case's identifier, hidden under its key of 32 bytes."""
    # Whatever numpy takes for a text is one, lone surrogates included.
    return hmac.digest(key, case.encode(errors="surrogatepass"), "sha256")


def hide_label(key: bytes, label: int) -> bytes:
    """A case's label, hidden under its key of 32 bytes.

    Raises:
        DataError: The label is not from 0 to 255.
    """
    if not 0 <= label <= 255:
        raise DataError(
            f"A case has the label {label}; labels from 0 to 255 can be committed to.",
            hint="Correct the labels and build the set again.",
        )
    return hmac.digest(key, bytes([label]), "sha256")


def hide_volume(key: bytes, volume: NDArray[Any]) -> bytes:
    """A case's volume, hidden under its key of 32 bytes."""
    return hmac.digest(key, volume_digest(volume), "sha256")


def hide_case(case: str, label: int, volume: NDArray[Any], salt: bytes) -> HiddenCase:
    """A case, hidden part by part.

    Args:
        case: Its identifier.
        label: From 0 to 255.
        volume: Half precision.
        salt: The case's own, 32 bytes.

    Raises:
        DataError: The label is not in that range.
    """
    return HiddenCase(
        id=hide_id(part_key(salt, Part.ID), case),
        label=hide_label(part_key(salt, Part.LABEL), label),
        volume=hide_volume(part_key(salt, Part.VOLUME), volume),
    )


def volume_digest(volume: NDArray[Any]) -> bytes:
    """SHA-256 of type, shape and values of a volume in half precision, 32 bytes.

    The domain ``cdistrim/volume/v2`` 00, then 8 bytes of numpy's name of the type (``<f2``, filled
    up with 00), the number of axes and each axis's length as 8 bytes big-endian, and the values in
    C order.
    """
    values = np.ascontiguousarray(volume, dtype="<f2")
    shape = b"".join(number.to_bytes(8) for number in (values.ndim, *values.shape))
    hasher = hashlib.sha256(_VOLUME + values.dtype.str.encode().ljust(8, b"\0") + shape)
    hasher.update(values.tobytes())
    return hasher.digest()


def commit_cases(cases: CaseSet, directory: Path) -> bytes:
    """:func:`commit` with the salts that the site keeps in this directory, and keep the leaves.

    By its leaves a case can be proven even when other cases of the site have changed since.

    Raises:
        KeyFileError: The salt file is damaged, or others may read it.
        DataError: A label is not from 0 to 255, or the leaves can't be written.
    """
    return keep_leaves(directory, leaves_of(cases, load_salts(directory / SALT_FILE, cases.ids)))


def commit(cases: CaseSet, salts: Mapping[str, bytes]) -> bytes:
    """Merkle root over the hidden cases, 32 bytes.

    The order of the cases does not matter: leaves are sorted.

    Raises:
        DataError: A case has no salt, or a label that is not from 0 to 255.
    """
    return merkle_root(leaves_of(cases, salts))


def leaves_of(cases: CaseSet, salts: Mapping[str, bytes]) -> list[bytes]:
    """The leaves of all cases, sorted.

    Raises:
        DataError: A case has no salt, or a label that is not from 0 to 255.
    """
    missing = sum(one not in salts for one in cases.ids)
    if missing:
        raise DataError(
            f"{missing} of {plural(len(cases), 'case')} {'has' if missing == 1 else 'have'} "
            "no salt.",
            hint="Restore the site's salt file from its backup, or enrol again with new salts.",
        )
    return sorted(
        hide_case(one, int(cases.labels[number]), cases.volumes[number], salts[one]).leaf
        for number, one in enumerate(cases.ids)
    )


def keep_leaves(directory: Path, leaves: Sequence[bytes]) -> bytes:
    """Keep the leaves of a commitment in the site's data directory; their root.

    Raises:
        DataError: They can't be written.
    """
    root = merkle_root(leaves)
    try:
        _write_private(directory / COMMITMENTS / root.hex(), b"".join(leaves))
    except OSError as error:
        raise DataError(
            f"The data commitment can't be kept in {directory / COMMITMENTS}: {error.strerror}.",
            hint="Check permissions and free space.",
        ) from error
    return root


def kept_roots(directory: Path) -> list[bytes]:
    """Roots whose leaves are kept in the site's data directory, sorted."""
    names = [path.name for path in (directory / COMMITMENTS).glob("*")]
    return sorted(bytes.fromhex(name) for name in names if re.fullmatch(r"[0-9a-f]{64}", name))


def kept_leaves(directory: Path, root: bytes) -> list[bytes] | None:
    """The leaves that gave this root when the site enrolled; None if they are not kept any more.

    Args:
        directory: The site's data directory.
        root: As it is on the ledger.

    Raises:
        DataError: What is kept there can't be read, or gives another root.
    """
    path = directory / COMMITMENTS / root.hex()
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}.",
            hint="See what lies there and whether this account may read it.",
        ) from error
    leaves = [content[at : at + _HASH_BYTES] for at in range(0, len(content), _HASH_BYTES)]
    if merkle_root(leaves) != root:
        raise DataError(
            f"{path} is damaged: it does not give the root that it is named by.",
            hint="Restore it from the site's backup, or move it away: then the root is computed "
            "from the cases that are there now.",
        )
    return leaves


def load_salts(path: Path, ids: Sequence[str]) -> dict[str, bytes]:
    """The site's salts, with new ones for cases that have none yet.

    Args:
        path: JSON file of the site, created with owner-only permissions.
        ids: Identifiers of the cases that need a salt.

    Raises:
        KeyFileError: Others may read the file, or it is damaged.
    """
    salts = _read_salts(path)
    new = [one for one in ids if one not in salts]
    if new:
        salts |= {one: secrets.token_bytes(SALT_BYTES) for one in new}
        write_salts(path, salts)
    return salts


def _read_salts(path: Path) -> dict[str, bytes]:
    try:
        with path.open("rb") as stream:
            if stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
                raise KeyFileError(
                    f"The salt file {path} is open to other users.", hint=f"Run: chmod 600 {path}"
                )
            document = json.load(stream)
        salts = {str(one): bytes.fromhex(salt) for one, salt in document.items()}
        if any(len(salt) != SALT_BYTES for salt in salts.values()):
            raise ValueError("a salt of another length")
        return salts
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        raise KeyFileError(
            f"The salt file {path} is damaged.", hint="Restore it from the site's backup."
        ) from None


def write_salts(path: Path, salts: Mapping[str, bytes]) -> None:
    """Write the file that :func:`load_salts` reads, in one step, for its owner only."""
    document = json.dumps({one: salt.hex() for one, salt in sorted(salts.items())})
    _write_private(path, document.encode())


def _write_private(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
