"""docs/envelope.md describes the bytes that the code writes."""

from __future__ import annotations

import json
import re

from cdistrim import envelope, sealing
from cdistrim.envelope import Context, decrypt, encrypt, envelope_size, new_data_key
from cdistrim.sealing import Capsule, Purpose, Release, SealingKey, seal
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
    public, sealed = (int(row[1]) for row in table_rows(section("Sealed key")))
    key = SealingKey.generate()
    assert len(key.public_bytes) == public
    made = seal(new_data_key(), key.public_bytes, CONTEXT, Purpose.CAPSULE, CONTEXT.partner)
    assert len(made) == sealed


def fields_of(title: str) -> set[str]:
    """The fields that a table of the page names."""
    return {name for row in table_rows(section(title)) for name in re.findall(r"`(\w+)`", row[0])}


def test_a_capsule_has_the_fields_of_the_page() -> None:
    key = SealingKey.generate()
    capsule = Capsule.seal(new_data_key(), {CONTEXT.partner: key.public_bytes}, CONTEXT)
    assert set(json.loads(capsule.to_bytes())) == fields_of("Capsule")
    assert str(sealing.MAX_DOCUMENT) in section("Capsule")


def test_a_release_has_the_fields_of_the_page() -> None:
    release = Release.seal(
        new_data_key(),
        SealingKey.generate().public_bytes,
        model=CONTEXT,
        holder=CONTEXT.partner,
        requester=REQUESTER,
        slot=3,
        attempt=1,
    )
    assert set(json.loads(release.to_bytes())) == fields_of("Release")
