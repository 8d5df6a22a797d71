"""Sealing: a secret that only its recipient can open.

HPKE (RFC 9180; the package ``cryptography`` does it), bound to chain, contract, campaign, model,
recipient and purpose. What is sealed are shares of a model's data key (:mod:`cdistrim.capsule`,
:mod:`cdistrim.messages`) and, in evaluate grants, the key itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cdistrim.envelope import Context, DataKey, account_of, canonical_json
from cdistrim.errors import SealError

__all__ = [
    "OVERHEAD",
    "PUBLIC_KEY_SIZE",
    "Purpose",
    "SealingKey",
    "open_sealed",
    "public_digest",
    "seal",
]

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_SEED, _MLKEM_PUBLIC, _X25519 = 64, 1184, 32
PUBLIC_KEY_SIZE = _MLKEM_PUBLIC + _X25519
"""Bytes of a public sealing key: ML-KEM-768 (FIPS 203), then X25519 (RFC 7748)."""
OVERHEAD = hpke.KEM.MLKEM768_X25519.enc_length() + 16
"""Bytes by which a sealed secret is longer than the secret: encapsulation and tag."""


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
    """Why something is sealed; what was sealed for one purpose does not open for another."""

    CAPSULE = "capsule"
    """A share, to its holder, deposited with the model."""
    SHARES = "shares"
    """A share, to its holder, published again by an evaluator that has checked it."""
    RELEASE = "release"
    """A share, by its holder, to a requester's one-time key after the grant."""
    GRANT = "grant"
    """A data key, to the one-time key of an evaluator that shall measure the model."""


def _info(
    context: Context, purpose: Purpose, recipient: str, binding: Mapping[str, int | str] | None
) -> bytes:
    """HPKE's ``info`` (RFC 9180, section 5.1): everything that a sealed secret is bound to."""
    return b"C-DistriM sealed key\x00" + canonical_json(
        {
            "context": asdict(context),
            "purpose": purpose.value,
            "recipient": account_of(recipient),
            "binding": dict(binding or {}),
        }
    )


def seal(
    secret: bytes,
    recipient_public: bytes,
    context: Context,
    purpose: Purpose,
    recipient: str,
    binding: Mapping[str, int | str] | None = None,
) -> bytes:
    """Seal a secret to a recipient (RFC 9180, base mode, single shot): 1136 bytes longer.

    Base mode says who can open, not who sealed: whether a share is the right one shows by its
    digest, whether a key is by what it opens.

    Args:
        recipient_public: Public sealing key, 1216 bytes.
        context: The model that the secret is about.
        recipient: The recipient's account.
        binding: Whatever else the sealed secret shall be bound to.

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
        return _SUITE.encrypt(secret, public, _info(context, purpose, recipient, binding))
    except ValueError:
        raise SealError(
            f"The public sealing key of {recipient} is malformed ({len(recipient_public)} bytes).",
            hint="Its owner must publish a valid key.",
        ) from None


def open_sealed(
    sealed: bytes,
    sealing_key: SealingKey,
    context: Context,
    purpose: Purpose,
    recipient: str,
    binding: Mapping[str, int | str] | None = None,
) -> bytes:
    """Open what :func:`seal` made with the same arguments.

    Raises:
        SealError: Altered, or sealed to another key, for another context or another purpose.
    """
    try:
        return sealing_key._decrypt(sealed, _info(context, purpose, recipient, binding))
    except (InvalidTag, ValueError):
        raise SealError(
            f"What was sealed to {recipient} in this {purpose.value} does not open.",
            hint="It was altered, or sealed to another key or for another model.",
        ) from None
