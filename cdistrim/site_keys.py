"""A site's keys: the account that signs transactions and the key that receives models.

::

    <site>/keys/             0700
      account.json           Ethereum keystore, version 3 (scrypt), readable by other wallets
      sealing.key            private sealing key, AES-256-GCM under scrypt of the same passphrase
      former-<16 hex>.key    a former one, by the beginning of its public half's SHA-256
      next.key               the one that is about to take its place (:mod:`cdistrim.rotation`)

All files are 0600 and refused when others can read them, as ssh does. The first two appear together
or not at all, and no key is ever overwritten; copies are :mod:`cdistrim.backup`'s business. The
passphrase comes from :mod:`cdistrim.passphrase`; nothing here puts it, or a key, into a message.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from cdistrim.errors import KeyFileError, SealError
from cdistrim.passphrase import normalised
from cdistrim.private_files import (
    damaged,
    place_private,
    read_private,
    refuse_foreign_writers,
    sync_directory,
    written_directory,
)
from cdistrim.sealing import SealingKey, public_digest
from cdistrim.signing import sign

__all__ = [
    "KEY_FILES",
    "OTHER_KEY_FILES",
    "SiteKeys",
    "adopt_next_key",
    "create_site_keys",
    "load_site_keys",
    "next_key",
    "place_key_files",
    "prepare_next_key",
    "read_key_files",
    "replace_lost_key",
    "unlock_account",
    "unlock_sealing_key",
]

_ACCOUNT_FILE, _SEALING_FILE = "account.json", "sealing.key"
_NEXT_FILE = "next.key"
KEY_FILES = (_ACCOUNT_FILE, _SEALING_FILE)
"""The files without which there are no keys of a site; a backup has each of them."""
OTHER_KEY_FILES = re.compile(r"next\.key|former-[0-9a-f]{16}\.key")
"""Names of files that may be beside them; a backup has those, too."""
_SCRYPT_COST = 1 << 17
"""RFC 7914's N: 128 MiB and half a second a guess."""
_KEYSTORE_COST = 1 << 18
_QUICK_COST = 1 << 4
"""For throwaway keys, which are opened by every task of a campaign in one process."""
_MIN_PASSPHRASE = 12
_PROTECTED = b"C-DistriM one-time key\x00"


