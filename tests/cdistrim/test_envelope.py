"""Rules of the envelope: what an attacker who holds the ciphertext can't do to it."""

from __future__ import annotations

import io
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdistrim.envelope import (
    CHUNK_SIZE,
    Context,
    DataKey,
    EnvelopeWriter,
    decrypt,
    decrypt_stream,
    encrypt,
    encrypt_stream,
    envelope_size,
    new_data_key,
)
from cdistrim.errors import SealError, UsageError

CONTEXT = Context(
    chain_id=31337,
    contract="0x" + "ab" * 20,
    campaign=1,
    slot=2,
    attempt=0,
    partner="0x" + "1" * 40,
)
KEY = DataKey(bytes(range(32)))
START = 41 + 32
CHUNK = 16
STEP = CHUNK + 16
THREE = bytes(range(40))
"""Two full chunks and a half one."""


def _three_chunks() -> tuple[bytes, list[bytes]]:
    envelope = encrypt(THREE, KEY, CONTEXT, chunk_size=CHUNK)
    body = envelope[START:]
    return envelope[:START], [body[at : at + STEP] for at in range(0, len(body), STEP)]


def _refused(envelope: bytes, key: DataKey = KEY, context: Context = CONTEXT) -> None:
    with pytest.raises(SealError):
        decrypt(envelope, key, context)


@given(plaintext=st.binary(max_size=200), chunk_size=st.integers(1, 64))
def test_what_was_encrypted_decrypts_and_has_the_foretold_size(
    plaintext: bytes, chunk_size: int
) -> None:
    envelope = encrypt(plaintext, KEY, CONTEXT, chunk_size=chunk_size)
    assert decrypt(envelope, KEY, CONTEXT) == plaintext
    assert len(envelope) == envelope_size(len(plaintext), chunk_size=chunk_size)


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 3 * CHUNK_SIZE])
def test_sizes_around_the_default_chunk_round_trip(size: int) -> None:
    plaintext = bytes(size)
    assert decrypt(encrypt(plaintext, KEY, CONTEXT), KEY, CONTEXT) == plaintext


def test_the_streams_hold_one_chunk_at_a_time() -> None:
    pieces = list(encrypt_stream(io.BytesIO(THREE), KEY, CONTEXT, chunk_size=CHUNK))
    assert [len(piece) for piece in pieces] == [START, STEP, STEP, 8 + 16]
    plain = list(decrypt_stream(io.BytesIO(b"".join(pieces)), KEY, CONTEXT))
    assert [len(piece) for piece in plain] == [CHUNK, CHUNK, 8]


@given(pieces=st.lists(st.binary(max_size=100), max_size=6), chunk_size=st.integers(1, 64))
def test_what_is_written_in_pieces_is_an_envelope_as_any_other(
    pieces: list[bytes], chunk_size: int
) -> None:
    sink = io.BytesIO()
    writer = EnvelopeWriter(sink, KEY, CONTEXT, chunk_size=chunk_size)
    for piece in pieces:
        assert writer.write(memoryview(piece)) == len(piece)
        writer.flush()
    writer.finish()
    plaintext = b"".join(pieces)
    assert decrypt(sink.getvalue(), KEY, CONTEXT) == plaintext
    assert len(sink.getvalue()) == envelope_size(len(plaintext), chunk_size=chunk_size)


@pytest.mark.parametrize("size", [0, CHUNK, CHUNK + 1, len(THREE)])
def test_an_envelope_that_was_not_finished_does_not_open(size: int) -> None:
    sink = io.BytesIO()
    EnvelopeWriter(sink, KEY, CONTEXT, chunk_size=CHUNK).write(THREE[:size])
    _refused(sink.getvalue())


def test_the_writer_holds_one_chunk_at_most() -> None:
    sink = io.BytesIO()
    writer = EnvelopeWriter(sink, KEY, CONTEXT, chunk_size=CHUNK)
    assert len(sink.getvalue()) == START
    writer.write(THREE)
    assert len(sink.getvalue()) == START + 2 * STEP


