"""Envelopes: how a model lies in the store, encrypted under a key of its own.

All cryptography is the package ``cryptography``'s. An envelope is::

    header      magic "CDM1" | version (1 byte) | chunk size (4 bytes, big-endian) | salt (32 bytes)
    commitment  32 bytes
    chunk 0 … n AES-256-GCM of ``chunk size`` bytes each, the last one of 0 to ``chunk size`` bytes

HKDF-SHA256(data key, salt, info = header and context) gives the chunk key, a nonce prefix of 7
bytes and the commitment. A chunk's nonce is prefix | number (4 bytes) | 1 for the last chunk,
else 0; header and context are its associated data. This is the STREAM construction (Hoang,
Reyhanitabar, Rogaway, Vizár, CRYPTO 2015): chunks can't be dropped, swapped, repeated or taken
from another envelope. GCM alone can be made to open under two keys; the commitment rules that out,
and it tells a wrong key, context or header before any chunk is touched.

The streams keep memory flat; a file-to-file form can be put on top without touching the format.
"""

from __future__ import annotations

import hmac
import io
import json
import os
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import BinaryIO, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cdistrim.errors import SealError, UsageError

__all__ = [
    "CHUNK_SIZE",
    "Context",
    "DataKey",
    "EnvelopeWriter",
    "account_of",
    "canonical_json",
    "decrypt",
    "decrypt_stream",
    "encrypt",
    "encrypt_stream",
    "envelope_size",
    "new_data_key",
]

CHUNK_SIZE = 1 << 20
"""Default plaintext bytes of a chunk."""
MAX_CHUNK_SIZE = 1 << 24

_HEADER = struct.Struct(">4sBI32s")
_MAGIC, _VERSION = b"CDM1", 1
_COMMITMENT = 32
_TAG = 16
_PREFIX = 7
_MAX_CHUNKS = 1 << 32

_ACCOUNT = re.compile(r"0x[0-9a-f]{40}")


def account_of(text: str) -> str:
    """An address in lower case, so that checksummed and plain spellings are the same account.

    Raises:
        UsageError: It is none.
    """
    if not _ACCOUNT.fullmatch(text.lower()):
        raise UsageError(
            f"{text[:50]!r} is no account.", hint="Give an address: 0x and 40 hexadecimal digits."
        )
    return text.lower()


def canonical_json(document: Mapping[str, object]) -> bytes:
    """Sorted keys, no white space, ASCII only: the idea of RFC 8785."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Context:
    """Which model, where: bound into its envelope and into every sealed copy of its key.

    Args:
        chain_id: The chain's id (EIP-155).
        contract: Address of the contract.
        campaign: Number of the campaign.
        slot: Slot whose owner trained the model.
        attempt: Attempt of that slot.
        partner: Account of the uploader.

    Raises:
        UsageError: An address is malformed or a number negative.
    """

    chain_id: int
    contract: str
    campaign: int
    slot: int
    attempt: int
    partner: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "contract", account_of(self.contract))
        object.__setattr__(self, "partner", account_of(self.partner))
        if min(self.chain_id, self.campaign, self.slot, self.attempt) < 0:
            raise UsageError(f"{self} has a negative number.", hint="Take it from the ledger.")

    def encode(self) -> bytes:
        """Canonical JSON: equal contexts give equal bytes, different ones different bytes."""
        return canonical_json(asdict(self))


class DataKey:
    """A model's AES-256 key. Shows nothing in repr and refuses to be pickled or copied."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != 32:
            raise UsageError(f"A data key has 32 bytes, not {len(secret)}.")
        self._secret = bytes(secret)

    def reveal(self) -> bytes:
        """The 32 bytes themselves, for sealing only."""
        return self._secret

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataKey) and hmac.compare_digest(self._secret, other._secret)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "DataKey(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("keys are not pickled")


def new_data_key() -> DataKey:
    """A fresh random key. Every model gets its own."""
    return DataKey(os.urandom(32))


def _derive(key: DataKey, header: bytes, context: Context) -> tuple[AESGCM, bytes, bytes]:
    """Chunk cipher, nonce prefix and commitment of one envelope."""
    salt = _HEADER.unpack(header)[3]
    info = b"C-DistriM envelope\x00" + header + context.encode()
    material = HKDF(SHA256(), 32 + _PREFIX + _COMMITMENT, salt, info).derive(key.reveal())
    return AESGCM(material[:32]), material[32 : 32 + _PREFIX], material[32 + _PREFIX :]


