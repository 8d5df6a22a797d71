"""docs/envelope.md describes the bytes that the code writes."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from cdistrim import envelope
from cdistrim.capsule import Capsule
from cdistrim.documents import MAX_DOCUMENT, Document
from cdistrim.envelope import (
    Context,
    canonical_json,
    decrypt,
    encrypt,
    envelope_size,
    new_data_key,
)
from cdistrim.messages import Grant, OfferedKey, OpeningReport, Release, Shares
from cdistrim.sealing import Purpose, SealingKey, seal
from cdistrim.shares import SHARE_SIZE, deal
from tests.cdistrim.envelope_by_the_page import context_text, plaintext_of
from tests.docs.pages import ROOT, between, table_rows

PAGE = (ROOT / "docs" / "envelope.md").read_text(encoding="utf-8")
CONTEXT = Context(31337, "0x" + "ab" * 20, 1, 2, 1, "0x" + "cd" * 20)
REQUESTER = "0x" + "ef" * 20


def section(title: str) -> str:
    """A section's text, up to the next heading."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_context_is_shown_as_it_is_encoded() -> None:
    assert CONTEXT.encode().decode() in section("Context")


def test_an_envelopes_parts_are_where_the_page_puts_them() -> None:
    sizes = {row[0]: row[1] for row in table_rows(section("Envelope"))}
    key = new_data_key()
    made = encrypt(b"weights", key, CONTEXT)
    offset = 0
    parts: dict[str, bytes] = {}
    for name in ("magic", "version", "chunk size", "salt", "commitment"):
        parts[name] = made[offset : offset + int(sizes[name])]
        offset += int(sizes[name])
    assert parts["magic"] == b"CDM1"
    assert parts["version"] == b"\x01"
    assert int.from_bytes(parts["chunk size"], "big") == envelope.CHUNK_SIZE
    assert len(made) - offset == len(b"weights") + 16
    assert decrypt(made, key, CONTEXT) == b"weights"


def test_the_sizes_of_envelopes_are_the_codes() -> None:
    rows = [row for row in table_rows(section("Envelope")) if len(row) == 2 and row[0].isdigit()]
    assert len(rows) == 3
    for plain, enveloped in rows:
        assert envelope_size(int(plain)) == int(enveloped)
    assert len(encrypt(b"", new_data_key(), CONTEXT)) == envelope_size(0)


def test_the_vector_on_the_page_is_in_the_file_that_it_names() -> None:
    assert "](envelope-vectors.json)" in section("Vectors")
    assert (ROOT / "tests/cdistrim/envelope_by_the_page.py").is_file()
    file = json.loads((ROOT / "docs" / "envelope-vectors.json").read_text(encoding="utf-8"))
    shown = {
        name: value.strip("`") for name, value in table_rows(between(section("Vectors"), "vector"))
    }
    vector = next(one for one in file["vectors"] if one["key"] == shown["key"])
    for name in ("salt", "chunk key", "nonce prefix", "commitment"):
        assert shown[name] == vector[name.replace(" ", "_")]
    assert shown["context"] == context_text(vector["context"]).decode()
    assert shown["chunk size"] == str(vector["chunk_size"])
    assert shown["plaintext"] == plaintext_of(vector["plaintext_bytes"]).hex()
    chunks = [shown[f"chunk {number}"] for number in range(vector["plaintext_bytes"])]
    assert shown["header"] + shown["commitment"] + "".join(chunks) == vector["envelope"]


def test_an_envelope_has_as_many_chunks_as_the_page_says() -> None:
    assert "at most 2^32 chunks" in section("Envelope")
    assert envelope._MAX_CHUNKS == 2**32


def test_the_sizes_of_keys_are_the_codes() -> None:
    key = SealingKey.generate()
    sealed = [
        seal(secret, key.public_bytes, CONTEXT, Purpose.CAPSULE, CONTEXT.partner)
        for secret in (new_data_key().reveal(), bytes(SHARE_SIZE))
    ]
    sizes = [int(row[1]) for row in table_rows(section("Sealed secret")) if len(row) == 2]
    assert sizes == [len(key.public_bytes), *map(len, sealed)]


def test_every_purpose_is_on_the_page() -> None:
    rows = [row for row in table_rows(section("Sealed secret")) if len(row) == 3]
    assert {row[0].strip("`") for row in rows} == {each.value for each in Purpose}


def test_a_share_is_made_as_the_page_says() -> None:
    """Digest and recovery, written once more from the page alone."""
    key = new_data_key()
    shares = deal(key, 3, 2)
    about = canonical_json({"holder": REQUESTER, "index": 2, "model": CONTEXT.encode().decode()})
    share = shares[1].to_bytes()
    digest = hashlib.sha256(b"C-DistriM share\0" + about + share[32:] + share[:32]).digest()
    assert shares[1].digest(CONTEXT, REQUESTER) == digest
    halves = []
    for at in (0, 16):
        first, second = (int.from_bytes(each.value[at : at + 16]) for each in shares[:2])
        # The line through (1, first) and (2, second), at 0: (2 first + 1 second) / (1 + 2).
        sum_of = multiply(2, first) ^ second
        halves.append(multiply(sum_of, inverse(3)).to_bytes(16))
    assert b"".join(halves) == key.reveal()


def multiply(one: int, other: int) -> int:
    """In GF(2^128), reduced by x^128 + x^7 + x^2 + x + 1."""
    product = 0
    for bit in range(128):
        if other >> bit & 1:
            product ^= one << bit
    for bit in range(254, 127, -1):
        if product >> bit & 1:
            product ^= ((1 << 128) | 0b10000111) << (bit - 128)
    return product


def inverse(one: int) -> int:
    """To the power of 2^128 - 2."""
    result, square = 1, one
    for _ in range(127):
        square = multiply(square, square)
        result = multiply(result, square)
    return result


def fields_of(title: str) -> set[str]:
    """The fields that a table of the page names."""
    found = re.search(rf"^##+ {title}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    rows = [row for row in table_rows(found.group(1)) if len(row) == 2]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}


@pytest.mark.parametrize("kind", [Capsule, OfferedKey, Grant, Shares, Release, OpeningReport])
def test_a_document_has_the_fields_and_the_version_of_the_page(kind: type[Document]) -> None:
    title = kind.word().capitalize()
    assert set(kind.model_fields) == fields_of(title)
    version = re.search(rf"^##+ {title}\n.*?\| `version` \| (\d) \|", PAGE, re.M | re.S)
    assert version is not None
    assert int(version.group(1)) == kind.model_fields["version"].default


def test_the_size_of_documents_is_the_codes() -> None:
    assert str(MAX_DOCUMENT) in section("Documents")
