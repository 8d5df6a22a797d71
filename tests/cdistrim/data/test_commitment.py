from __future__ import annotations

import hmac
import stat
import struct
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.commitment import (
    COMMITMENTS,
    Part,
    commit,
    commit_cases,
    hide_case,
    hide_label,
    kept_leaves,
    leaves_of,
    load_salts,
    part_key,
    volume_digest,
)
from cdistrim.data.merkle import merkle_root
from cdistrim.errors import DataError, KeyFileError
from tests.factories import make_cases


def test_a_leaf_is_made_as_the_page_says() -> None:
    """Written once more, from the description alone."""
    cases, salt = make_cases(1, 1), bytes(range(32))
    volume = cases.volumes[0]

    def key(part: bytes) -> bytes:
        return hmac.new(salt, b"cdistrim/case/v2\0" + part, "sha256").digest()

    axes = b"".join(struct.pack(">Q", number) for number in (4, 1, 8, 8, 8))
    content = b"cdistrim/volume/v2\0" + b"<f2\0\0\0\0\0" + axes + volume.tobytes()
    hidden = [
        hmac.new(key(b"id"), cases.ids[0].encode(), "sha256").digest(),
        hmac.new(key(b"label"), bytes([int(cases.labels[0])]), "sha256").digest(),
        hmac.new(key(b"volume"), sha256(content).digest(), "sha256").digest(),
    ]

    found = hide_case(cases.ids[0], int(cases.labels[0]), volume, salt)

    assert [found.id, found.label, found.volume] == hidden
    assert found.leaf == sha256(b"cdistrim/case/v2\0" + b"".join(hidden)).digest()
    salts = dict.fromkeys(cases.ids, salt)
    both = [
        hide_case(one, int(label), each, salt).leaf
        for one, label, each in zip(cases.ids, cases.labels, cases.volumes, strict=True)
    ]
    assert commit(cases, salts) == merkle_root(sorted(both))


def test_the_key_of_a_part_says_nothing_about_the_other_parts() -> None:
    keys = {part_key(bytes(32), part) for part in Part}
    assert len(keys) == len(Part) == 3
    hidden = hide_label(part_key(bytes(32), Part.LABEL), 1)
    for part in (Part.ID, Part.VOLUME):
        tried = (hide_label(part_key(bytes(32), part), label) for label in range(256))
        assert hidden not in tried


def test_labels_of_one_byte_are_told_apart_and_no_others_are_taken() -> None:
    assert len({hide_label(bytes(32), label) for label in range(256)}) == 256
    for label in (-1, 256):
        with pytest.raises(DataError, match="labels from 0 to 255"):
            hide_label(bytes(32), label)


def test_the_same_values_in_another_shape_are_another_volume() -> None:
    values = np.arange(24, dtype=np.float16)
    shapes = [(24,), (1, 24), (24, 1), (2, 12), (12, 2), (2, 3, 4), (1, 2, 3, 4)]
    assert len({volume_digest(values.reshape(shape)) for shape in shapes}) == len(shapes)
    turned = np.asfortranarray(values.reshape(4, 6))
    assert volume_digest(turned) == volume_digest(values.reshape(4, 6))
    assert volume_digest(turned.astype(">f2")) == volume_digest(turned)


def test_the_leaves_of_an_enrolment_are_kept_for_the_owner_only(tmp_path: Path) -> None:
    cases = make_cases()
    root = commit_cases(cases, tmp_path)
    (file,) = (tmp_path / COMMITMENTS).iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    leaves = kept_leaves(tmp_path, root)
    assert leaves == leaves_of(cases, load_salts(tmp_path / "salts.json", ()))
    assert kept_leaves(tmp_path, bytes(32)) is None
    commit_cases(cases.subset(range(20)), tmp_path)
    assert kept_leaves(tmp_path, root) == leaves, "another enrolment takes nothing away"
    file.write_bytes(file.read_bytes()[:-32])
    with pytest.raises(DataError, match="damaged"):
        kept_leaves(tmp_path, root)


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
    for content in ('{"a": "no hex"}', '{"a": "00"}'):
        path.write_text(content)
        with pytest.raises(KeyFileError, match="damaged"):
            load_salts(path, ["a"])
        assert path.read_text() == content
