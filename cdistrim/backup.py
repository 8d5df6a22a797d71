"""Backups of a site: what can't be made again, in one file, and a site out of it.

A backup has the settings, the key files (encrypted under the passphrase as they are), the
approvals, salts and leaves of the data commitments and, where ``cdistrim data prepare`` makes the
cases, the secret of their names and which of them train. It never has the passphrase, cases,
one-time keys, what can be found out again, or logs. The file is one document in canonical JSON::

    kind, version   "site backup", 1
    made            when, UTC
    account         the site's account (EIP-55)
    keys            file name → the file's text
    sealed          Base64 of a nonce (12 bytes) and AES-256-GCM of the rest

Salts name cases, and an address in the settings may have a token in it: hence the seal, under a key
that only the site's sealing key gives (:meth:`~cdistrim.sealing.SealingKey.local_key`). Its
associated data are all other fields. So nobody can change a backup, or make one, without the
passphrase; and a document, unlike an archive of files, has no paths that could lead elsewhere.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import BaseModel, ConfigDict, Field

from cdistrim.data.assignment import ASSIGNMENT_FILE, Part, assignment_document, read_assignment
from cdistrim.data.case_names import CASE_SECRET_FILE, CaseNamer
from cdistrim.data.commitment import (
    SALT_FILE,
    keep_leaves,
    kept_leaves,
    kept_roots,
    load_salts,
    write_salts,
)
from cdistrim.envelope import account_of, canonical_json
from cdistrim.errors import ConfigurationError, IntegrityError, KeyFileError, UsageError
from cdistrim.files import new_file, read_regular
from cdistrim.passphrase import read_passphrase
from cdistrim.private_files import place_private
from cdistrim.sealing import SealingKey
from cdistrim.site import PASSPHRASE_FILE, Site, SiteSettings, write_atomically
from cdistrim.site_keys import (
    KEY_FILES,
    OTHER_KEY_FILES,
    place_key_files,
    read_key_files,
    unlock_account,
    unlock_sealing_key,
)

__all__ = ["MAX_BACKUP", "Kept", "back_up", "open_backup", "restore"]

MAX_BACKUP = 1 << 26
"""Upper bound of a backup in bytes; a case's salt takes about 200 of them."""

_PURPOSE = b"backup"
_NONCE = 12
_Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_STRICT = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Backup(BaseModel):
    model_config = _STRICT

    kind: Literal["site backup"]
    version: Literal[1]
    made: Annotated[str, Field(max_length=40)]
    account: str
    keys: dict[str, Annotated[str, Field(max_length=1 << 16)]]
    sealed: str


class _Contents(BaseModel):
    """What is under the seal."""

    model_config = _STRICT

    settings: SiteSettings
    approved: list[_Hash]
    salts: dict[str, _Hash]
    commitments: dict[_Hash, list[_Hash]] = Field(default_factory=dict)
    """The leaves of each data commitment, by its root."""
    case_secret: _Hash | None = None
    assignment: dict[Annotated[str, Field(max_length=200)], Part] = {}


@dataclass(frozen=True)
class Kept:
    """What a backup holds. Shows neither salts nor settings in repr.

    Args:
        made: When, UTC.
        account: The site's account, a checksum address (EIP-55).
        keys: The key files by name, encrypted.
        contents: Settings, approvals, salts, and what names the cases and deals them out.
    """

    made: str
    account: str
    keys: Mapping[str, bytes]
    contents: _Contents

    @property
    def name(self) -> str:
        """The partner's name."""
        return self.contents.settings.name

    @property
    def approved(self) -> int:
        """Number of approved specs."""
        return len(self.contents.approved)

    @property
    def salts(self) -> int:
        """Number of cases whose salt is kept."""
        return len(self.contents.salts)

    def __repr__(self) -> str:
        return f"Kept(of {self.account}, made {self.made})"


# --- making one ---


def back_up(site: Site, file: Path) -> Kept:
    """Write a backup of a site, 0600, in one step.

    Its keys are unlocked for that: keys that don't open are nothing to keep.

    Args:
        site: The site.
        file: Where; there must be nothing yet.

    Raises:
        UsageError: The file exists already, or can't be written.
        KeyFileError: The keys don't open, a salt file is damaged or readable by others, or there
            are files beside the keys that this release does not know.
        DataError: What is kept of a data commitment is damaged.
        ConfigurationError: The backup would be larger than :data:`MAX_BACKUP`.
    """
    if os.path.lexists(file):
        raise _there_already(file)
    files = read_key_files(site.directory / "keys")
    keys = site.keys
    contents = _Contents(
        settings=site.settings,
        approved=_approvals(site.directory / "approved"),
        salts=_salts(site.directory),
        commitments=_commitments(site.directory / "data"),
        case_secret=_case_secret(site.directory),
        assignment=_assignment(site.directory),
    )
    now = f"{datetime.now(tz=UTC):%Y-%m-%dT%H:%M:%SZ}"
    kept = Kept(now, keys.account, files, contents)
    document = _document(kept, keys.sealing_key)
    if len(document) > MAX_BACKUP:
        raise ConfigurationError(
            f"The backup of {site.name} would have {len(document)} bytes; {MAX_BACKUP} are "
            "possible.",
            hint="Remove salts of cases that were never enrolled, or keep the directory by hand.",
        )
    _write_new(file, document)
    return kept


