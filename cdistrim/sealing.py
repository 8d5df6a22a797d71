"""Sealed keys: who can open a model.

A model's data key (:mod:`cdistrim.envelope`) travels sealed with HPKE (RFC 9180; the package
``cryptography`` does it) in two documents. The :class:`Capsule`, deposited with the model, seals it
to the uploader and to each evaluator. A :class:`Release`, written by a holder after a fetch grant,
seals it to the requester's one-time key. Both bind the key to chain, contract, campaign, model,
recipient and purpose.

What later issues change: the data key in capsule and release gives way to Shamir shares of it
(t of n; protocol, "Keys"), each with a salted digest in the capsule, so that opening needs a
majority of holders. Envelope format and HPKE binding stay.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Literal, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict

from cdistrim.envelope import (
    Context,
    DataKey,
    account_of,
    canonical_json,
    decrypt,
    encrypt,
    new_data_key,
)
from cdistrim.errors import IntegrityError, SealError, UsageError

__all__ = [
    "MAX_DOCUMENT",
    "PUBLIC_KEY_SIZE",
    "Capsule",
    "Context",
    "DataKey",
    "Purpose",
    "Release",
    "SealingKey",
    "decrypt",
    "encrypt",
    "new_data_key",
    "open_sealed",
    "public_digest",
    "seal",
]

MAX_DOCUMENT = 1 << 18
"""Upper bound of a capsule or release in bytes; 51 recipients need 85 kB."""

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_SEED, _MLKEM_PUBLIC, _X25519 = 64, 1184, 32
PUBLIC_KEY_SIZE = _MLKEM_PUBLIC + _X25519
"""Bytes of a public sealing key: ML-KEM-768 (FIPS 203), then X25519 (RFC 7748)."""
SEALED_SIZE = hpke.KEM.MLKEM768_X25519.enc_length() + 32 + 16
"""Bytes of a sealed data key: encapsulation, key, tag."""


class SealingKey:
    """Private key of the hybrid KEM ML-KEM-768 + X25519, and its public half.

    What is published for ever must outlive X25519, hence the post-quantum half.
    """

    __slots__ = ("_mlkem", "_private", "_x25519", "public_bytes")

    def __init__(self, mlkem: MLKEM768PrivateKey, x25519: X25519PrivateKey) -> None:
        self._mlkem, self._x25519 = mlkem, x25519
        self._private = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public_bytes: bytes = (
            mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls) -> SealingKey:
        """A new random key."""
        return cls(MLKEM768PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_private_bytes(cls, private: bytes) -> SealingKey:
        """The key that :meth:`private_bytes` wrote.

        Raises:
            SealError: The bytes are no such key.
        """
        if len(private) != _MLKEM_SEED + _X25519:
            raise SealError(f"A private sealing key has 96 bytes, not {len(private)}.")
        return cls(
            MLKEM768PrivateKey.from_seed_bytes(private[:_MLKEM_SEED]),
            X25519PrivateKey.from_private_bytes(private[_MLKEM_SEED:]),
        )

    def private_bytes(self) -> bytes:
        """96 secret bytes: ML-KEM seed, X25519 scalar. Only an encrypted key file holds them."""
        return self._mlkem.private_bytes_raw() + self._x25519.private_bytes_raw()

    def local_key(self, purpose: bytes) -> DataKey:
        """A key that only this site can derive, e.g. for a one-time key or a checkpoint on disk.

        HKDF-SHA256 (RFC 5869) of the private key; different purposes give unrelated keys.
        """
        info = b"C-DistriM local key\x00" + purpose
        return DataKey(HKDF(SHA256(), 32, None, info).derive(self.private_bytes()))

    def _decrypt(self, sealed: bytes, info: bytes) -> bytes:
        return _SUITE.decrypt(sealed, self._private, info)

    def __repr__(self) -> str:
        return f"SealingKey(public {public_digest(self.public_bytes).hex()[:16]}…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


def public_digest(public: bytes) -> bytes:
    """SHA-256 of a public sealing key, 32 bytes: what the ledger keeps of a one-time key."""
    return hashlib.sha256(public).digest()


class Purpose(StrEnum):
    """Why a key is sealed; a key sealed for one purpose does not open for another."""

    CAPSULE = "capsule"
    RELEASE = "release"


def _info(
    context: Context, purpose: Purpose, recipient: str, binding: Mapping[str, int | str] | None
) -> bytes:
    """HPKE's ``info`` (RFC 9180, section 5.1): everything that a sealed key is bound to."""
    return b"C-DistriM sealed key\x00" + canonical_json(
        {
            "context": asdict(context),
            "purpose": purpose.value,
            "recipient": account_of(recipient),
            "binding": dict(binding or {}),
        }
    )


