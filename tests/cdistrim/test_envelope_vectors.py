"""The bytes of an envelope: fixed vectors, and a second implementation written from the page."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdistrim.envelope import Context, DataKey, decrypt, encrypt, envelope_size
from cdistrim.errors import SealError
from tests.cdistrim.envelope_by_the_page import (
    CONTEXT,
    NotAnEnvelope,
    close_envelope,
    open_envelope,
    plaintext_of,
    vectors,
)
from tests.docs.pages import ROOT

VECTORS: list[dict[str, Any]] = json.loads((ROOT / "docs" / "envelope-vectors.json").read_text())[
    "vectors"
]
KEY = bytes(range(32))

FIXED_SALT = hashlib.sha256(b"a salt").digest()


def _named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def _envelope_of(vector: dict[str, Any]) -> bytes:
    """By the second implementation; it is the vector's to the byte."""
    key, salt = bytes.fromhex(vector["key"]), bytes.fromhex(vector["salt"])
    plaintext = plaintext_of(vector["plaintext_bytes"])
    envelope = close_envelope(plaintext, key, vector["context"], salt, vector["chunk_size"])
    assert hashlib.sha256(envelope).hexdigest() == vector["envelope_sha256"]
    return envelope


def test_the_file_is_what_the_page_makes() -> None:
    written = (ROOT / "docs" / "envelope-vectors.json").read_text(encoding="utf-8")
    assert json.loads(written) == vectors(), (
        "run python -m tests.cdistrim.envelope_by_the_page > docs/envelope-vectors.json"
    )


@pytest.mark.parametrize("vector", VECTORS, ids=_named)
def test_the_library_opens_a_vector(vector: dict[str, Any]) -> None:
    envelope = _envelope_of(vector)
    key, context = DataKey(bytes.fromhex(vector["key"])), Context(**vector["context"])
    plaintext = decrypt(envelope, key, context)
    assert plaintext == plaintext_of(vector["plaintext_bytes"])
    assert hashlib.sha256(plaintext).hexdigest() == vector["plaintext_sha256"]
    size = envelope_size(len(plaintext), chunk_size=vector["chunk_size"])
    assert size == vector["envelope_bytes"] == len(envelope)


@pytest.mark.parametrize("vector", VECTORS, ids=_named)
def test_what_the_library_writes_is_the_vector_but_for_its_salt(vector: dict[str, Any]) -> None:
    raw, context = bytes.fromhex(vector["key"]), Context(**vector["context"])
    plaintext, chunk_size = plaintext_of(vector["plaintext_bytes"]), vector["chunk_size"]
    envelope = encrypt(plaintext, DataKey(raw), context, chunk_size=chunk_size)
    salt = envelope[9:41]
    assert salt.hex() != vector["salt"]
    assert envelope == close_envelope(plaintext, raw, vector["context"], salt, chunk_size)


def test_the_vectors_cover_the_sizes_that_matter() -> None:
    sizes = {(one["plaintext_bytes"], one["chunk_size"]) for one in VECTORS}
    assert {(0, 1 << 20), (1, 1 << 20), (1 << 20, 1 << 20), ((1 << 20) + 1, 1 << 20)} <= sizes
    assert {size // chunk for size, chunk in sizes} >= {0, 1, 2, 3}
    assert sum("envelope" in one for one in VECTORS) >= 5


@given(plaintext=st.binary(max_size=200), chunk_size=st.integers(1, 64))
def test_each_implementation_opens_what_the_other_writes(plaintext: bytes, chunk_size: int) -> None:
    key, context = DataKey(KEY), Context(**CONTEXT)
    ours = encrypt(plaintext, key, context, chunk_size=chunk_size)
    assert open_envelope(ours, KEY, CONTEXT) == plaintext
    theirs = close_envelope(plaintext, KEY, CONTEXT, FIXED_SALT, chunk_size)
    assert decrypt(theirs, key, context) == plaintext


@given(st.data())
def test_both_refuse_the_same_damage(data: st.DataObject) -> None:
    envelope = bytearray(close_envelope(plaintext_of(40), KEY, CONTEXT, FIXED_SALT, 16))
    envelope[data.draw(st.integers(0, len(envelope) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = bytes(envelope[: data.draw(st.integers(0, len(envelope)))])
    with pytest.raises(NotAnEnvelope):
        open_envelope(cut, KEY, CONTEXT)
    with pytest.raises(SealError):
        decrypt(cut, DataKey(KEY), Context(**CONTEXT))
