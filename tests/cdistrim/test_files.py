from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import cast

import pytest

from cdistrim.files import new_file, read_regular


def test_a_new_file_is_whole_and_has_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "one"
    with new_file(file, mode=0o644) as stream:
        stream.write(b"content")
        assert not file.exists()
    assert file.read_bytes() == b"content"
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    with new_file(tmp_path / "other") as stream:
        stream.write(b"content")
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o600


def test_what_is_there_stays_and_what_ends_badly_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_bytes(b"former")
    with pytest.raises(FileExistsError), new_file(file) as stream:
        stream.write(b"content")
    with pytest.raises(TypeError), new_file(tmp_path / "other") as stream:
        stream.write(cast(bytes, "no bytes"))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"former"}


def test_at_most_the_limit_is_read_and_nothing_but_files(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_bytes(bytes(3 << 20))
    assert len(read_regular(file, 5)) == 5
    assert len(read_regular(file, 1 << 40)) == 3 << 20
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(OSError):  # noqa: PT011  which one it is differs
            read_regular(odd, 5)
