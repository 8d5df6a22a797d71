from __future__ import annotations

import stat
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from cdistrim.data.commitment import commit, commit_cases, load_salts, merkle_root
from cdistrim.errors import DataError, KeyFileError
from tests.factories import make_cases


def leaf(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def test_the_tree_is_that_of_rfc_6962() -> None:
    a, b, c = (leaf(letter) for letter in (b"a", b"b", b"c"))
    assert merkle_root([]) == sha256(b"").digest()
    assert merkle_root([b"a"]) == a
    assert merkle_root([b"a", b"b", b"c"]) == node(node(a, b), c)
    assert merkle_root([b"a", b"b", b"c", b"a", b"b"]) == node(node(node(a, b), node(c, a)), b)


def test_the_same_data_and_salts_give_the_same_root_in_any_order(tmp_path: Path) -> None:
    cases = make_cases()
    root = commit_cases(cases, tmp_path)
    assert len(root) == 32
    assert commit_cases(cases, tmp_path) == root
    assert commit_cases(cases.subset(range(23, -1, -1)), tmp_path) == root


def test_the_root_changes_with_a_label_a_voxel_a_case_and_the_salts(tmp_path: Path) -> None:
    cases = make_cases()
    volumes = cases.volumes.copy()
    volumes[5, 0, 4, 4, 4] += 1
    salts = load_salts(tmp_path / "salts.json", cases.ids)
    roots = {
        commit(cases, salts),
        commit(replace(cases, labels=1 - cases.labels), salts),
        commit(replace(cases, volumes=volumes), salts),
        commit(cases.subset(range(23)), salts),
        commit(cases, load_salts(tmp_path / "other.json", cases.ids)),
    }
    assert len(roots) == 5


def test_a_case_without_salt_is_refused() -> None:
    with pytest.raises(DataError, match="24 of 24 cases have no salt"):
        commit(make_cases(), {})


def test_salts_are_kept_and_only_the_owner_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "salts.json"
    first = load_salts(path, ["a", "b"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_salts(path, ["b", "c"]) == first | {"c": load_salts(path, ["c"])["c"]}
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="open to other users"):
        load_salts(path, ["a"])


def test_a_damaged_salt_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "salts.json"
    path.touch(0o600)
    path.write_text('{"a": "no hex"}')
    with pytest.raises(KeyFileError, match="damaged"):
        load_salts(path, ["a"])
    assert path.read_text() == '{"a": "no hex"}'