def seal(
    data_key: DataKey,
    recipient_public: bytes,
    context: Context,
    purpose: Purpose,
    recipient: str,
    binding: Mapping[str, int | str] | None = None,
) -> bytes:
    """Seal a data key to a recipient (RFC 9180, base mode, single shot): 1168 bytes.

    Base mode says who can open, not who sealed: whether the key is the right one shows when the
    envelope opens and the weights' hash is the ledger's.

    Args:
        recipient_public: Public sealing key, 1216 bytes.
        recipient: The recipient's account.
        binding: Whatever else the sealed key shall be bound to.

    Raises:
        SealError: The public key is malformed.
    """
    try:
        if len(recipient_public) != PUBLIC_KEY_SIZE:
            raise ValueError
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(recipient_public[:_MLKEM_PUBLIC]),
            X25519PublicKey.from_public_bytes(recipient_public[_MLKEM_PUBLIC:]),
        )
        return _SUITE.encrypt(
            data_key.reveal(), public, _info(context, purpose, recipient, binding)
        )
    except ValueError:
        raise SealError(
            f"The public sealing key of {recipient} is malformed ({len(recipient_public)} bytes).",
            hint="Its owner must register a valid key.",
        ) from None


def open_sealed(
    sealed: bytes,
    sealing_key: SealingKey,
    context: Context,
    purpose: Purpose,
    recipient: str,
    binding: Mapping[str, int | str] | None = None,
) -> DataKey:
    """Open what :func:`seal` made with the same arguments.

    Raises:
        SealError: Altered, or sealed to another key, for another context or another purpose.
    """
    try:
        return DataKey(sealing_key._decrypt(sealed, _info(context, purpose, recipient, binding)))
    except (InvalidTag, ValueError, UsageError):
        raise SealError(
            f"The key sealed to {recipient} in this {purpose.value} does not open.",
            hint="It was altered, or sealed to another key or for another model.",
        ) from None


_ENCODED = ConfigDict(strict=True, extra="forbid", frozen=True)


@dataclass(frozen=True)
class Capsule:
    """A model's data key, sealed to the uploader and to each evaluator.

    Its SHA-256 is on the ledger. ``sealed`` maps accounts to 1168 bytes each.
    """

    context: Context
    sealed: Mapping[str, bytes]

    @classmethod
    def seal(cls, data_key: DataKey, recipients: Mapping[str, bytes], context: Context) -> Capsule:
        """Seal a data key to all recipients.

        Args:
            recipients: Public sealing keys (1216 bytes) by account; the uploader is one of them,
                because it releases the key later on.

        Raises:
            UsageError: The uploader is missing, or an account is malformed.
            SealError: A public key is malformed.
        """
        accounts = {account_of(account): public for account, public in recipients.items()}
        if context.partner not in accounts:
            raise UsageError(
                f"The capsule is not sealed to its uploader {context.partner}.",
                hint="Add the uploader's own sealing key to the recipients.",
            )
        return cls(
            context,
            {
                account: seal(data_key, public, context, Purpose.CAPSULE, account)
                for account, public in accounts.items()
            },
        )

    def to_bytes(self) -> bytes:
        """The document, canonical JSON: equal capsules give equal bytes."""
        return canonical_json(
            {
                "kind": Purpose.CAPSULE.value,
                "version": 1,
                "context": asdict(self.context),
                "sealed": {
                    account: base64.b64encode(sealed).decode()
                    for account, sealed in self.sealed.items()
                },
            }
        )

    def digest(self) -> bytes:
        """SHA-256 of :meth:`to_bytes`, 32 bytes: the record's ``capsule_hash``."""
        return hashlib.sha256(self.to_bytes()).digest()

    @classmethod
    def parse(cls, document: bytes, expected_digest: bytes) -> Capsule:
        """Read a capsule.

        Raises:
            IntegrityError: It is not the one on the ledger, or it is malformed.
        """
        found = hashlib.sha256(document).digest()
        if not hmac.compare_digest(found, expected_digest):
            raise IntegrityError(
                f"The capsule's SHA-256 is {found.hex()}, the ledger says {expected_digest.hex()}.",
                hint="It was altered or swapped. Fetch it again from another copy of the store.",
            )
        _check_size(document, Purpose.CAPSULE)
        try:
            read = _CapsuleDocument.model_validate_json(document)
            capsule = cls(
                read.context, {account_of(to): _sealed(text) for to, text in read.sealed.items()}
            )
        except (ValueError, UsageError):
            raise _malformed(Purpose.CAPSULE) from None
        if capsule.to_bytes() != document:
            raise _malformed(Purpose.CAPSULE)
        return capsule

    def open(self, account: str, sealing_key: SealingKey, context: Context) -> DataKey:
        """The data key.

        Args:
            context: The model that the caller means, from the ledger.

        Raises:
            SealError: It is another model's capsule, or not sealed to this account and key.
        """
        account = account_of(account)
        if context != self.context:
            raise SealError(
                f"The capsule belongs to {self.context}, not to {context}.",
                hint="It was swapped. Fetch the one that the ledger names.",
            )
        if account not in self.sealed:
            raise SealError(
                f"The capsule is not sealed to {account}.",
                hint="Ask the ledger for a fetch token; holders then release the key.",
            )
        return open_sealed(self.sealed[account], sealing_key, context, Purpose.CAPSULE, account)


