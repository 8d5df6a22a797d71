from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from cdistrim.coordinator import Coordinator
from cdistrim.errors import ConfigurationError
from cdistrim.handwritten import MAX_FILE, NotUnderstood, read_written, understand
from cdistrim.settings import Settings
from cdistrim.site import Site


class Place(Settings):
    name: str
    inner: dict[str, int] | None = None


class First(Settings):
    kind: Literal["first"]
    width: int


class Second(Settings):
    kind: Literal["second"]
    height: int
    first: First | None = None


class Choice(Settings):
    chosen: Annotated[First | Second, Field(discriminator="kind")] | None = None
    several: tuple[First, ...] = ()


@pytest.mark.parametrize(
    ("document", "where", "what"),
    [
        ('{"chosen": {"kind": "third"}}', "chosen.kind", "one of 'first', 'second'"),
        ('{"chosen": {"width": 1}}', "chosen.kind", "it is missing"),
        ('{"chosen": {"kind": "first", "width": "1"}}', "chosen.width", "whole number"),
        ('{"chosen": {"kind": "second", "hight": 1}}', "chosen.hight", "nearest is chosen.height"),
        (
            '{"chosen": {"kind": "second", "height": 1, "first": {"kind": "first", "width": "1"}}}',
            "chosen.first.width",
            "whole number",
        ),
        ('{"several": [{"kind": "first", "width": "1"}]}', "several.0.width", "whole number"),
    ],
)
def test_what_is_wrong_in_one_of_several_alternatives_is_told_by_its_place(
    document: str, where: str, what: str
) -> None:
    with pytest.raises(NotUnderstood) as refused:
        understand(document.encode(), Choice)
    assert refused.value.where == where
    assert what in refused.value.what


def directory(path: Path) -> None:
    path.mkdir()


def device_without_end(path: Path) -> None:
    path.symlink_to("/dev/zero")


def pipe_that_nobody_writes_to(path: Path) -> None:
    os.mkfifo(path)


def listening_socket(path: Path) -> None:
    # A socket's path may have a hundred bytes: it is bound by a short one.
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


NO_FILES = (directory, device_without_end, pipe_that_nobody_writes_to, listening_socket)


@pytest.mark.parametrize("make", NO_FILES)
def test_what_is_no_file_is_refused_unread(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "file")
    with pytest.raises(OSError, match="file"):
        read_written(tmp_path / "file")


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize(
    ("opened", "name"), [(Site, "site.json"), (Coordinator, "coordinator.json")]
)
def test_settings_that_are_no_file_are_named(
    tmp_path: Path, make: Callable[[Path], None], opened: Callable[[Path], object], name: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(ConfigurationError, match=f"{name} can't be read: "):
        opened(tmp_path)


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_written(tmp_path / "link") == b"{}"


def test_of_a_file_that_is_too_large_no_more_is_read_than_tells_so(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(1 << 40)  # A hole, without any block on the disk.
    content = read_written(tmp_path / "file")
    assert len(content) == MAX_FILE + 1
    with pytest.raises(NotUnderstood, match=f"more than {MAX_FILE} bytes"):
        understand(content, Place)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b'{"name": "a", "name": "a"}', "name"),
        (b'{"name": "a", "inner": {"x": 1, "y": 2, "x": 1}}', "x"),
        (b'{"name": "a", "n\\u0061me": "b"}', "name"),
        (b'{"name": "a", "other": [{"z": 1, "z": 2}]}', "z"),
    ],
)
def test_a_key_that_is_there_twice_in_one_object_is_refused(content: bytes, key: str) -> None:
    with pytest.raises(NotUnderstood, match=f'the key "{key}" is there twice'):
        understand(content, Place)


def test_a_key_may_be_there_in_each_of_two_objects() -> None:
    assert understand(b'{"name": "a", "inner": {"name": 1}}', Place).inner == {"name": 1}


def test_what_a_key_shows_of_itself_is_bounded() -> None:
    key = b'"' + b"\\u001b" * 500 + b'": 1'
    with pytest.raises(NotUnderstood, match="twice") as caught:
        understand(b"{" + key + b", " + key + b"}", Place)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"{} {}",
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "a"}',
        '{"name": "a"}'.encode("utf-16"),
        b'{"name": "\\ud800"}',
    ],
)
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(NotUnderstood, match=r"the document: it is no JSON, .* at line 1"):
        understand(content, Place)


@pytest.mark.parametrize("opening", [b"[", b'{"name": '])
def test_what_is_nested_too_deeply_is_refused_whatever_python_would_bear(opening: bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        with pytest.raises(NotUnderstood, match="it is no JSON, recursion"):
            understand((opening * 100_000)[:MAX_FILE], Place)
    finally:
        sys.setrecursionlimit(limit)


def test_a_setting_that_is_there_twice_is_refused_and_its_value_not_told(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_text('{"ledger_url": "http://secret", "ledger_url": "x"}')
    with pytest.raises(ConfigurationError, match=r'site\.json .* "ledger_url" .* twice') as caught:
        Site(tmp_path)
    assert "secret" not in str(caught.value)


def test_settings_that_are_too_large_are_refused(tmp_path: Path) -> None:
    (tmp_path / "site.json").write_bytes(b" " * (MAX_FILE + 1))
    with pytest.raises(ConfigurationError, match=rf"site\.json .* more than {MAX_FILE} bytes"):
        Site(tmp_path)
