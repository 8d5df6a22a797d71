"""A hospital's promise about its cases: a Merkle root that shows none of them.

The root goes on the ledger at enrolment. The salts stay at the site: without them nobody can test
whether a patient they know is in the set; with one of them the site can later prove that case.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from cdistrim.data.cases import CaseSet
from cdistrim.errors import DataError, KeyFileError
from cdistrim.report.wording import plural

__all__ = ["commit", "commit_cases", "load_salts", "merkle_root", "write_salts"]

SALT_BYTES = 32
SALT_FILE = "salts.json"


def commit_cases(cases: CaseSet, directory: Path) -> bytes:
    """:func:`commit` with the salts that the site keeps in this directory.

    Raises:
        KeyFileError: The salt file is damaged, or others may read it.
    """
    return commit(cases, load_salts(directory / SALT_FILE, cases.ids))


def commit(cases: CaseSet, salts: Mapping[str, bytes]) -> bytes:
    """Merkle root over the salted digests of all cases, 32 bytes.

    The order of the cases does not matter: leaves are sorted.

    Raises:
        DataError: A case has no salt.
    """
    missing = sum(one not in salts for one in cases.ids)
    if missing:
        raise DataError(
            f"{missing} of {plural(len(cases), 'case')} {'has' if missing == 1 else 'have'} "
            "no salt.",
            hint="Restore the site's salt file from its backup, or enrol again with new salts.",
        )
    leaves = []
    for number, one in enumerate(cases.ids):
        hasher = hashlib.sha256(b"cdistrim/case/v1\0" + salts[one])
        hasher.update(hashlib.sha256(one.encode()).digest())
        hasher.update(bytes([int(cases.labels[number])]))
        hasher.update(cases.volumes[number].astype("<f2").tobytes())
        leaves.append(hasher.digest())
    return merkle_root(sorted(leaves))


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Root of the tree of RFC 6962, section 2.1: leaves and nodes are hashed apart, 32 bytes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    left, right = merkle_root(leaves[:half]), merkle_root(leaves[half:])
    return hashlib.sha256(b"\x01" + left + right).digest()


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
        return {str(one): bytes.fromhex(salt) for one, salt in document.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, AttributeError, TypeError):
        raise KeyFileError(
            f"The salt file {path} is damaged.", hint="Restore it from the site's backup."
        ) from None


def write_salts(path: Path, salts: Mapping[str, bytes]) -> None:
    """Write the file that :func:`load_salts` reads, in one step, for its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    document = json.dumps({one: salt.hex() for one, salt in sorted(salts.items())})
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(document)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