def _frames(source: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """(number, is last, bytes) of each piece of ``size`` bytes; at least one, if empty."""
    number, piece = 0, source.read(size)
    while True:
        following = source.read(size) if len(piece) == size else b""
        yield number, not following, piece
        if not following:
            return
        number, piece = number + 1, following


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


class _Sealer:
    """Encrypts the chunks of one new envelope, in their order."""

    def __init__(self, key: DataKey, context: Context, chunk_size: int) -> None:
        if not 0 < chunk_size <= MAX_CHUNK_SIZE:
            raise UsageError(f"A chunk of {chunk_size} bytes is not possible.")
        header = _HEADER.pack(_MAGIC, _VERSION, chunk_size, os.urandom(32))
        self._cipher, self._prefix, commitment = _derive(key, header, context)
        self._associated = header + context.encode()
        self._number = 0
        self.start = header + commitment

    def seal(self, piece: bytes | bytearray, *, last: bool) -> bytes:
        """The next chunk."""
        if self._number >= _MAX_CHUNKS:
            raise UsageError("The plaintext is too large.", hint="Choose larger chunks.")
        nonce = _nonce(self._prefix, self._number, last)
        self._number += 1
        return self._cipher.encrypt(nonce, piece, self._associated)


def encrypt_stream(
    source: BinaryIO, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
) -> Iterator[bytes]:
    """Pieces of the envelope of a buffered binary stream, in order; memory stays flat.

    Args:
        source: The plaintext; ``read(n)`` must give n bytes unless the end is reached.
        chunk_size: Plaintext bytes of a chunk, 1 to 16 MiB.

    Raises:
        UsageError: The chunk size is out of range, or the plaintext has 2**32 chunks or more.
    """
    sealer = _Sealer(key, context, chunk_size)
    yield sealer.start
    for _, last, piece in _frames(source, chunk_size):
        yield sealer.seal(piece, last=last)


class EnvelopeWriter:
    """A binary stream whose content goes to another one as an envelope, for who writes in pieces.

    Holds one chunk at a time. Only :meth:`finish` makes it whole; without, it does not open.

    Args:
        sink: Gets the envelope.
        chunk_size: Plaintext bytes of a chunk, 1 to 16 MiB.

    Raises:
        UsageError: The chunk size is out of range, or the plaintext has 2**32 chunks or more.
    """

    def __init__(
        self, sink: BinaryIO, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
    ) -> None:
        self._sink, self._size = sink, chunk_size
        self._sealer = _Sealer(key, context, chunk_size)
        self._held = bytearray()
        sink.write(self._sealer.start)

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take all of the bytes; how many they were."""
        view = memoryview(data).cast("B")
        for at in range(0, len(view), self._size):
            self._take(view[at : at + self._size])
        return len(view)

    def flush(self) -> None:
        """Nothing: an incomplete chunk waits for more."""

    def finish(self) -> None:
        """Write the last chunk. The sink stays open."""
        self._sink.write(self._sealer.seal(self._held, last=True))
        self._held = bytearray()

    def _take(self, piece: memoryview) -> None:
        # A full chunk waits, too: it may be the last one, which is marked as such.
        room = self._size - len(self._held)
        self._held += piece[:room]
        if len(piece) > room:
            self._sink.write(self._sealer.seal(self._held, last=False))
            self._held = bytearray(piece[room:])


def decrypt_stream(source: BinaryIO, key: DataKey, context: Context) -> Iterator[bytes]:
    """Pieces of the plaintext of an envelope, each authenticated before it is given out.

    A truncated envelope is noticed at its end only: use nothing before the iterator is exhausted.

    Raises:
        SealError: The envelope is truncated or altered, or belongs to another key or context.
    """
    header, claimed = source.read(_HEADER.size), source.read(_COMMITMENT)
    if len(header) + len(claimed) < _HEADER.size + _COMMITMENT:
        raise _broken("it is shorter than its header")
    magic, version, chunk_size, _ = _HEADER.unpack(header)
    if (magic, version) != (_MAGIC, _VERSION) or not 0 < chunk_size <= MAX_CHUNK_SIZE:
        raise _broken("it has no header of a known version")
    cipher, prefix, commitment = _derive(key, header, context)
    if not hmac.compare_digest(claimed, commitment):
        raise _broken("its header was altered, or it belongs to another key or context")
    associated = header + context.encode()
    for number, last, piece in _frames(source, chunk_size + _TAG):
        try:
            plain = cipher.decrypt(_nonce(prefix, number % _MAX_CHUNKS, last), piece, associated)
        except (InvalidTag, ValueError):
            raise _broken(f"chunk {number} is truncated, altered or out of place") from None
        yield plain


def _broken(why: str) -> SealError:
    return SealError(
        f"The envelope does not open: {why}.",
        hint="Nothing was used. Fetch the object again and compare its hash with the ledger's.",
    )


def encrypt(
    plaintext: bytes, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
) -> bytes:
    """The envelope of ``plaintext``; see :func:`encrypt_stream`."""
    return b"".join(encrypt_stream(io.BytesIO(plaintext), key, context, chunk_size=chunk_size))


def decrypt(envelope: bytes, key: DataKey, context: Context) -> bytes:
    """The plaintext, after all of the envelope was authenticated.

    Raises:
        SealError: The envelope is truncated or altered, or belongs to another key or context.
    """
    return b"".join(decrypt_stream(io.BytesIO(envelope), key, context))


def envelope_size(plaintext_size: int, *, chunk_size: int = CHUNK_SIZE) -> int:
    """Bytes of the envelope of ``plaintext_size`` bytes."""
    chunks = max(1, -(-plaintext_size // chunk_size))
    return _HEADER.size + _COMMITMENT + plaintext_size + chunks * _TAG