def _approvals(directory: Path) -> list[str]:
    names = [path.name for path in directory.iterdir()] if directory.is_dir() else []
    return sorted(name for name in names if re.fullmatch(r"[0-9a-f]{64}", name))


def _salts(directory: Path) -> dict[str, str]:
    salts = load_salts(directory / "data" / SALT_FILE, ())
    return {one: salt.hex() for one, salt in salts.items()}


def _commitments(data: Path) -> dict[str, list[str]]:
    return {
        root.hex(): [leaf.hex() for leaf in kept_leaves(data, root) or ()]
        for root in kept_roots(data)
    }


def _case_secret(directory: Path) -> str | None:
    path = directory / "data" / CASE_SECRET_FILE
    return CaseNamer.read(path).hex() if path.exists() else None


def _assignment(directory: Path) -> dict[str, Part]:
    return read_assignment(directory / "data" / ASSIGNMENT_FILE)


def _document(kept: Kept, sealing_key: SealingKey) -> bytes:
    outside = {
        "kind": "site backup",
        "version": 1,
        "made": kept.made,
        "account": kept.account,
        "keys": {name: content.decode() for name, content in kept.keys.items()},
    }
    inside = canonical_json(kept.contents.model_dump(mode="json"))
    nonce = secrets.token_bytes(_NONCE)
    sealed = nonce + _cipher(sealing_key).encrypt(nonce, inside, canonical_json(outside))
    return canonical_json(outside | {"sealed": base64.b64encode(sealed).decode()})


def _cipher(sealing_key: SealingKey) -> AESGCM:
    return AESGCM(sealing_key.local_key(_PURPOSE).reveal())


def _write_new(file: Path, content: bytes) -> None:
    """A file where there was none: whole or not at all, and never over another one."""
    try:
        with new_file(file) as stream:
            stream.write(content)
    except FileExistsError:
        raise _there_already(file) from None
    except OSError as error:
        raise UsageError(
            f"The backup can't be written to {file}: {error.strerror}.",
            hint="Choose another place that this account may write to.",
        ) from error


def _there_already(file: Path) -> UsageError:
    return UsageError(
        f"{file} exists already; a backup overwrites nothing.",
        hint="Give another name, e.g. with the date in it.",
    )


# --- using one ---


def open_backup(document: bytes, passphrase: str, *, where: str = "the backup") -> Kept:
    """Read a backup; nothing is written.

    Args:
        document: The file's content.
        passphrase: Of the keys in it.
        where: What messages call it.

    Raises:
        IntegrityError: It is none, was altered, or is too large.
        KeyFileError: The passphrase is wrong.
    """
    if len(document) > MAX_BACKUP:
        raise _no_backup(where, f"it has more than {MAX_BACKUP} bytes")
    try:
        read = _Backup.model_validate_json(document)
        sealed = base64.b64decode(read.sealed, validate=True)
        outside = canonical_json(read.model_dump(mode="json", exclude={"sealed"}))
        canonical = canonical_json(read.model_dump(mode="json"))
        files = {name: text.encode() for name, text in read.keys.items()}
        account_of(read.account)
    except (ValueError, UsageError):
        raise _no_backup(where, "it is not a document of version 1") from None
    if canonical != document or base64.b64encode(sealed).decode() != read.sealed:
        raise _no_backup(where, "it is not in canonical form")
    others = set(files) - set(KEY_FILES)
    if not set(KEY_FILES) <= set(files) or not all(map(OTHER_KEY_FILES.fullmatch, others)):
        raise _no_backup(where, f"it does not have exactly {' and '.join(KEY_FILES)}")
    sealing_key = _sealing_key_in(files, passphrase, where)
    try:
        inside = _cipher(sealing_key).decrypt(sealed[:_NONCE], sealed[_NONCE:], outside)
    except (InvalidTag, ValueError):
        raise _no_backup(where, "it was altered after it was made") from None
    try:
        contents = _Contents.model_validate_json(inside)
    except ValueError:
        raise _no_backup(where, "its contents are not this release's") from None
    return Kept(read.made, read.account, files, contents)


