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
:func:`encrypt` and :func:`decrypt` need room for their result and nothing else.
"""

from __future__ import annotations

import hmac
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

from cdistrim.buffers import Reserved
from cdistrim.errors import SealError, UsageError

__all__ = [
    "CHUNK_SIZE",
    "Context",
    "DataKey",
    "EnvelopeWriter",
    "account_of",
    "belongs",
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
_HEAD = _HEADER.size + _COMMITMENT
"""Bytes before the first chunk."""
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


class _Chunks:
    """The chunk cipher of one envelope (STREAM), and its commitment."""

    def __init__(self, key: DataKey, header: bytes, context: Context) -> None:
        salt = _HEADER.unpack(header)[3]
        self._bound = header + context.encode()
        info = b"C-DistriM envelope\x00" + self._bound
        material = HKDF(SHA256(), 32 + _PREFIX + _COMMITMENT, salt, info).derive(key.reveal())
        self._cipher = AESGCM(material[:32])
        self._prefix = material[32 : 32 + _PREFIX]
        self.commitment = material[32 + _PREFIX :]

    def encrypt(self, number: int, last: bool, piece: bytes) -> bytes:
        return self._cipher.encrypt(self._nonce(number, last), piece, self._bound)

    def encrypt_into(self, number: int, last: bool, piece: memoryview, room: memoryview) -> None:
        """Into exactly as much room as piece and tag take."""
        self._cipher.encrypt_into(self._nonce(number, last), piece, self._bound, room)

    def decrypt(self, number: int, last: bool, piece: bytes) -> bytes:
        """A chunk's plaintext.

        Raises:
            SealError: It was altered, or is not this one, or not of this envelope.
        """
        try:
            return self._cipher.decrypt(self._nonce(number, last), piece, self._bound)
        except (InvalidTag, ValueError):
            raise _broken_at(number) from None

    def decrypt_into(self, number: int, last: bool, piece: memoryview, room: memoryview) -> None:
        """As :meth:`decrypt`, into exactly as much room as the plaintext takes."""
        try:
            self._cipher.decrypt_into(self._nonce(number, last), piece, self._bound, room)
        except (InvalidTag, ValueError):
            raise _broken_at(number) from None

    def _nonce(self, number: int, last: bool) -> bytes:
        return self._prefix + struct.pack(">IB", number, last)


def _read(source: BinaryIO, size: int) -> bytes:
    """``size`` bytes, fewer at the end only: a stream may give less than was asked for."""
    pieces = [source.read(size)]
    missing = size - len(pieces[0])
    while missing and pieces[-1]:
        pieces.append(source.read(missing))
        missing -= len(pieces[-1])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _frames(source: BinaryIO, size: int) -> Iterator[tuple[int, bool, bytes]]:
    """(number, is last, bytes) of each piece of ``size`` bytes; at least one, if empty."""
    number, piece = 0, _read(source, size)
    while True:
        following = _read(source, size) if len(piece) == size else b""
        yield number, not following, piece
        if not following:
            return
        number, piece = number + 1, following


def _begin(key: DataKey, context: Context, chunk_size: int) -> tuple[bytes, _Chunks]:
    """Header and commitment of a new envelope, and its chunk cipher."""
    if not 0 < chunk_size <= MAX_CHUNK_SIZE:
        raise UsageError(
            f"A chunk of {chunk_size} bytes is not possible.",
            hint=f"Choose 1 to {MAX_CHUNK_SIZE} bytes.",
        )
    header = _HEADER.pack(_MAGIC, _VERSION, chunk_size, os.urandom(32))
    chunks = _Chunks(key, header, context)
    return header + chunks.commitment, chunks


def _resume(head: bytes, key: DataKey, context: Context) -> tuple[int, _Chunks]:
    """Chunk size and chunk cipher of the envelope that begins with ``head``.

    Raises:
        SealError: It begins otherwise, or under another key or context.
    """
    if len(head) < _HEAD:
        raise _broken("it is shorter than its header")
    header, claimed = head[: _HEADER.size], head[_HEADER.size :]
    magic, version, chunk_size, _ = _HEADER.unpack(header)
    if (magic, version) != (_MAGIC, _VERSION) or not 0 < chunk_size <= MAX_CHUNK_SIZE:
        raise _broken("it has no header of a known version")
    chunks = _Chunks(key, header, context)
    if not hmac.compare_digest(claimed, chunks.commitment):
        raise _broken("its header was altered, or it belongs to another key or context")
    return chunk_size, chunks


def encrypt_stream(
    source: BinaryIO, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
) -> Iterator[bytes]:
    """Pieces of the envelope of a binary stream, in order; memory stays flat.

    Args:
        source: The plaintext, until ``read`` gives nothing.
        chunk_size: Plaintext bytes of a chunk, 1 to 16 MiB.

    Raises:
        UsageError: The chunk size is out of range, or the plaintext has more than 2**32 chunks.
    """
    head, chunks = _begin(key, context, chunk_size)
    yield head
    for number, last, piece in _frames(source, chunk_size):
        # Before the chunk that would be the last possible one goes out as if more came.
        if number + (not last) >= _MAX_CHUNKS:
            raise _too_many(chunk_size)
        yield chunks.encrypt(number, last, piece)


class EnvelopeWriter:
    """A binary stream whose content goes to another one as an envelope, for who writes in pieces.

    Holds one chunk at a time. Only :meth:`finish` makes it whole; without, it does not open.

    Args:
        sink: Gets the envelope.
        chunk_size: Plaintext bytes of a chunk, 1 to 16 MiB.

    Raises:
        UsageError: The chunk size is out of range, or the plaintext has more than 2**32 chunks.
    """

    def __init__(
        self, sink: BinaryIO, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
    ) -> None:
        self._sink, self._size = sink, chunk_size
        head, self._chunks = _begin(key, context, chunk_size)
        self._number, self._held = 0, bytearray()
        sink.write(head)

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
        self._sink.write(self._chunks.encrypt(self._number, True, bytes(self._held)))
        self._held = bytearray()

    def _take(self, piece: memoryview) -> None:
        # A full chunk waits, too: it may be the last one, which is marked as such.
        room = self._size - len(self._held)
        self._held += piece[:room]
        if len(piece) > room:
            # Before the chunk that would be the last possible one goes out as if more came.
            if self._number + 1 >= _MAX_CHUNKS:
                raise _too_many(self._size)
            self._sink.write(self._chunks.encrypt(self._number, False, bytes(self._held)))
            self._number += 1
            self._held = bytearray(piece[room:])


def decrypt_stream(source: BinaryIO, key: DataKey, context: Context) -> Iterator[bytes]:
    """Pieces of the plaintext of an envelope, each authenticated before it is given out.

    A truncated envelope is noticed at its end only: use nothing before the iterator is exhausted.

    Raises:
        SealError: The envelope is truncated or altered, or belongs to another key or context.
    """
    chunk_size, chunks = _resume(_read(source, _HEAD), key, context)
    for number, last, piece in _frames(source, chunk_size + _TAG):
        if number >= _MAX_CHUNKS or (number and len(piece) <= _TAG):
            raise _broken_at(number)
        yield chunks.decrypt(number, last, piece)


def belongs(envelope: bytes, key: DataKey, context: Context) -> bool:
    """Whether an envelope was made with this key for this context, by its commitment alone.

    Says nothing about the chunks: only :func:`decrypt` does.
    """
    header, claimed = envelope[: _HEADER.size], envelope[_HEADER.size : _HEADER.size + _COMMITMENT]
    if len(claimed) < _COMMITMENT:
        return False
    return hmac.compare_digest(claimed, _Chunks(key, header, context).commitment)


def _broken(why: str) -> SealError:
    return SealError(
        f"The envelope does not open: {why}.",
        hint="Nothing was used. Fetch the object again and compare its hash with the ledger's.",
    )


def _broken_at(number: int) -> SealError:
    return _broken(f"chunk {number} is truncated, altered or out of place")


def _too_many(chunk_size: int) -> UsageError:
    return UsageError(
        f"The plaintext has more than {_MAX_CHUNKS} chunks of {chunk_size} bytes.",
        hint="Choose larger chunks.",
    )


def encrypt(
    plaintext: bytes, key: DataKey, context: Context, *, chunk_size: int = CHUNK_SIZE
) -> bytes:
    """The envelope of ``plaintext``; see :func:`encrypt_stream`."""
    head, chunks = _begin(key, context, chunk_size)
    count = _chunks_of(len(plaintext), chunk_size)
    if count > _MAX_CHUNKS:
        raise _too_many(chunk_size)
    whole = Reserved(envelope_size(len(plaintext), chunk_size=chunk_size))
    with whole.room(_HEAD) as room:
        room[:] = head
    plain = memoryview(plaintext)
    for number in range(count):
        piece = plain[number * chunk_size : (number + 1) * chunk_size]
        with whole.room(len(piece) + _TAG) as room:
            chunks.encrypt_into(number, number + 1 == count, piece, room)
    return whole.take()


def decrypt(envelope: bytes, key: DataKey, context: Context) -> bytes:
    """The plaintext, after all of the envelope was authenticated.

    Raises:
        SealError: The envelope is truncated or altered, or belongs to another key or context.
    """
    chunk_size, chunks = _resume(envelope[:_HEAD], key, context)
    body, step = memoryview(envelope)[_HEAD:], chunk_size + _TAG
    count = _chunks_of(len(body), step)
    # A last chunk without plaintext is one only where it is the first, too.
    if count > _MAX_CHUNKS or len(body) < (count - 1) * step + _TAG + (count > 1):
        raise _broken_at(count - 1)
    whole = Reserved(len(body) - count * _TAG)
    for number in range(count):
        piece = body[number * step : (number + 1) * step]
        with whole.room(len(piece) - _TAG) as room:
            chunks.decrypt_into(number, number + 1 == count, piece, room)
    return whole.take()


def _chunks_of(size: int, step: int) -> int:
    return max(1, -(-size // step))


def envelope_size(plaintext_size: int, *, chunk_size: int = CHUNK_SIZE) -> int:
    """Bytes of the envelope of ``plaintext_size`` bytes."""
    return _HEAD + plaintext_size + _chunks_of(plaintext_size, chunk_size) * _TAG
