"""A signed checkpoint: a member says what the ledger's history was, up to a block that counts.

Whoever rewrites a private chain can't forge what the partners signed before. Each site keeps its
checkpoints for ever (``<site>/checkpoints/``) and deposits them in the store, under
``checkpoints/<account>/``, so that the partners hold each other's.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from cdistrim.audit.export import Origin, numbered
from cdistrim.documents import MAX_DOCUMENT, Account, Encoded
from cdistrim.envelope import account_of
from cdistrim.errors import IntegrityError, LedgerUnavailableError, UntrustedDataError, UsageError
from cdistrim.ledger import BlockRef
from cdistrim.places import checkpoint_place, consortium_place
from cdistrim.report.wording import plural
from cdistrim.signing import SignedDocument
from cdistrim.site import write_atomically

if TYPE_CHECKING:
    from cdistrim.ledger import Ledger
    from cdistrim.site import Site
    from cdistrim.store import ObjectStore, Reference

__all__ = [
    "TRAIL_PIECE",
    "Checkpoint",
    "Held",
    "checkpoints_at",
    "checkpoints_in",
    "deposit",
    "keep_checkpoint",
    "kept_by",
    "newest",
]

TRAIL_PIECE = 8
"""Bytes of each running digest in a trail: it says where to look, the whole digest decides."""

_LONGEST_TRAIL = 2048
_MOST_IN_STORE = 10_000
"""Objects of an account that are read: more would be junk that shall keep an auditor busy."""
_MOST_AUTHORS = 1000
"""Accounts that are looked at, for the same reason."""
_ACCOUNT = re.compile(r"0x[0-9a-f]{40}")

Number = Annotated[int, Field(ge=0, lt=1 << 63)]
Digest = Annotated[Encoded, Field(min_length=32, max_length=32)]


class Checkpoint(SignedDocument):
    """``account`` saw ``records`` records up to and including block ``block``, which counts.

    ``digest`` is the running digest of the last one (:mod:`cdistrim.audit.export`). ``trail`` has
    the first 8 bytes of the running digests of the last records, oldest first, this one included:
    of those since the signer's checkpoint before, 2,048 at most. By it a difference is found to
    the record. ``time`` is the signer's clock, in seconds since 1970.
    """

    kind: Literal["checkpoint"] = "checkpoint"
    version: Literal[1] = 1
    chain_id: Annotated[int, Field(gt=0)]
    contract: Account
    block: Number
    block_hash: Digest
    records: Annotated[int, Field(gt=0, lt=1 << 63)]
    digest: Digest
    trail: Annotated[
        Encoded, Field(min_length=TRAIL_PIECE, max_length=TRAIL_PIECE * _LONGEST_TRAIL)
    ]
    time: Number
    account: Account

    @property
    def origin(self) -> Origin:
        """Whose history it is of."""
        return Origin(self.chain_id, account_of(self.contract))

    @property
    def reference(self) -> BlockRef:
        """The block."""
        return BlockRef(self.block, self.block_hash)

    @property
    def pieces(self) -> dict[int, bytes]:
        """The trail: beginnings of running digests by the numbers of their records."""
        count = len(self.trail) // TRAIL_PIECE
        first = self.records - count + 1
        return {
            first + place: self.trail[place * TRAIL_PIECE : (place + 1) * TRAIL_PIECE]
            for place in range(count)
        }

    def require_sound(self) -> None:
        """See that it is signed by whom it names and does not contradict itself.

        Raises:
            IntegrityError: Otherwise.
        """
        self.require_author(self.account)
        whole = len(self.trail) % TRAIL_PIECE == 0
        if not whole or self.pieces.get(self.records) != self.digest[:TRAIL_PIECE]:
            raise self.malformed()
        if min(self.pieces) < 1:
            raise self.malformed()


@dataclass(frozen=True)
class Held:
    """A checkpoint, and where it lies; ``named`` by an auditor, or found in the store."""

    checkpoint: Checkpoint
    where: str
    named: bool = True


# --- at a site ------------------------------------------------------------------------------------


def keep_checkpoint(site: Site) -> tuple[Checkpoint, bool]:
    """Sign the history up to the last block that counts, unless nothing is new; and deposit it.

    Returns:
        The site's newest checkpoint, and whether it was made now.

    Raises:
        IntegrityError: The chain does not have the block any more up to which this site signed
            last: its history was rewritten. Or a kept checkpoint was altered.
        LedgerUnavailableError: No answer, or the node is behind what this site has seen.
        StoreUnavailableError: The new checkpoint is kept here, but not in the store.
    """
    former = newest(site)
    made = _next(site, site.ledger, former)
    if made is not None:
        write_atomically(_file(site, made.records), made.to_bytes())
    deposit(site)
    kept = made or former
    if kept is None:
        raise LedgerUnavailableError(
            "No block that counts has a record of the contract yet.",
            hint="Wait for more blocks; then run it again.",
        )
    return kept, made is not None


def _next(site: Site, ledger: Ledger, former: Checkpoint | None) -> Checkpoint | None:
    final = ledger.final_block()
    after, records, digest = -1, 0, b""
    if former is not None:
        _require_former(ledger, former, final, site.directory)
        after, records, digest = former.block, former.records, former.digest
    origin = Origin(ledger.chain_id, account_of(ledger.address))
    events = ledger.logged(final, after=after)
    trail, last = bytearray(), None
    for record in numbered(origin, events, after=records, digest=digest):
        last = record
        trail += record.digest[:TRAIL_PIECE]
        del trail[: -TRAIL_PIECE * _LONGEST_TRAIL]
    if last is None:
        return None
    checkpoint = Checkpoint(
        chain_id=origin.chain_id,
        contract=origin.contract,
        block=final.number,
        block_hash=final.digest,
        records=last.number,
        digest=last.digest,
        trail=bytes(trail),
        time=int(time.time()),
        account=site.account,
    )
    return checkpoint.signed(site.keys)


def _require_former(ledger: Ledger, former: Checkpoint, final: BlockRef, directory: Path) -> None:
    """See that the chain still has what was signed last."""
    if final.number < former.block:
        raise LedgerUnavailableError(
            f"The last block that counts is {final.number}; this site has signed up to block "
            f"{former.block} before.",
            hint="Wait until the node is in sync, or use another one.",
        )
    if not ledger.has_block(former.reference):
        raise IntegrityError(
            f"The chain does not have block {former.block} any more as this site signed it, after "
            f"{plural(former.records, 'record')}: history was rewritten, or the node is on another "
            "chain.",
            hint=f"Tell the partners, and see what was changed: cdistrim verify {directory}",
        )


def deposit(site: Site) -> None:
    """Put this site's checkpoints into the store, as far as they are not there.

    Raises:
        StoreUnavailableError: The store can't be reached or written to.
    """
    place = checkpoint_place(site.settings.chain_id, site.contract, site.account)
    there = {reference.path for reference in site.store.list(place)}
    for file in _files(site):
        content = file.read_bytes()
        digest = hashlib.sha256(content).digest()
        if f"{place}/{digest.hex()}" not in there:
            site.store.put(place, content, digest=digest)


def newest(site: Site) -> Checkpoint | None:
    """The site's newest checkpoint of its contract; None if there is none.

    Raises:
        IntegrityError: It was altered, or is somebody else's.
    """
    files = _files(site)
    if not files:
        return None
    checkpoint = _parsed(files[-1].read_bytes(), str(files[-1]))
    checkpoint.require_author(site.account)
    return checkpoint


def kept_by(site: Site) -> Iterator[Held]:
    """All checkpoints of its contract that a site has kept, oldest first.

    Raises:
        IntegrityError: One was altered.
    """
    for file in _files(site):
        yield Held(_parsed(file.read_bytes(), str(file)), str(file))


def _file(site: Site, records: int | str) -> Path:
    """A site may have moved on from another contract: its checkpoints stay."""
    contract = f"{site.settings.chain_id}-{site.contract.lower()}"
    return site.directory / "checkpoints" / f"{contract}-{records:0>9}.json"


def _files(site: Site) -> list[Path]:
    pattern = _file(site, "[0-9]" * 9)
    return sorted(pattern.parent.glob(pattern.name))


# --- at an auditor --------------------------------------------------------------------------------


def checkpoints_at(paths: Iterable[Path]) -> Iterator[Held]:
    """Checkpoints in files, and in all files below directories.

    Raises:
        UsageError: There is nothing, or it can't be read.
        IntegrityError: A file is no checkpoint, or its signature does not fit.
    """
    for path in paths:
        try:
            files = sorted(_below(path)) if path.is_dir() else [path]
            found = [(file, _content(file)) for file in files]
        except OSError as error:
            raise UsageError(
                f"The checkpoint {path} can't be read: {error.strerror}.", hint="Check the path."
            ) from None
        if not found:
            raise UsageError(f"There is no checkpoint below {path}.", hint="Check the path.")
        for file, content in found:
            yield Held(_parsed(content, str(file)), str(file))


def _below(directory: Path) -> Iterator[Path]:
    return (
        file
        for file in directory.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(directory).parts)
    )


def _content(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MAX_DOCUMENT + 1)


def checkpoints_in(store: ObjectStore, origin: Origin) -> tuple[list[Held], list[str]]:
    """Checkpoints of a contract in the store, and where there is something else.

    Taken are those of all accounts that have a place there, whatever history says who was a member:
    history is what they are held against.

    Raises:
        StoreUnavailableError: The store can't be reached.
    """
    found, junk = [], []
    at = (origin.chain_id, origin.contract)
    authors = [name for name in store.names(consortium_place(*at)) if _ACCOUNT.fullmatch(name)]
    junk += [checkpoint_place(*at, author) for author in authors[_MOST_AUTHORS:]]
    listed: list[Reference] = []
    for author in authors[:_MOST_AUTHORS]:
        of_author = store.list(checkpoint_place(*at, author))
        listed += of_author[:_MOST_IN_STORE]
        junk += [reference.path for reference in of_author[_MOST_IN_STORE:]]
    for reference in listed:
        try:
            content = store.get(reference.prefix, reference.digest, limit=MAX_DOCUMENT)
            held = Held(_parsed(content, reference.path), reference.path, named=False)
        except UntrustedDataError:
            junk.append(reference.path)
        else:
            found.append(held)
    return found, junk


def _parsed(content: bytes, where: str) -> Checkpoint:
    try:
        checkpoint = Checkpoint.parse(content)
        checkpoint.require_sound()
    except IntegrityError as error:
        raise IntegrityError(
            f"{where} is no checkpoint that can be used: {error.what}",
            hint="Ask its author for another copy.",
        ) from None
    return checkpoint
