"""The object store: where ciphertexts and documents lie. The only module that writes there.

Objects are content-addressed: ``<prefix>/<SHA-256 in hex>``. A name says what its bytes must be:
nothing is ever overwritten, a rerun repeats no effect, and :meth:`ObjectStore.get` gives out only
what fits its name. The ledger says which names count: the store is trusted with nothing but keeping
bytes.

fsspec speaks to the backends: ``file://`` (embedded), ``gs://`` (production), ``memory://``
(tests). Its others, with which nothing was tried, are refused. What they raise is mapped here, to
:class:`~cdistrim.errors.StoreUnavailableError` (trying again may help) or
:class:`~cdistrim.errors.IntegrityError` (it will not).
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cdistrim.errors import ConfigurationError, IntegrityError, StoreUnavailableError, UsageError
from cdistrim.report.wording import short_hash, short_path
from cdistrim.urls import without_secrets

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

__all__ = ["DEFAULT_LIMIT", "STORE_URL", "STORE_URL_RULE", "ObjectStore", "Reference"]

_TEXT = r"[^\0-\x1f\x7f\ud800-\udfff]*"
STORE_URL = rf"file:///(?=/*[^/]){_TEXT}|gs://[a-z0-9][a-z0-9._-]*(/{_TEXT})?"
"""What a site's store may be called: a relative path would be another store in each directory."""
STORE_URL_RULE = (
    "it is file:/// and a directory's path, or gs:// and a bucket, with a path if need be"
)

DEFAULT_LIMIT = 1 << 22
"""Bytes that :meth:`ObjectStore.get` accepts unless told otherwise: enough for any document."""

_PREFIX = re.compile(r"[a-z0-9_-][a-z0-9_.-]*(/[a-z0-9_-][a-z0-9_.-]*)*")
_NAME = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.part")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Reference:
    """Where an object lies. ``path`` is relative to the store; ``digest`` has 32 bytes."""

    path: str
    digest: bytes
    size: int

    @property
    def prefix(self) -> str:
        """The part of the path before the object's name."""
        return self.path.rpartition("/")[0]