@dataclass(frozen=True)
class Release:
    """A model's data key, sealed by a holder to a requester's one-time key after the grant.

    The document says who the holder is but does not prove it; a wrong key shows when the envelope
    does not open, and the next holder's release is tried.

    Args:
        model: The model whose key this is.
        holder: Account of the partner that released it.
        requester: Account that was granted the fetch.
        slot: The requester's slot.
        attempt: Attempt of that slot.
        sealed: 1168 bytes.
    """

    model: Context
    holder: str
    requester: str
    slot: int
    attempt: int
    sealed: bytes

    def __post_init__(self) -> None:
        object.__setattr__(self, "holder", account_of(self.holder))
        object.__setattr__(self, "requester", account_of(self.requester))

    @classmethod
    def seal(
        cls,
        data_key: DataKey,
        one_time_public: bytes,
        *,
        model: Context,
        holder: str,
        requester: str,
        slot: int,
        attempt: int,
    ) -> Release:
        """Seal a data key to the one-time key of a grant.

        Args:
            one_time_public: Whose :func:`public_digest` the request put on the ledger; the caller
                has compared the two.

        Raises:
            SealError: The public key is malformed.
            UsageError: An account is malformed.
        """
        binding = _grant_binding(holder, slot, attempt)
        sealed = seal(data_key, one_time_public, model, Purpose.RELEASE, requester, binding)
        return cls(model, holder, requester, slot, attempt, sealed)

    def to_bytes(self) -> bytes:
        """The document, canonical JSON."""
        return canonical_json(
            {
                "kind": Purpose.RELEASE.value,
                "version": 1,
                "model": asdict(self.model),
                "holder": self.holder,
                "requester": self.requester,
                "slot": self.slot,
                "attempt": self.attempt,
                "sealed": base64.b64encode(self.sealed).decode(),
            }
        )

    @classmethod
    def parse(cls, document: bytes) -> Release:
        """Read a release. Nobody has vouched for it: see the class.

        Raises:
            IntegrityError: It is malformed.
        """
        _check_size(document, Purpose.RELEASE)
        try:
            read = _ReleaseDocument.model_validate_json(document)
            release = cls(
                read.model,
                read.holder,
                read.requester,
                read.slot,
                read.attempt,
                _sealed(read.sealed),
            )
        except (ValueError, UsageError):
            raise _malformed(Purpose.RELEASE) from None
        if release.to_bytes() != document:
            raise _malformed(Purpose.RELEASE)
        return release

    def open(
        self, one_time_key: SealingKey, *, model: Context, requester: str, slot: int, attempt: int
    ) -> DataKey:
        """The data key. All arguments come from the ledger and the caller, none from the document.

        Raises:
            SealError: Another model's or grant's release, altered, or sealed to another key.
        """
        binding = _grant_binding(self.holder, slot, attempt)
        return open_sealed(self.sealed, one_time_key, model, Purpose.RELEASE, requester, binding)


def _grant_binding(holder: str, slot: int, attempt: int) -> dict[str, int | str]:
    return {"holder": account_of(holder), "slot": slot, "attempt": attempt}


class _CapsuleDocument(BaseModel):
    model_config = _ENCODED

    kind: Literal["capsule"]
    version: Literal[1]
    context: Context
    sealed: dict[str, str]


class _ReleaseDocument(BaseModel):
    model_config = _ENCODED

    kind: Literal["release"]
    version: Literal[1]
    model: Context
    holder: str
    requester: str
    slot: int
    attempt: int
    sealed: str


def _check_size(document: bytes, purpose: Purpose) -> None:
    if len(document) > MAX_DOCUMENT:
        raise IntegrityError(
            f"The {purpose.value} has {len(document)} bytes; {MAX_DOCUMENT} are possible.",
            hint="It was not written by C-DistriM. Ask its author.",
        )


def _sealed(text: str) -> bytes:
    sealed = base64.b64decode(text, validate=True)
    if len(sealed) != SEALED_SIZE:
        raise ValueError(f"a sealed key has {SEALED_SIZE} bytes, not {len(sealed)}")
    return sealed


def _malformed(purpose: Purpose) -> IntegrityError:
    return IntegrityError(
        f"The {purpose.value} is not a canonical document of version 1.",
        hint="It was altered, or written by another release of C-DistriM. Ask its author.",
    )
