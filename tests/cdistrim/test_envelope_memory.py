"""Rules of memory: a stream holds some chunks, a whole envelope its result, and nothing twice."""

from __future__ import annotations

import ctypes
import hashlib
import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from cdistrim import envelope
from cdistrim.buffers import Reserved
from cdistrim.envelope import (
    Context,
    decrypt,
    decrypt_stream,
    encrypt,
    encrypt_stream,
    envelope_size,
    new_data_key,
)
from cdistrim.errors import SealError, UsageError
from tests.cdistrim.envelope_by_the_page import CONTEXT as FIELDS
from tests.cdistrim.envelope_by_the_page import close_envelope

CONTEXT = Context(**FIELDS)
MIB = 1 << 20
KEY = new_data_key()


@contextmanager
def _peak() -> Iterator[list[int]]:
    """Bytes that the block had allocated at its worst moment, beyond those of before."""
    found: list[int] = []
    tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield found
        found.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


class _Generated:
    """A stream of ``size`` bytes that nobody has as a whole; ``digest`` is of what was read."""

    def __init__(self, size: int) -> None:
        self._left, self._block, self._count = size, bytearray(range(256)) * 4096, 0
        self.digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        self._count += 1
        self._block[:8] = self._count.to_bytes(8, "big")
        piece = bytes(memoryview(self._block)[: min(size, self._left)])
        self._left -= len(piece)
        self.digest.update(piece)
        return piece


class _Joined:
    """Pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int) -> bytes:
        self._rest = self._rest or next(self._pieces, b"")
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece


def test_memory_is_flat_while_256_mib_go_through_both_streams() -> None:
    source: Any = _Generated(256 * MIB)
    arrived = hashlib.sha256()
    with _peak() as peak:
        sealed = cast("Any", _Joined(encrypt_stream(source, KEY, CONTEXT)))
        for piece in decrypt_stream(sealed, KEY, CONTEXT):
            arrived.update(piece)
    assert arrived.digest() == source.digest.digest()
    assert peak[0] < 10 * MIB, "some chunks of 1 MiB on either side"


def test_a_whole_envelope_needs_room_for_its_result_only() -> None:
    plaintext = bytes(32 * MIB)
    with _peak() as writing:
        sealed = encrypt(plaintext, KEY, CONTEXT)
    with _peak() as reading:
        assert len(decrypt(sealed, KEY, CONTEXT)) == len(plaintext)
    for peak in (*writing, *reading):
        assert peak < 1.01 * len(plaintext)


def test_a_damaged_end_costs_no_more_than_a_whole_one() -> None:
    sealed = encrypt(bytes(32 * MIB), KEY, CONTEXT)[:-1] + b"\0\0"
    with _peak() as peak, pytest.raises(SealError):
        decrypt(sealed, KEY, CONTEXT)
    assert peak[0] < 33 * MIB


class TestReserved:
    def test_what_was_written_in_order_is_taken(self) -> None:
        whole = Reserved(6)
        for part in (b"ab", b"", b"cdef"):
            with whole.room(len(part)) as room:
                room[:] = part
        assert whole.take() == b"abcdef"

    def test_nothing_is_copied(self) -> None:
        with _peak() as peak:
            whole = Reserved(8 * MIB)
            with whole.room(8 * MIB) as room:
                room[0] = 1
            taken = whole.take()
        assert len(taken) == 8 * MIB
        assert peak[0] < 8.1 * MIB

    def test_a_room_that_is_still_held_changes_nothing_that_was_taken(self) -> None:
        whole = Reserved(4)
        room = whole.room(4)
        taken = whole.take()
        room[:] = b"late"
        assert taken == bytes(4)

    def test_where_the_system_knows_no_large_pages_it_works_without(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_library(_name: object) -> object:
            raise OSError

        monkeypatch.setattr(ctypes, "CDLL", no_library)
        assert Reserved(8 * MIB).take() == bytes(8 * MIB)

    @pytest.mark.parametrize("size", [0, 1, 2, 4095, 4096, 4 * MIB - 1, 4 * MIB, 4 * MIB + 1])
    def test_any_size_is_all_zero_at_first(self, size: int) -> None:
        assert Reserved(size).take() == bytes(size)


class TestTooManyChunks:
    """With a bound of three chunks instead of 2**32."""

    @pytest.fixture(autouse=True)
    def three(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(envelope, "_MAX_CHUNKS", 3)

    def test_as_many_as_there_are_numbers_for_are_written_and_read(self) -> None:
        for size in (33, 48):
            sealed = encrypt(bytes(size), KEY, CONTEXT, chunk_size=16)
            assert decrypt(sealed, KEY, CONTEXT) == bytes(size)
            stream = encrypt_stream(io.BytesIO(bytes(size)), KEY, CONTEXT, chunk_size=16)
            assert decrypt(b"".join(stream), KEY, CONTEXT) == bytes(size)

    def test_one_more_is_not_written_nor_its_predecessor_as_if_more_came(self) -> None:
        with pytest.raises(UsageError, match="more than 3 chunks of 16 bytes"):
            encrypt(bytes(49), KEY, CONTEXT, chunk_size=16)
        pieces = encrypt_stream(io.BytesIO(bytes(49)), KEY, CONTEXT, chunk_size=16)
        assert [len(next(pieces)) for _ in range(3)] == [73, 32, 32]
        with pytest.raises(UsageError, match="more than 3 chunks"):
            next(pieces)

    def test_one_more_is_not_read(self) -> None:
        salt = bytes(32)
        sealed = close_envelope(bytes(64), KEY.reveal(), FIELDS, salt, 16)
        with pytest.raises(SealError):
            decrypt(sealed, KEY, CONTEXT)
        with pytest.raises(SealError):
            list(decrypt_stream(io.BytesIO(sealed), KEY, CONTEXT))


def test_a_plaintext_has_one_envelope_only() -> None:
    """An empty chunk behind full ones, which only who has the key could write, is none."""
    sealed = _with_an_empty_last_chunk()
    with pytest.raises(SealError, match="chunk 1"):
        decrypt(sealed, KEY, CONTEXT)
    with pytest.raises(SealError, match="chunk 1"):
        list(decrypt_stream(io.BytesIO(sealed), KEY, CONTEXT))


def _with_an_empty_last_chunk() -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    from tests.cdistrim.envelope_by_the_page import context_text, parts

    header = b"CDM1\x01" + (16).to_bytes(4, "big") + bytes(32)
    key, prefix, commitment = parts(KEY.reveal(), header, FIELDS)
    sealed = header + commitment
    for number, (piece, last) in enumerate([(bytes(16), b"\0"), (b"", b"\1")]):
        nonce = prefix + number.to_bytes(4, "big") + last
        sealed += AESGCM(key).encrypt(nonce, piece, header + context_text(FIELDS))
    assert len(sealed) == envelope_size(16, chunk_size=16) + 16
    return sealed
