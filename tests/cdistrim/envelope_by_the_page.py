"""Envelopes a second time, written from ``docs/envelope.md`` alone, and fixed vectors made so.

Nothing of ``cdistrim`` is imported: HKDF is ``hmac`` and ``hashlib`` here, the context is written
out by hand. Run as ``python -m tests.cdistrim.envelope_by_the_page``, it prints
``docs/envelope-vectors.json``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["NotAnEnvelope", "close_envelope", "open_envelope", "plaintext_of", "vectors"]

SHOWN = 512
"""Envelopes up to so many bytes are in the vectors as they are, larger ones by their hash."""


class NotAnEnvelope(Exception):
    """These bytes are none, or not under this key and context."""


def context_text(context: dict[str, Any]) -> bytes:
    """The context as the page shows it: six fields in alphabetical order, no white space."""
    names = ("attempt", "campaign", "chain_id", "contract", "partner", "slot")
    parts = []
    for name in names:
        value = context[name]
        parts.append(f'"{name}":"{value}"' if isinstance(value, str) else f'"{name}":{value}')
    return ("{" + ",".join(parts) + "}").encode("ascii")


def hkdf(key: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    """RFC 5869 with SHA-256."""
    extracted = hmac.new(salt, key, hashlib.sha256).digest()
    made = block = b""
    number = 0
    while len(made) < size:
        number += 1
        block = hmac.new(extracted, block + info + bytes([number]), hashlib.sha256).digest()
        made += block
    return made[:size]


def parts(key: bytes, header: bytes, context: dict[str, Any]) -> tuple[bytes, bytes, bytes]:
    """Chunk key (32 bytes), nonce prefix (7), commitment (32)."""
    info = b"C-DistriM envelope\0" + header + context_text(context)
    made = hkdf(key, header[9:41], info, 71)
    return made[:32], made[32:39], made[39:]


def close_envelope(
    plaintext: bytes, key: bytes, context: dict[str, Any], salt: bytes, chunk_size: int
) -> bytes:
    """The one envelope of this plaintext with this salt and chunk size."""
    header = b"CDM1" + b"\x01" + chunk_size.to_bytes(4, "big") + salt
    chunk_key, prefix, commitment = parts(key, header, context)
    pieces = [plaintext[at : at + chunk_size] for at in range(0, len(plaintext), chunk_size)]
    envelope = header + commitment
    for number, piece in enumerate(pieces or [b""]):
        last = b"\1" if number + 1 >= len(pieces) else b"\0"
        nonce = prefix + number.to_bytes(4, "big") + last
        envelope += AESGCM(chunk_key).encrypt(nonce, piece, header + context_text(context))
    return envelope


def open_envelope(envelope: bytes, key: bytes, context: dict[str, Any]) -> bytes:
    """The plaintext.

    Raises:
        NotAnEnvelope: It does not open.
    """
    header, claimed, body = envelope[:41], envelope[41:73], envelope[73:]
    if len(header) < 41 or header[:5] != b"CDM1\x01":
        raise NotAnEnvelope
    chunk_key, prefix, commitment = parts(key, header, context)
    if claimed != commitment:
        raise NotAnEnvelope
    step = int.from_bytes(header[5:9], "big") + 16
    chunks = [body[at : at + step] for at in range(0, len(body), step)]
    plaintext = b""
    for number, chunk in enumerate(chunks or [b""]):
        last = b"\1" if number + 1 >= len(chunks) else b"\0"
        nonce = prefix + number.to_bytes(4, "big") + last
        try:
            plaintext += AESGCM(chunk_key).decrypt(nonce, chunk, header + context_text(context))
        except (InvalidTag, ValueError):
            raise NotAnEnvelope from None
    return plaintext


def plaintext_of(size: int) -> bytes:
    """The vectors' plaintext of ``size`` bytes: 0, 1, … 250, 0, 1, …"""
    return (bytes(range(251)) * (size // 251 + 1))[:size]


CONTEXT: dict[str, Any] = {
    "chain_id": 31337,
    "contract": "0x" + "ab" * 20,
    "campaign": 1,
    "slot": 2,
    "attempt": 1,
    "partner": "0x" + "cd" * 20,
}
LATER = CONTEXT | {"chain_id": 1, "campaign": 12, "slot": 340, "attempt": 0}
DEFAULT = 1 << 20

CASES: tuple[tuple[str, dict[str, Any], int, int], ...] = (
    ("empty", CONTEXT, DEFAULT, 0),
    ("one byte", CONTEXT, DEFAULT, 1),
    ("exactly one small chunk", CONTEXT, 16, 16),
    ("one byte more than a small chunk", CONTEXT, 16, 17),
    ("several small chunks, the last one half", CONTEXT, 16, 40),
    ("several small chunks, all full", LATER, 16, 48),
    ("chunks of one byte", LATER, 1, 3),
    ("exactly one chunk", CONTEXT, DEFAULT, DEFAULT),
    ("one byte more than a chunk", CONTEXT, DEFAULT, DEFAULT + 1),
    ("three chunks and a bit", LATER, DEFAULT, 3 * DEFAULT + 5),
)
"""Name, context, chunk size, size of the plaintext."""


def vectors() -> dict[str, Any]:
    """What ``docs/envelope-vectors.json`` says."""
    return {
        "format": "CDM1, version 1: docs/envelope.md",
        "plaintext": "byte i is i mod 251",
        "vectors": [_vector(*case) for case in CASES],
    }


def _vector(name: str, context: dict[str, Any], chunk_size: int, size: int) -> dict[str, Any]:
    key = hashlib.sha256(f"key of: {name}".encode()).digest()
    salt = hashlib.sha256(f"salt of: {name}".encode()).digest()
    envelope = close_envelope(plaintext_of(size), key, context, salt, chunk_size)
    chunk_key, prefix, commitment = parts(key, envelope[:41], context)
    return {
        "name": name,
        "key": key.hex(),
        "context": context,
        "salt": salt.hex(),
        "chunk_size": chunk_size,
        "chunk_key": chunk_key.hex(),
        "nonce_prefix": prefix.hex(),
        "commitment": commitment.hex(),
        "plaintext_bytes": size,
        "plaintext_sha256": hashlib.sha256(plaintext_of(size)).hexdigest(),
        "envelope_bytes": len(envelope),
        "envelope_sha256": hashlib.sha256(envelope).hexdigest(),
    } | ({"envelope": envelope.hex()} if len(envelope) <= SHOWN else {})


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vectors(), indent=1) + "\n")
