"""What somebody could open who has copies of sites' directories, and all that was ever in a store.

A burglar keeps to no protocol: it tries every key that it has on everything that was ever sealed,
wherever that lies, and puts together whatever shares come out of it.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from cdistrim.capsule import Capsule
from cdistrim.custody import open_with, record_context
from cdistrim.documents import Document
from cdistrim.envelope import Context, DataKey, belongs
from cdistrim.errors import CDistriMError, KeyFileError, SealError
from cdistrim.messages import Grant, Release, Shares
from cdistrim.protocol import ModelRecord
from cdistrim.sealing import Purpose, SealingKey, open_sealed
from cdistrim.shares import Share, recover
from cdistrim.site import Site
from cdistrim.weights import Weights

__all__ = ["Burglar", "stolen"]

AnyDocument = TypeVar("AnyDocument", bound=Document)


def stolen(site: Site, name: str) -> Site:
    """A copy of a site's whole directory as it is now, passphrase included."""
    return Site(shutil.copytree(site.directory, site.directory.parent / "stolen" / name))


class Burglar:
    """Somebody with a store's objects and the directories of some sites.

    Args:
        store: The embedded store's directory.
        sites: Copies of sites' directories, or colluding sites.
        others: Further private keys, e.g. somebody's own.
    """

    def __init__(
        self, store: Path, sites: Iterable[Site], others: Iterable[SealingKey] = ()
    ) -> None:
        self._store = store
        self._keys = [*others, *(key for site in sites for key in _keys_in(site))]

    def opens(self, site: Site, record: ModelRecord) -> bool:
        """Whether a model of the first campaign comes out of all this.

        Args:
            site: Tells which chain and contract; none of its keys is used.
        """
        return self.open(site, record) is not None

    def open(self, site: Site, record: ModelRecord) -> Weights | None:
        """The model, None if there is no way to it."""
        context = record_context(site, 1, record)
        envelope = next(self._objects(record.ciphertext_hash), b"")
        for key in self._data_keys(context):
            if belongs(envelope, key, context):
                return open_with(key, envelope, site, 1, record)
        return None

    def _data_keys(self, context: Context) -> Iterator[DataKey]:
        for grant in self._documents(Grant):
            for key in self._keys:
                with suppress(SealError):
                    yield grant.open(key)
        for capsule in self._documents(Capsule):
            if capsule.context != context:
                continue
            # Whatever the capsule says: two shares are the fewest that there can be.
            found = list(self._shares(capsule).values())
            for size in range(2, len(found) + 1):
                for some in itertools.combinations(found, size):
                    yield recover(some, size)

    def _shares(self, capsule: Capsule) -> dict[str, Share]:
        """Shares of a capsule by holder, from wherever they were sealed."""
        return {holder: share for key in self._keys for holder, share in self._opened(capsule, key)}

    def _opened(self, capsule: Capsule, key: SealingKey) -> Iterator[tuple[str, Share]]:
        for holder, sealed in capsule.holders.items():
            with suppress(SealError):
                content = open_sealed(sealed.sealed, key, capsule.context, Purpose.CAPSULE, holder)
                yield holder, capsule.accept(holder, content)
        for published in self._documents(Shares):
            for holder in published.sealed:
                with suppress(SealError):
                    yield holder, published.open_share(capsule, holder, [key])
        for release in self._documents(Release):
            with suppress(SealError):
                at = {"slot": release.slot, "attempt": release.attempt}
                yield release.holder, release.open(capsule, key, **at)

    def _objects(self, digest: bytes) -> Iterator[bytes]:
        return (path.read_bytes() for path in self._store.rglob(digest.hex()))

    def _documents(self, kind: type[AnyDocument]) -> Sequence[AnyDocument]:
        """All documents of a kind, wherever they lie."""
        found = []
        for path in sorted(path for path in self._store.rglob("*") if path.is_file()):
            content = path.read_bytes()
            with suppress(ValueError, TypeError, KeyError, CDistriMError):
                if json.loads(content)["kind"] == kind.model_fields["kind"].default:
                    found.append(kind.parse(content))
        return found


def _keys_in(site: Site) -> Iterator[SealingKey]:
    """Everything in a site's directory that opens something."""
    keys = Site(site.directory).keys
    yield from keys.opening_keys
    for path in site.directory.rglob("*.key"):
        with suppress(KeyFileError):
            yield keys.open_one_time_key(path.read_bytes())