@dataclass(frozen=True)
class SiteKeys:
    """A site's unlocked keys. Shows no secret in repr and refuses to be pickled.

    Args:
        account: Checksum address of the account (EIP-55).
        private_key: The account's private key, 32 bytes.
        sealing_key: Opens what is sealed to this site.
        former_keys: Others that may open it: former ones, or the next one before it is published.
    """

    account: str
    private_key: bytes = field(repr=False)
    sealing_key: SealingKey
    former_keys: tuple[SealingKey, ...] = ()

    @property
    def opening_keys(self) -> tuple[SealingKey, ...]:
        """What may open something that was sealed to this site: its key, then former ones."""
        return (self.sealing_key, *self.former_keys)

    def sign(self, message: bytes) -> bytes:
        """This account's signature on a message (EIP-191), 65 bytes."""
        return sign(message, self.private_key)

    def protect_one_time_key(self, key: SealingKey) -> bytes:
        """A one-time key as it may lie on the disk until its slot is over."""
        nonce = secrets.token_bytes(12)
        return nonce + _local(self.sealing_key).encrypt(nonce, key.private_bytes(), _PROTECTED)

    def open_one_time_key(self, protected: bytes) -> SealingKey:
        """What :meth:`protect_one_time_key` protected.

        Raises:
            KeyFileError: It was damaged, or protected by another site.
        """
        # The sealing key may have been replaced in the middle of a slot.
        for key in self.opening_keys:
            try:
                private = _local(key).decrypt(protected[:12], protected[12:], _PROTECTED)
                return SealingKey.from_private_bytes(private)
            except (InvalidTag, ValueError, SealError):
                continue
        raise KeyFileError(
            "The one-time key of this slot is damaged or belongs to another site.",
            hint="Remove it; the slot can be tried again after its deadline or a restore.",
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


def _local(key: SealingKey) -> AESGCM:
    return AESGCM(key.local_key(b"one-time key").reveal())


class _SealingFile(BaseModel):
    """``sealing.key``. ``cost`` is scrypt's N; its r is 8, its p is 1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    kdf: Literal["scrypt"] = "scrypt"
    cost: Annotated[int, Field(ge=2, le=1 << 20)]
    salt: Annotated[Base64Bytes, Field(min_length=16, max_length=64)]
    nonce: Annotated[Base64Bytes, Field(min_length=12, max_length=12)]
    public: Base64Bytes
    ciphertext: Base64Bytes


def create_site_keys(directory: Path, passphrase: str, *, quick: bool = False) -> SiteKeys:
    """Make a site's keys.

    Args:
        directory: The ``keys`` directory of the site: missing, or empty.
        passphrase: At least 12 characters, unless ``quick``.
        quick: For throwaway keys of a demo or a test only: the passphrase is cheap to guess.

    Raises:
        KeyFileError: There are keys already, the passphrase is too short, or the directory can't
            be written.
    """
    from eth_account import Account

    shortest = 1 if quick else _MIN_PASSPHRASE
    if len(passphrase) < shortest:
        raise KeyFileError(
            f"The passphrase is too short: {shortest} characters are the least.",
            hint="Let a password manager or `openssl rand -base64 24` make one.",
        )
    account = Account.create()
    keys = SiteKeys(account.address, bytes(account.key), SealingKey.generate())
    keystore = Account.encrypt(
        keys.private_key,
        normalised(passphrase),
        kdf="scrypt",
        iterations=_QUICK_COST if quick else _KEYSTORE_COST,
    )
    sealing = _lock_sealing_key(
        keys.sealing_key, passphrase, _QUICK_COST if quick else _SCRYPT_COST
    )
    with written_directory(
        directory, {_ACCOUNT_FILE: json.dumps(keystore).encode(), _SEALING_FILE: sealing}
    ):
        return keys


def place_key_files(
    directory: Path, files: Mapping[str, bytes], passphrase: str, account: str
) -> SiteKeys:
    """Put key files that were kept elsewhere where :func:`load_site_keys` finds them.

    Args:
        directory: The ``keys`` directory of the site: missing, or empty.
        files: What :func:`read_key_files` gave.
        passphrase: Unlocks them; they appear only after they did open from where they were written.
        account: Whose they have to be, in any spelling.

    Raises:
        KeyFileError: There are keys already, these don't open or are another account's, or the
            directory can't be written.
    """
    with written_directory(directory, files) as part:
        keys = load_site_keys(part, passphrase)
        if keys.account.lower() != account.lower():
            raise KeyFileError(
                f"These keys are of {keys.account}, not of {account}.",
                hint="Take the backup of the site that you mean.",
            )
        return keys


def load_site_keys(directory: Path, passphrase: str) -> SiteKeys:
    """Unlock a site's keys.

    Raises:
        KeyFileError: A file is missing, readable by others or damaged, or the passphrase is wrong.
    """
    _refuse_exchangeable(directory)
    private_key, account = _unlock_account(directory / _ACCOUNT_FILE, passphrase)
    sealing, *others = (
        unlock_sealing_key(read_private(path, "sealing key"), passphrase, str(path))
        for path in (directory / _SEALING_FILE, *_other_files(directory))
    )
    return SiteKeys(account, private_key, sealing, tuple(others))


def _other_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if OTHER_KEY_FILES.fullmatch(path.name))


def next_key(directory: Path, passphrase: str) -> SealingKey | None:
    """The key that shall take the sealing key's place; None if there is none.

    Raises:
        KeyFileError: It is damaged or readable by others, or the passphrase is wrong.
    """
    path = directory / _NEXT_FILE
    if not path.exists():
        return None
    return unlock_sealing_key(read_private(path, "next key"), passphrase, str(path))


def prepare_next_key(directory: Path, passphrase: str) -> SealingKey:
    """The key that shall take the sealing key's place: made on the first call, then the same.

    Raises:
        KeyFileError: A file is missing, damaged or readable by others, or can't be written.
    """
    made = next_key(directory, passphrase)
    while made is None:
        present = read_private(directory / _SEALING_FILE, "sealing key")
        unlock_sealing_key(present, passphrase, str(directory / _SEALING_FILE))
        cost = _SealingFile.model_validate_json(present).cost
        content = _lock_sealing_key(SealingKey.generate(), passphrase, cost)
        place_private(directory / _NEXT_FILE, content)
        made = next_key(directory, passphrase)
    return made


def adopt_next_key(directory: Path, passphrase: str) -> None:
    """Put the next key in the sealing key's place, which stays as a former one.

    A process that is killed in between leaves both; the same call finishes it.

    Raises:
        KeyFileError: A file is missing, damaged or readable by others, or can't be written.
    """
    present, coming = directory / _SEALING_FILE, directory / _NEXT_FILE
    key = unlock_sealing_key(read_private(present, "sealing key"), passphrase, str(present))
    former = directory / f"former-{public_digest(key.public_bytes).hex()[:16]}.key"
    try:
        if not former.exists():
            os.link(present, former)
        coming.replace(present)
        sync_directory(directory)
    except OSError as error:
        raise KeyFileError(
            f"The sealing key in {directory} could not be replaced: {error.strerror}.",
            hint="See whether this account may write there, then run it again.",
        ) from error


def replace_lost_key(directory: Path, passphrase: str) -> None:
    """Make a sealing key where the former one is lost; the account's key has to be there.

    Raises:
        KeyFileError: There is a sealing key, or the account's key does not open.
    """
    path = directory / _SEALING_FILE
    if path.exists():
        raise KeyFileError(
            f"{path} is there.",
            hint="If it is damaged and there is no backup, move it away yourself.",
        )
    _refuse_exchangeable(directory)
    _unlock_account(directory / _ACCOUNT_FILE, passphrase)
    place_private(path, _lock_sealing_key(SealingKey.generate(), passphrase, _SCRYPT_COST))


def read_key_files(directory: Path) -> dict[str, bytes]:
    """A site's key files as they are, i.e. encrypted, by name.

    Raises:
        KeyFileError: A file is missing or readable by others, or there are others than
            :data:`KEY_FILES` and :data:`OTHER_KEY_FILES`.
    """
    _refuse_exchangeable(directory)
    others = [path.name for path in _other_files(directory)]
    strange = sorted({path.name for path in directory.iterdir()} - {*KEY_FILES, *others})
    if strange:
        raise KeyFileError(
            f"{directory / strange[0]} is no key file that this release knows.",
            hint="Move it away if it is none; else use the release that wrote it.",
        )
    return {name: read_private(directory / name, "key file") for name in (*KEY_FILES, *others)}


def _refuse_exchangeable(directory: Path) -> None:
    if not directory.is_dir():
        raise KeyFileError(
            f"There are no keys at {directory}.",
            hint="Give the directory of a site that has keys, or make them.",
        )
    refuse_foreign_writers(directory)


# --- the two files ---


def _unlock_account(path: Path, passphrase: str) -> tuple[bytes, str]:
    return unlock_account(read_private(path, "account key"), passphrase, path)


def unlock_account(content: bytes, passphrase: str, path: Path | str) -> tuple[bytes, str]:
    """The private key in an ``account.json``, and its account.

    Args:
        content: The file's.
        passphrase: Unlocks it.
        path: What messages call it.

    Raises:
        KeyFileError: It is damaged, or the passphrase is wrong.
    """
    from eth_account import Account
    from eth_keyfile.exceptions import EthKeyfileValueError

    try:
        keystore = json.loads(content)
        if keystore["version"] != 3:
            raise damaged(path)
        private_key = bytes(Account.decrypt(keystore, normalised(passphrase)))
        account = Account.from_key(private_key)
        if str(keystore["address"]).lower().removeprefix("0x") != account.address[2:].lower():
            raise damaged(path)
    except EthKeyfileValueError:
        raise _wrong_passphrase(path) from None
    # eth_keyfile checks nothing before it uses it: a damaged file may raise any of these.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):
        raise damaged(path) from None
    return private_key, account.address


def _lock_sealing_key(key: SealingKey, passphrase: str, cost: int) -> bytes:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    public = key.public_bytes
    cipher = _cipher(passphrase, salt, cost)
    ciphertext = cipher.encrypt(nonce, key.private_bytes(), public)
    encoded = {
        name: base64.b64encode(value).decode()
        for name, value in {
            "salt": salt,
            "nonce": nonce,
            "public": public,
            "ciphertext": ciphertext,
        }.items()
    }
    return json.dumps({"version": 1, "kdf": "scrypt", "cost": cost, **encoded}, indent=1).encode()


def unlock_sealing_key(content: bytes, passphrase: str, where: str) -> SealingKey:
    """The private key in a ``sealing.key``.

    Args:
        content: The file's.
        where: What messages call it.

    Raises:
        KeyFileError: It is damaged, or the passphrase is wrong.
    """
    try:
        document = _SealingFile.model_validate_json(content)
        cipher = _cipher(passphrase, document.salt, document.cost)
        private = cipher.decrypt(document.nonce, document.ciphertext, document.public)
        key = SealingKey.from_private_bytes(private)
    except InvalidTag:
        raise _wrong_passphrase(where) from None
    except (ValidationError, ValueError, SealError):
        raise damaged(where) from None
    if key.public_bytes != document.public:
        raise damaged(where)
    return key


def _cipher(passphrase: str, salt: bytes, cost: int) -> AESGCM:
    secret = normalised(passphrase).encode()
    return AESGCM(Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(secret))


def _wrong_passphrase(where: Path | str) -> KeyFileError:
    return KeyFileError(
        f"{where} does not open: the passphrase is wrong, or the file is damaged.",
        hint="Check where the passphrase comes from; restore the file from a backup.",
    )