def _sealing_key_in(files: Mapping[str, bytes], passphrase: str, where: str) -> SealingKey:
    """The sealing key; where it does not open, the account's key tells which of the two is wrong.

    Raises:
        KeyFileError: The passphrase is wrong.
        IntegrityError: The passphrase opens the account's key: the backup was altered.
    """
    account, sealing = KEY_FILES
    try:
        return unlock_sealing_key(files[sealing], passphrase, f"{sealing} in {where}")
    except KeyFileError as error:
        try:
            unlock_account(files[account], passphrase, f"{account} in {where}")
        except KeyFileError:
            raise error from None
        raise _no_backup(where, f"{sealing} in it was altered after it was made") from None


def _no_backup(where: str, why: str) -> IntegrityError:
    return IntegrityError(
        f"{where} is no backup of a site that can be used: {why}.",
        hint="Take another copy of it, or an earlier one.",
    )


def restore(file: Path, directory: Path) -> Kept:
    """Make a site out of a backup. Cases may lie in its ``data`` before, or come later.

    The keys appear last, when everything else is there and they did open. What is there already
    stays, and has to be what the backup says: a restore that was killed is finished by another one.

    Args:
        file: The backup.
        directory: The site's, without keys. A ``passphrase`` in it unlocks the keys; else it is
            looked for where :func:`~cdistrim.site_keys.read_passphrase` says.

    Raises:
        UsageError: There is no such file.
        IntegrityError: It is no backup, or was altered.
        KeyFileError: There are keys already, the passphrase is wrong or missing, or other salts lie
            there.
        ConfigurationError: Other settings lie there.
    """
    keys = directory / "keys"
    if os.path.lexists(keys) and not (keys.is_dir() and not any(keys.iterdir())):
        raise KeyFileError(
            f"There are keys at {keys} already; a restore overwrites none.",
            hint="Give another directory, or move them away yourself if you must.",
        )
    document = _content(file)
    own = directory / PASSPHRASE_FILE
    passphrase = read_passphrase(file=own if own.exists() else None)
    kept = open_backup(document, passphrase, where=str(file))
    try:
        _refuse_others(kept, directory)
        _write_contents(kept, directory)
    except OSError as error:
        raise ConfigurationError(
            f"The site can't be written to {directory}: {error.strerror}.",
            hint="See whether this account may write there, then run it again.",
        ) from error
    place_key_files(keys, kept.keys, passphrase, kept.account)
    return kept


def _content(file: Path) -> bytes:
    try:
        return read_regular(file, MAX_BACKUP + 1)
    except OSError as error:
        raise UsageError(
            f"The backup {file} can't be read: {error.strerror}.",
            hint="Check the path; give the file of a backup.",
        ) from None


def _refuse_others(kept: Kept, directory: Path) -> None:
    """Look whether settings or salts lie there that are not the backup's."""
    settings = directory / "site.json"
    if settings.exists() and Site(directory).settings != kept.contents.settings:
        raise ConfigurationError(
            f"{settings} is there already and says something else than the backup.",
            hint="Move it away, and compare the two afterwards.",
        )
    path = directory / "data" / SALT_FILE
    there = _salts(directory)
    if there and there != kept.contents.salts:
        raise KeyFileError(
            f"{path} is there already with other salts than the backup's.",
            hint="Move it away, and find out which of the two the site enrolled with.",
        )
    for name, there_now, kept_one in (
        (CASE_SECRET_FILE, _case_secret(directory), kept.contents.case_secret),
        (ASSIGNMENT_FILE, _assignment(directory), kept.contents.assignment),
    ):
        if there_now and there_now != kept_one:
            raise KeyFileError(
                f"{directory / 'data' / name} is there already, with other content than the "
                "backup's.",
                hint="Move it away: names of cases, salts and sets belong together.",
            )


def _write_contents(kept: Kept, directory: Path) -> None:
    """Everything but the keys. What is there already is the same."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part in (directory, *directory.iterdir()):
        # What is a link leads to a place of the operator's own, e.g. to a volume for the cases.
        if part.is_dir() and not part.is_symlink():
            part.chmod(0o700)
    site = Site.create(directory, kept.contents.settings)
    for name in kept.contents.approved:
        site.approve_spec(bytes.fromhex(name))
    if kept.contents.salts:
        salts = {one: bytes.fromhex(salt) for one, salt in kept.contents.salts.items()}
        write_salts(directory / "data" / SALT_FILE, salts)
    for leaves in kept.contents.commitments.values():
        keep_leaves(directory / "data", [bytes.fromhex(leaf) for leaf in leaves])
    if kept.contents.assignment:
        document = assignment_document(kept.contents.assignment)
        write_atomically(directory / "data" / ASSIGNMENT_FILE, document)
    secret = directory / "data" / CASE_SECRET_FILE
    if kept.contents.case_secret and not secret.exists():
        place_private(secret, kept.contents.case_secret.encode())