class ObjectStore:
    """A place for content-addressed objects.

    Args:
        url: Where, e.g. ``gs://bucket/consortium`` or ``file:///srv/store``. Bucket or directory
            must exist: a volume that is not mounted is no store to write into.
        options: For the fsspec filesystem, e.g. ``token`` or ``endpoint_url`` of gcsfs.

    Raises:
        ConfigurationError: The URL is malformed, or of a kind that is not supported.
        StoreUnavailableError: There are no credentials for it.
    """

    def __init__(self, url: str, **options: object) -> None:
        if not re.fullmatch(rf"{STORE_URL}|memory://.+", url):
            raise ConfigurationError(
                f"{without_secrets(url)!r} is no store URL: {STORE_URL_RULE}.",
                hint="Write it like gs://bucket/path or file:///path.",
            )
        scheme = url.partition("://")[0]
        self.url = url.rstrip("/")
        self._fs, self._errors = _filesystem(scheme, options)
        self._local = scheme == "file"
        self._root: str = self._fs._strip_protocol(self.url)

    def put(self, prefix: str, data: bytes, *, digest: bytes = b"") -> Reference:
        """Deposit an object; harmless if it is there already.

        Args:
            digest: SHA-256 of ``data`` where the caller has computed it already.

        Raises:
            IntegrityError: Another object has its name: somebody altered the store.
            StoreUnavailableError: The store can't be reached or written to.
            UsageError: The prefix is malformed.
        """
        digest = digest or hashlib.sha256(data).digest()
        reference = Reference(self._name(prefix, digest), digest, len(data))
        if self._local:
            self.require_there()
        # Asked first and not left to the exclusive write below: some backends ignore exclusivity.
        if not self.exists(prefix, digest):
            try:
                with self._mapped("write", reference.path):
                    self._write(self._at(reference.path), data)
                return reference
            except FileExistsError as error:
                if not self.exists(prefix, digest):
                    raise StoreUnavailableError(
                        f"The store at {self.url} could not write {reference.path}: something "
                        "else lies in its way.",
                        hint="Correct the store's URL, or clear what is no directory there.",
                    ) from error
                _logger.info("%s was written by somebody else at the same time", reference.path)
        self.get(prefix, digest, limit=len(data))
        return reference

    def get(self, prefix: str, digest: bytes, *, limit: int = DEFAULT_LIMIT) -> bytes:
        """An object's bytes, checked against its name.

        Args:
            digest: SHA-256 of the object, 32 bytes, from the ledger.
            limit: Bytes that it may have; more are not read.

        Raises:
            IntegrityError: It is missing, too large, truncated or altered.
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix or the digest is malformed.
        """
        path = self._name(prefix, digest)
        data = self._read(path, limit)
        if len(data) > limit:
            raise IntegrityError(
                f"{path} has more than the {limit} bytes that are possible here.",
                hint="It was swapped, or its author did not follow the protocol.",
                short=f"{short_path(path)} has more than {limit} bytes",
            )
        found = hashlib.sha256(data).digest()
        if found != digest:
            raise IntegrityError(
                f"{path} was truncated or altered: its {len(data)} bytes have the SHA-256 "
                f"{found.hex()}, not {digest.hex()}.",
                hint="Restore it from a backup of the store.",
                short=f"{short_path(path)} has the SHA-256 {short_hash(found.hex())}, not "
                f"{short_hash(digest.hex())}",
            )
        return data

    def exists(self, prefix: str, digest: bytes) -> bool:
        """Whether an object of this name is there; only :meth:`get` says that it is the right one.

        Raises:
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix or the digest is malformed.
        """
        path = self._name(prefix, digest)
        with self._mapped("read", path):
            try:
                return bool(self._info(path)["type"] == "file")
            except (FileNotFoundError, NotADirectoryError):
                return False

    def fingerprint(self, prefix: str, digest: bytes) -> str:
        """What the backend says of an object besides its bytes: size, times, generation, …

        As long as it stays the same, an honest store has not touched the object. A dishonest one
        may say what it likes: never a reason to use bytes that were not hashed.

        Raises:
            IntegrityError: The object is missing.
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix or the digest is malformed.
        """
        path = self._name(prefix, digest)
        with self._mapped("read", path):
            try:
                return str(self._fs.ukey(self._at(path)))
            except (FileNotFoundError, NotADirectoryError):
                raise self._missing(path) from None

    def list(self, prefix: str) -> tuple[Reference, ...]:
        """All objects under a prefix, at any depth, by path. Names are claims until fetched.

        Raises:
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix is malformed.
        """
        return tuple(
            Reference(path, bytes.fromhex(name), size)
            for path, size in self._find(prefix)
            if _NAME.fullmatch(name := path.rpartition("/")[2])
        )

    def names(self, prefix: str) -> tuple[str, ...]:
        """What prefixes go on one segment below a prefix, sorted; claims, like all names.

        Raises:
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix is malformed.
        """
        top = self._at(self._checked(prefix))
        with self._mapped("list", prefix):
            try:
                found = self._fs.ls(top, detail=True)
            except (FileNotFoundError, NotADirectoryError):
                return ()
        below = (info["name"] for info in found if info["type"] == "directory")
        return tuple(sorted(name.rstrip("/").rpartition("/")[2] for name in below))

    def sweep(self, prefix: str, keep: Collection[bytes]) -> int:
        """Delete what nothing refers to under a prefix that is the caller's own.

        Half-written files of a killed process go as well, so nobody may be writing there.

        Args:
            keep: Digests of the objects that stay.

        Returns:
            How many objects were deleted; 0 if the store does not let this site delete.

        Raises:
            StoreUnavailableError: The store can't be reached.
            UsageError: The prefix is malformed.
        """
        swept = 0
        for path, _ in self._find(prefix):
            name = path.rpartition("/")[2]
            orphaned = _NAME.fullmatch(name) and bytes.fromhex(name) not in keep
            if not orphaned and not _PART.fullmatch(name):
                continue
            try:
                with self._mapped("delete", path):
                    self._fs.rm_file(self._at(path))
            except StoreUnavailableError as error:
                if not _refused(error.__cause__):
                    raise
                _logger.warning("%s stays: this site may not delete in the store", path)
                return swept
            swept += 1
        return swept

    def check_writable(self, prefix: str) -> None:
        """Write, read and remove a small object under a prefix.

        A site without delete rights leaves it behind.

        Raises:
            StoreUnavailableError: The store is not there, can't be reached or written to.
        """
        self.require_there()
        probe = self.put(prefix, secrets.token_bytes(16))
        self.get(prefix, probe.digest)
        with contextlib.suppress(StoreUnavailableError), self._mapped("delete", probe.path):
            self._fs.rm_file(self._at(probe.path))

    def make(self) -> None:
        """Make the store's directory, for whoever sets up all sites of a consortium in one go.

        A bucket is left to whoever pays for it.

        Raises:
            StoreUnavailableError: It can't be made.
        """
        if self._local:
            try:
                Path(self._root).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailableError(
                    f"The store at {self.url} can't be made: {error.strerror}.",
                    hint="See what lies there, or correct the store's URL.",
                ) from error

    def require_there(self) -> None:
        """Tell a store in which nothing was found from one that is not there.

        Raises:
            StoreUnavailableError: There is no such directory or bucket, or it can't be reached.
        """
        with self._mapped("read", "anything"):
            self._check_root()

    # --- paths ---

    def _name(self, prefix: str, digest: bytes) -> str:
        if len(digest) != 32:
            raise UsageError(f"A digest has 32 bytes, not {len(digest)}.")
        return f"{self._checked(prefix)}/{digest.hex()}"

    @staticmethod
    def _checked(prefix: str) -> str:
        if not _PREFIX.fullmatch(prefix):
            raise UsageError(
                f"{prefix[:100]!r} is no prefix of the store.",
                hint="Segments of a-z, 0-9, '_', '-' and '.', joined by '/', none starting with a "
                "dot.",
            )
        return prefix

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}"

    # --- the backend ---

    def _write(self, target: str, data: bytes) -> None:
        if self._local:
            _write_exclusively(Path(target), data)
        else:
            self._fs.pipe_file(target, data, mode="create")

    def _read(self, path: str, limit: int) -> bytes:
        with self._mapped("read", path):
            try:
                size = self._info(path)["size"]
                # One byte more than possible shows an oversized object without reading all of it;
                # a range in an empty object is an HTTP error.
                data = self._fs.cat_file(self._at(path), start=0, end=limit + 1) if size else b""
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise self._missing(path) from None
        return bytes(data)

    def _missing(self, path: str) -> IntegrityError:
        self._check_root()
        return IntegrityError(
            f"{path} is missing: the ledger names it by this SHA-256, "
            f"the store at {self.url} does not have it.",
            hint="Restore it from a backup of the store.",
            short=f"{short_path(path)} is missing",
        )

    def _info(self, path: str) -> dict[str, Any]:
        info: dict[str, Any] = self._fs.info(self._at(path))
        return info

    def _find(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(path relative to the store, size) of everything below a prefix, sorted by path."""
        top = self._at(self._checked(prefix))
        with self._mapped("list", prefix):
            found = self._fs.find(top, detail=True)
        start = len(self._root) + 1
        # An object store also finds the siblings "ab/…" of "a": only "a/…" counts.
        return iter(
            sorted(
                (path[start:], int(info["size"] or 0))
                for path, info in found.items()
                if path.startswith(f"{top}/")
            )
        )

    def _check_root(self) -> None:
        """Tell "the object is missing" from "the bucket is missing"."""
        bucket = self._root if self._local else self._root.partition("/")[0]
        if not bucket:
            return
        try:
            found = self._fs.info(bucket)
        except FileNotFoundError as error:
            hint = (
                "Mount its volume if that is not mounted, or correct the URL. Only for a new "
                f"consortium: make the directory {bucket}, in which all sites can write."
                if self._local
                else "Correct the URL; for a new consortium, create the bucket."
            )
            raise StoreUnavailableError(f"There is no store at {self.url}.", hint=hint) from error
        except OSError:
            _logger.debug("this site may not look at the bucket itself")
            return
        if self._local and found["type"] != "directory":
            raise StoreUnavailableError(
                f"The store at {self.url} is no directory.",
                hint="See what lies there, or correct the store's URL.",
            )

    @contextmanager
    def _mapped(self, verb: str, path: str) -> Iterator[None]:
        """Map what the backend raises; :class:`FileExistsError` is the caller's to judge."""
        try:
            yield
        except FileExistsError:
            raise
        except self._errors as error:
            why, hint = _brief(error), "Check the store's URL, the network and the disk, then run "
            hint += "the same again."
            if isinstance(error, FileNotFoundError):
                why, hint = self._nowhere()
            elif _refused(error):
                hint = self._right()
            raise StoreUnavailableError(
                f"The store at {self.url} could not {verb} {path}: {why}.", hint=hint
            ) from error

    def _nowhere(self) -> tuple[str, str]:
        """What a missing place means, and what to do."""
        if self._local:
            why = "its directory is not there and can't be made"
            return why, f"Make {self._root} and let this site's account write to it."
        return "there is no such bucket", "Create the bucket, or correct the store's URL."

    def _right(self) -> str:
        if self._local:
            return f"Let this site's account write to {self._root} and all below: chown or chmod."
        return "Give this site's account the right to it."


def _refused(error: BaseException | None) -> bool:
    """Whether the backend said "you may not"; gcsfs gives HTTP status 403 as a bare OSError."""
    return isinstance(error, PermissionError) or str(error).startswith("Forbidden")


def _brief(error: Exception) -> str:
    """What happened, without the paths, URLs and bodies that backends put into their texts."""
    code = getattr(error, "code", None)
    detail = getattr(error, "strerror", None) or (f"HTTP status {code}" if code else "")
    return f"{type(error).__name__}, {detail}" if detail else type(error).__name__


def _filesystem(
    scheme: str, options: dict[str, object]
) -> tuple[AbstractFileSystem, tuple[type[Exception], ...]]:
    """The backend and the exceptions by which it says that it does not answer."""
    # gcsfs probes buckets for zonal storage; emulators and plain buckets let it wait for minutes.
    # The variable counts only if nobody has imported gcsfs before, hence the core class below.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    import fsspec
    from fsspec.exceptions import FSTimeoutError

    # Others write to the store too: nothing may come from a cached listing.
    options = {**options, "use_listings_cache": False}
    errors: tuple[type[Exception], ...] = (OSError, TimeoutError, FSTimeoutError)
    try:
        if scheme == "gs":
            from aiohttp import ClientError
            from gcsfs.core import GCSFileSystem
            from gcsfs.retry import ChecksumError, HttpError
            from google.auth.exceptions import GoogleAuthError

            # gcsfs gives some HTTP status 400 as ValueError.
            errors += (ClientError, HttpError, ChecksumError, GoogleAuthError, ValueError)
            # It logs a traceback of what is mapped here; without a handler that goes to stderr.
            logging.getLogger("gcsfs").addHandler(logging.NullHandler())
            # "md5": the server compares what arrived with what was sent.
            options = {"consistency": "md5", **options}
            return GCSFileSystem(**options), errors
        return fsspec.filesystem(scheme, **options), errors
    except errors as error:
        raise StoreUnavailableError(
            f"The store could not be opened: {_brief(error)}.",
            hint="Check the credentials of this site for the store.",
        ) from error


def _write_nameless(target: Path, data: bytes) -> bool:
    """Write a file that has no name until it is complete, so that a killed process leaves none.

    Returns whether this system can (Linux, on a local disk).
    """
    try:
        file = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except (AttributeError, OSError):
        return False
    with os.fdopen(file, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(file)
        try:
            # A directory is given, though none is needed, to have the link followed (linkat(2)).
            os.link(f"/proc/self/fd/{file}", target, src_dir_fd=file, follow_symlinks=True)
        except FileExistsError:
            raise
        except OSError:
            return False
    return True


def _write_part(target: Path, data: bytes) -> None:
    """Write under another name first: a killed process leaves it to :meth:`ObjectStore.sweep`."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        try:
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:
            # No hard links here (SMB, some FUSE): a lost race replaces bytes by the same bytes.
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _write_exclusively(target: Path, data: bytes) -> None:
    """Write a file that appears complete or not at all, and never replaces another.

    Raises:
        FileExistsError: There is one already.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _write_nameless(target, data):
        _write_part(target, data)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
