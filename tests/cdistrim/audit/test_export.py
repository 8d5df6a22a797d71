"""Rules of exports: canonical, whole, in order, the same whoever makes them."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest

from cdistrim.audit import Header, read_export, write_export
from cdistrim.audit.export import BrokenRecord, Origin
from cdistrim.envelope import canonical_json
from cdistrim.errors import IntegrityError, UsageError
from tests.cdistrim.audit.histories import game

EVENTS = game("export", 3, 60)
HEADER = Header(
    chain_id=31337,
    contract="0x" + 40 * "c",
    views="0x" + 40 * "d",
    release="0.1.0",
    block=900,
    block_hash="0x" + 64 * "a",
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """An export."""
    write_export(HEADER, EVENTS, tmp_path / "export.jsonl")
    return tmp_path / "export.jsonl"


def test_what_is_written_is_read_again(file: Path) -> None:
    header, records = read_export(file)
    assert header == HEADER
    assert tuple(record.event for record in records) == EVENTS
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_the_running_hash_is_what_the_page_says(file: Path) -> None:
    """By the description alone: SHA-256 over the digest before and the line without its digest."""
    start = {"kind": "history", "version": 1, "chain_id": 31337, "contract": "0x" + 40 * "c"}
    digest = hashlib.sha256(canonical_json(start)).digest()
    assert Origin(31337, "0x" + 40 * "c").digest == digest
    for line in file.read_bytes().splitlines()[1:]:
        content = json.loads(line)
        told = content.pop("digest")
        digest = hashlib.sha256(digest + canonical_json(content)).digest()
        assert told == digest.hex()


def test_two_exports_differ_in_their_header_only(file: Path, tmp_path: Path) -> None:
    other = HEADER.model_copy(update={"release": "9.9.9", "block": 1000})
    write_export(other, EVENTS, tmp_path / "other")
    assert (tmp_path / "other").read_bytes().splitlines()[1:] == file.read_bytes().splitlines()[1:]


def test_nothing_is_overwritten_and_nothing_half_written_stays(file: Path, tmp_path: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        write_export(HEADER, EVENTS[:3], file)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="exists already"):
        write_export(HEADER, EVENTS, tmp_path / "link")

    def torn() -> object:
        yield EVENTS[0]
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_export(HEADER, torn(), tmp_path / "torn")  # type: ignore[arg-type]
    assert file.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.jsonl", "link"]


@pytest.mark.parametrize(
    "damage",
    ["white space", "no line end", "unknown field", "another order", "a text for a number", "gap"],
)
def test_a_line_that_is_not_canonical_is_named(file: Path, damage: str) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    line = lines[5]
    content = json.loads(line)
    lines[5] = {
        "white space": json.dumps(content, sort_keys=True).encode() + b"\n",
        "no line end": line[:-1],
        "unknown field": canonical_json(content | {"more": 1}) + b"\n",
        "another order": json.dumps(dict(reversed(content.items()))).encode() + b"\n",
        "a text for a number": canonical_json(content | {"block": "7"}) + b"\n",
        "gap": lines[6],
    }[damage]
    file.write_bytes(b"".join(lines))
    with pytest.raises(BrokenRecord) as caught:
        list(read_export(file)[1])
    assert caught.value.number == 5
    assert str(file) in caught.value.what


def test_a_line_without_end_is_not_read_into_memory(file: Path) -> None:
    with file.open("ab") as stream:
        stream.write(b"x" * (1 << 21))
    with pytest.raises(BrokenRecord) as caught:
        list(read_export(file)[1])
    assert caught.value.number == len(EVENTS) + 1


@pytest.mark.parametrize("content", [b"", b"\n", b"{}\n", b"\xff\n", b"[" * 100_000])
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(IntegrityError, match="no export"):
        read_export(tmp_path / "file")
