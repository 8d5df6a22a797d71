"""Rules of any envelope, whatever is in it: only the whole, unaltered one opens."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cdistrim.envelope import (
    Context,
    DataKey,
    decrypt,
    decrypt_stream,
    encrypt,
    encrypt_stream,
    envelope_size,
)
from cdistrim.errors import SealError

HEAD, TAG = 73, 16
MOST = 1 << 63

keys = st.binary(min_size=32, max_size=32).map(DataKey)
accounts = st.binary(min_size=20, max_size=20).map(lambda address: "0x" + address.hex())
numbers = st.integers(0, MOST)
contexts = st.builds(
    Context,
    chain_id=numbers,
    contract=accounts,
    campaign=numbers,
    slot=numbers,
    attempt=numbers,
    partner=accounts,
)
plaintexts = st.binary(max_size=160)
chunk_sizes = st.integers(1, 48)


def _by_stream(envelope: bytes, key: DataKey, context: Context) -> bytes:
    return b"".join(decrypt_stream(io.BytesIO(envelope), key, context))


def _refused(envelope: bytes, key: DataKey, context: Context) -> None:
    """By both ways of reading; the stream may have given out authentic chunks before."""
    for opening in (decrypt, _by_stream):
        with pytest.raises(SealError):
            opening(envelope, key, context)


def _chunks(envelope: bytes, chunk_size: int) -> list[bytes]:
    body, step = envelope[HEAD:], chunk_size + TAG
    return [body[at : at + step] for at in range(0, len(body), step)]


@given(plaintext=plaintexts, chunk_size=chunk_sizes, key=keys, context=contexts)
def test_both_ways_of_writing_are_read_both_ways(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context
) -> None:
    whole = encrypt(plaintext, key, context, chunk_size=chunk_size)
    stream = encrypt_stream(io.BytesIO(plaintext), key, context, chunk_size=chunk_size)
    for envelope in (whole, b"".join(stream)):
        assert decrypt(envelope, key, context) == plaintext
        assert _by_stream(envelope, key, context) == plaintext
        assert len(envelope) == envelope_size(len(plaintext), chunk_size=chunk_size)


@given(plaintext=plaintexts, chunk_size=chunk_sizes, key=keys, context=contexts)
def test_equal_plaintexts_give_envelopes_without_a_common_part(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context
) -> None:
    one, other = (encrypt(plaintext, key, context, chunk_size=chunk_size) for _ in range(2))
    assert one[9:41] != other[9:41]
    assert one[41:HEAD] != other[41:HEAD]
    assert not set(_chunks(one, chunk_size)) & set(_chunks(other, chunk_size))


@given(plaintext=plaintexts, chunk_size=chunk_sizes, key=keys, context=contexts, data=st.data())
def test_truncation_at_any_byte_is_refused(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context, data: st.DataObject
) -> None:
    envelope = encrypt(plaintext, key, context, chunk_size=chunk_size)
    step = chunk_size + TAG
    cuts = st.one_of(
        st.integers(0, len(envelope) - 1),
        st.sampled_from(range(HEAD, len(envelope), step)),
    )
    _refused(envelope[: data.draw(cuts)], key, context)


@given(
    plaintext=plaintexts,
    chunk_size=chunk_sizes,
    key=keys,
    context=contexts,
    more=st.binary(min_size=1, max_size=80),
)
def test_an_envelope_that_goes_on_is_refused(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context, more: bytes
) -> None:
    envelope = encrypt(plaintext, key, context, chunk_size=chunk_size)
    _refused(envelope + more, key, context)
    _refused(envelope + _chunks(envelope, chunk_size)[-1], key, context)


@given(plaintext=plaintexts, chunk_size=chunk_sizes, key=keys, context=contexts, data=st.data())
def test_any_flipped_bits_are_noticed(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context, data: st.DataObject
) -> None:
    envelope = encrypt(plaintext, key, context, chunk_size=chunk_size)
    damaged = bytearray(envelope)
    bits = st.sets(st.integers(0, 8 * len(envelope) - 1), min_size=1, max_size=9)
    for bit in data.draw(bits):
        damaged[bit // 8] ^= 1 << bit % 8
    _refused(bytes(damaged), key, context)


@given(
    plaintext=st.binary(min_size=3, max_size=160),
    chunk_size=st.integers(1, 24),
    key=keys,
    context=contexts,
    data=st.data(),
)
def test_any_other_order_or_number_of_chunks_is_refused(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context, data: st.DataObject
) -> None:
    envelope = encrypt(plaintext, key, context, chunk_size=chunk_size)
    chunks = _chunks(envelope, chunk_size)
    every = list(range(len(chunks)))
    order = data.draw(
        st.one_of(
            st.permutations(every),
            st.lists(st.sampled_from(every), max_size=len(chunks) + 3),
            st.sets(st.sampled_from(every)).map(sorted),
        )
    )
    assume(order != every)
    _refused(envelope[:HEAD] + b"".join(chunks[number] for number in order), key, context)


@given(
    plaintext=st.binary(min_size=1, max_size=160),
    chunk_size=st.integers(1, 24),
    key=keys,
    other_key=keys,
    context=contexts,
    data=st.data(),
)
@pytest.mark.parametrize("same_key", [True, False])
def test_two_envelopes_of_one_context_can_not_be_spliced(
    same_key: bool,
    plaintext: bytes,
    chunk_size: int,
    key: DataKey,
    other_key: DataKey,
    context: Context,
    data: st.DataObject,
) -> None:
    assume(same_key or key != other_key)
    second = key if same_key else other_key
    pair = [encrypt(plaintext, one, context, chunk_size=chunk_size) for one in (key, second)]
    # Header, salt, commitment and each chunk come from either of the two.
    ends = [9, 41, HEAD]
    while ends[-1] < len(pair[0]):
        ends.append(min(ends[-1] + chunk_size + TAG, len(pair[0])))
    origins = data.draw(st.lists(st.integers(0, 1), min_size=len(ends), max_size=len(ends)))
    # The header's first nine bytes are the same in both.
    assume(len(set(origins[1:])) == 2)
    spans = zip([0, *ends], ends, origins, strict=False)
    spliced = b"".join(pair[origin][begin:end] for begin, end, origin in spans)
    for one in (key, second):
        _refused(spliced, one, context)


@given(plaintext=plaintexts, key=keys, other=keys, context=contexts)
def test_another_key_is_refused(
    plaintext: bytes, key: DataKey, other: DataKey, context: Context
) -> None:
    assume(key != other)
    _refused(encrypt(plaintext, key, context), other, context)


@given(
    plaintext=plaintexts,
    key=keys,
    context=contexts,
    changes=st.fixed_dictionaries(
        {},
        optional={
            "chain_id": numbers,
            "contract": accounts,
            "campaign": numbers,
            "slot": numbers,
            "attempt": numbers,
            "partner": accounts,
        },
    ),
)
def test_a_context_that_differs_in_any_fields_is_refused(
    plaintext: bytes, key: DataKey, context: Context, changes: dict[str, Any]
) -> None:
    other = replace(context, **changes)
    assume(other != context)
    _refused(encrypt(plaintext, key, context), key, other)


@given(first=numbers, second=numbers, key=keys, context=contexts)
def test_fields_that_change_places_are_another_context(
    first: int, second: int, key: DataKey, context: Context
) -> None:
    assume(first != second)
    names = ("chain_id", "campaign", "slot", "attempt")
    for one in names:
        for other in names[names.index(one) + 1 :]:
            mine: dict[str, Any] = {one: first, other: second}
            swapped: dict[str, Any] = {one: second, other: first}
            envelope = encrypt(b"", key, replace(context, **mine))
            _refused(envelope, key, replace(context, **swapped))


class _Trickle:
    """A stream that gives fewer bytes than were asked for, as pipes and sockets do."""

    def __init__(self, content: bytes, sizes: Callable[[], int]) -> None:
        self._inner, self._sizes = io.BytesIO(content), sizes

    def read(self, size: int) -> bytes:
        return self._inner.read(min(size, self._sizes()))


@given(plaintext=plaintexts, chunk_size=chunk_sizes, key=keys, context=contexts, data=st.data())
def test_a_stream_that_trickles_loses_nothing(
    plaintext: bytes, chunk_size: int, key: DataKey, context: Context, data: st.DataObject
) -> None:
    def trickle(content: bytes) -> Any:  # noqa: ANN401  stands for a BinaryIO
        return cast("Any", _Trickle(content, lambda: data.draw(st.integers(1, 50))))

    envelope = b"".join(encrypt_stream(trickle(plaintext), key, context, chunk_size=chunk_size))
    assert decrypt(envelope, key, context) == plaintext
    assert b"".join(decrypt_stream(trickle(envelope), key, context)) == plaintext
