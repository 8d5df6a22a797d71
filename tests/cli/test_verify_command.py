"""``cdistrim verify``, ``ledger export`` and ``site checkpoint``: what a user sees, exit codes.

What they find in altered histories: ``tests/attacks/test_anyone.py``.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cdistrim.audit.played import Played, played
from tests.cli.command_line import assert_explained, call, start


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Two hospitals after their first slot, which nobody has signed."""
    with played(tmp_path_factory.mktemp("hospitals"), size=2) as consortium:
        consortium.slot(1)
        yield consortium


@pytest.fixture(scope="module")
def site(hospitals: Played) -> Path:
    return hospitals.site("hospital-1").directory


def test_an_export_needs_no_key_and_is_for_everybody_to_read(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    (site / "passphrase").rename(site / "elsewhere")
    try:
        ended = call("ledger", "export", site, file)
    finally:
        (site / "elsewhere").rename(site / "passphrase")

    assert ended.code == 0, ended.err
    lines = file.read_bytes().splitlines()
    assert f"{len(lines) - 1} records, up to block" in ended.out
    assert json.loads(lines[-1])["digest"] in ended.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert f"cdistrim verify --export {file}" in ended.out
    assert_explained(call("ledger", "export", site, file), 2, str(file), "overwrites nothing")
    assert file.read_bytes().splitlines() == lines


def test_a_checkpoint_is_signed_once(site: Path) -> None:
    first = call("site", "checkpoint", site)
    again = call("site", "checkpoint", site)

    assert first.code == again.code == 0
    assert first.out.startswith("Signed: ")
    assert again.out.startswith("Nothing new since the last checkpoint: ")
    assert first.out.partition(": ")[2] == again.out.partition(": ")[2]


def test_the_table_is_plain_text_where_no_terminal_is(site: Path) -> None:
    call("site", "checkpoint", site)

    ended = start("verify", site)

    assert ended.code == 0, ended.err
    assert "\x1b" not in ended.out
    assert "VERIFIED: all records are as hospital-1 signed them." in ended.out
    assert max(map(len, ended.out.splitlines())) <= 100


@pytest.mark.parametrize("given", [[], ["SITE", "--export", "FILE"]])
def test_one_history_is_checked_at_a_time(site: Path, tmp_path: Path, given: list[str]) -> None:
    words = [{"SITE": site, "FILE": tmp_path / "file"}.get(word, word) for word in given]

    assert_explained(call("verify", *words), 2, "not clear", "--export FILE")


def test_what_can_t_be_read_has_its_exit_code(site: Path, tmp_path: Path) -> None:
    file, nothing = tmp_path / "ledger.jsonl", tmp_path / "nothing"
    assert call("ledger", "export", site, file).code == 0
    (tmp_path / "junk").write_bytes(b"junk")
    (tmp_path / "empty").mkdir()
    export = ("verify", "--export")

    assert_explained(call(*export, nothing), 2, str(nothing))
    assert_explained(call(*export, tmp_path / "empty"), 2, str(tmp_path / "empty"))
    assert_explained(call(*export, tmp_path / "junk"), 7, str(tmp_path / "junk"))
    assert_explained(call(*export, file, "--checkpoint", nothing), 2, str(nothing))
    assert_explained(call(*export, file, "--checkpoint", tmp_path / "empty"), 2, "no checkpoint")
    assert_explained(call(*export, file, "--checkpoint", tmp_path / "junk"), 7, "junk")
    assert_explained(call(*export, file, "--against", tmp_path / "junk"), 7, "junk")
    assert_explained(call(*export, file, "--store", "file:///nowhere/store"), 12, "/nowhere/store")
    assert_explained(call(*export, file, "--store", "nonsense"), 3, "nonsense")
    assert_explained(call("ledger", "export", site, nothing / "file"), 2, str(nothing))


def test_a_store_that_is_not_there_is_no_proof(tmp_path: Path) -> None:
    with played(tmp_path / "founded", size=2) as consortium:
        file, store = tmp_path / "ledger.jsonl", tmp_path / "store"
        founder = consortium.site("hospital-1").directory
        assert call("ledger", "export", founder, file).code == 0
    export = ("verify", "--export", file, "--store", f"file://{store}")

    assert_explained(call(*export), 12, f"no store at file://{store}", "correct the URL")
    store.mkdir()
    assert call(*export).code == 0


def test_a_missing_object_is_the_stores_fault_and_not_the_records(
    hospitals: Played, site: Path
) -> None:
    store = Path(hospitals.site("hospital-1").settings.store_url.removeprefix("file://"))
    (lost,) = (store / hospitals.place("models", 1)).iterdir()
    content = lost.read_bytes()
    lost.unlink()
    try:
        ended = call("verify", site)
    finally:
        lost.write_bytes(content)

    assert_explained(ended, 7, "Not as recorded", lost.name, "copy of the store")
    assert "--against" not in ended.err


def test_exports_of_two_contracts_are_not_compared(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    assert call("ledger", "export", site, file).code == 0
    header, _, rest = file.read_bytes().partition(b"\n")
    other = json.loads(header) | {"contract": "0x" + 40 * "5"}
    content = json.dumps(other, sort_keys=True, separators=(",", ":")).encode()
    (tmp_path / "other").write_bytes(content + b"\n" + rest)

    ended = call("verify", "--export", file, "--against", tmp_path / "other")

    assert_explained(ended, 7, "0x" + 40 * "5", "same consortium")


def test_an_older_export_is_a_part_of_the_history(
    hospitals: Played, site: Path, tmp_path: Path
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    assert call("ledger", "export", site, old).code == 0
    hospitals.slot(2)
    assert call("ledger", "export", site, new).code == 0
    records = len(old.read_bytes().splitlines()) - 1

    assert_explained(call("verify", "--export", old, "--against", new), 7, f"record {records + 1}")
    ended = call("verify", "--export", new, "--against", old)
    assert ended.code == 0, ended.err
    assert f"the same up to its record {records}" in ended.out


def test_control_characters_of_a_forger_reach_no_terminal(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    assert call("ledger", "export", site, file).code == 0
    text = file.read_text().replace('"event":"MemberAdmitted"', '"event":"\\u001b[2J"', 1)
    file.write_text(text)

    ended = call("verify", "--export", file)

    assert ended.code == 7
    assert "\x1b" not in ended.out + ended.err