def test_the_same_plaintext_never_gives_the_same_ciphertext() -> None:
    first, second = (encrypt(THREE, KEY, CONTEXT) for _ in range(2))
    assert first[START:] != second[START:]


def test_an_envelope_truncated_anywhere_is_refused() -> None:
    envelope = encrypt(THREE, KEY, CONTEXT, chunk_size=CHUNK)
    for length in range(len(envelope)):
        _refused(envelope[:length])


def test_an_envelope_that_goes_on_is_refused() -> None:
    head, chunks = _three_chunks()
    whole = head + b"".join(chunks)
    for more in (b"\0", chunks[-1], chunks[0], whole):
        _refused(whole + more)


def test_every_flipped_bit_is_noticed() -> None:
    envelope = encrypt(THREE, KEY, CONTEXT, chunk_size=CHUNK)
    for at in range(len(envelope)):
        for bit in (0, 7):
            damaged = bytearray(envelope)
            damaged[at] ^= 1 << bit
            _refused(bytes(damaged))


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (0, 0, 1, 2), (0, 2), (1, 2), (0, 1), (2,), (0, 1, 1, 2)]
)
def test_chunks_out_of_order_repeated_or_left_out_are_refused(order: tuple[int, ...]) -> None:
    head, chunks = _three_chunks()
    _refused(head + b"".join(chunks[number] for number in order))


def test_two_envelopes_under_one_key_and_context_can_not_be_spliced() -> None:
    (head, one), (other_head, two) = _three_chunks(), _three_chunks()
    _refused(head + one[0] + two[1] + one[2])
    _refused(head + b"".join(two))
    _refused(other_head + b"".join(one))
    _refused(head[:41] + other_head[41:] + b"".join(one))


def test_another_key_is_refused() -> None:
    _refused(encrypt(THREE, KEY, CONTEXT), key=new_data_key())


@pytest.mark.parametrize(
    "field", ["chain_id", "contract", "campaign", "slot", "attempt", "partner"]
)
def test_a_context_that_differs_in_any_field_is_refused(field: str) -> None:
    value = getattr(CONTEXT, field)
    other = value + 1 if isinstance(value, int) else "0x" + "9" * 40
    changed: dict[str, Any] = {field: other}
    _refused(encrypt(THREE, KEY, CONTEXT), context=replace(CONTEXT, **changed))


def test_a_wrong_key_is_noticed_before_any_chunk_is_decrypted() -> None:
    stream = io.BytesIO(encrypt(bytes(CHUNK_SIZE), KEY, CONTEXT))
    with pytest.raises(SealError):
        next(decrypt_stream(stream, new_data_key(), CONTEXT))
    assert stream.tell() == START


def test_a_checksummed_address_means_the_same_context() -> None:
    assert replace(CONTEXT, contract=CONTEXT.contract.upper().replace("X", "x")) == CONTEXT


@given(a=st.tuples(*[st.integers(0, 9999)] * 4), b=st.tuples(*[st.integers(0, 9999)] * 4))
def test_different_contexts_have_different_encodings(
    a: tuple[int, int, int, int], b: tuple[int, int, int, int]
) -> None:
    encoded = [
        replace(CONTEXT, chain_id=c, campaign=d, slot=e, attempt=f).encode()
        for c, d, e, f in (a, b)
    ]
    assert (encoded[0] == encoded[1]) == (a == b)


@pytest.mark.parametrize("address", ["", "0x", "hospital-1", "ab" * 20, "0x" + "g" * 40])
def test_a_malformed_address_is_the_callers_mistake(address: str) -> None:
    with pytest.raises(UsageError):
        replace(CONTEXT, contract=address)


def test_a_data_key_shows_nothing_and_is_not_pickled() -> None:
    key = new_data_key()
    assert key.reveal().hex() not in repr(key)
    assert str(key.reveal()) not in f"{key} {key!r}"
    with pytest.raises(TypeError):
        pickle.dumps(key)
