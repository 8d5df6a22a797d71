"""An export: a contract's whole history in one file, a line a record, with a running hash.

The first line says of which contract; each further one is a record, an event as the chain has it:

==============================  ==================================================================
number                          from 1, without a gap
event, arguments                by the contract's names, see :mod:`cdistrim.ledger.plain`
block, block_hash, timestamp    of the block; seconds
transaction, index              the transaction's hash, the log's index in the block
digest                          SHA-256 of the digest before it and of this line without its digest
==============================  ==================================================================

Lines are canonical JSON. The digest before the first record is the SHA-256 of chain id and
contract, so "up to record k" is one hash, the same whoever exports, whenever.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cdistrim.documents import Account, Document
from cdistrim.envelope import account_of, canonical_json
from cdistrim.errors import IntegrityError, UsageError
from cdistrim.files import new_file
from cdistrim.ledger import LoggedEvent

__all__ = ["BrokenRecord", "Header", "Origin", "Record", "numbered", "read_export", "write_export"]

_MAX_LINE = 1 << 20
"""Bytes: far more than an event of the contract can take."""

Hash = Annotated[str, Field(pattern=r"^0x[0-9a-f]{64}$")]
Number = Annotated[int, Field(ge=0, lt=1 << 63)]


class BrokenRecord(IntegrityError):
    """A line of an export is none, or its digest is not that of its content.

    Args:
        number: The record's, from 1.
    """

    def __init__(self, what: str, *, number: int) -> None:
        super().__init__(what, hint="Take another copy of the export, or export again.")
        self.number = number

    @property
    def code(self) -> str:
        """As of its parent: the difference matters to the audit only."""
        return IntegrityError.__name__


@dataclass(frozen=True)
class Origin:
    """Whose history it is. ``contract`` is in lower case."""

    chain_id: int
    contract: str

    @property
    def digest(self) -> bytes:
        """What the running hash begins with."""
        about = {"chain_id": self.chain_id, "contract": self.contract}
        return hashlib.sha256(canonical_json({"kind": "history", "version": 1} | about)).digest()


@dataclass(frozen=True)
class Record:
    """An event with its number, from 1, and the running digest up to it, 32 bytes."""

    number: int
    event: LoggedEvent
    digest: bytes


class Header(Document):
    """The first line of an export. ``block`` is the last that counted when it was made.

    Besides chain and contract nothing here is under the running hash.
    """

    kind: Literal["ledger export"] = "ledger export"
    version: Literal[1] = 1
    chain_id: Annotated[int, Field(gt=0)]
    contract: Account
    views: Account
    release: Annotated[str, Field(max_length=50)]
    block: Number
    block_hash: Hash

    @property
    def origin(self) -> Origin:
        """Whose history it is."""
        return Origin(self.chain_id, account_of(self.contract))


class _Line(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    number: Number
    event: Annotated[str, Field(max_length=50)]
    arguments: dict[str, Any]
    block: Number
    block_hash: Hash
    timestamp: Number
    transaction: Hash
    index: Number
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def numbered(
    origin: Origin, events: Iterable[LoggedEvent], *, after: int = 0, digest: bytes = b""
) -> Iterator[Record]:
    """Events as records.

    Args:
        origin: Whose they are.
        events: In order.
        after: Number of the record before them.
        digest: Its running digest.
    """
    digest = digest or origin.digest
    for number, event in enumerate(events, after + 1):
        digest = _next_digest(digest, number, event)
        yield Record(number, event, digest)


def _content(number: int, event: LoggedEvent) -> dict[str, object]:
    about = {name: value for name, value in vars(event).items() if name != "name"}
    return {"number": number, "event": event.name} | about


def _next_digest(before: bytes, number: int, event: LoggedEvent) -> bytes:
    return hashlib.sha256(before + canonical_json(_content(number, event))).digest()


# --- writing --------------------------------------------------------------------------------------


def write_export(header: Header, events: Iterable[LoggedEvent], file: Path) -> Record | None:
    """Write an export, 0644; the file appears when it is whole.

    Returns:
        The last record; None if there is none.

    Raises:
        UsageError: There is such a file already, or it can't be written there.
    """
    if os.path.lexists(file):
        raise _there_already(file)
    last = None
    try:
        with new_file(file, mode=0o644) as stream:
            stream.write(header.to_bytes() + b"\n")
            for record in numbered(header.origin, events):
                stream.write(_line(record) + b"\n")
                last = record
    except FileExistsError:
        raise _there_already(file) from None
    except OSError as error:
        raise UsageError(
            f"The export can't be written to {file}: {error.strerror}.",
            hint="Choose another place that this account may write to.",
        ) from error
    return last


def _there_already(file: Path) -> UsageError:
    return UsageError(
        f"{file} exists already; an export overwrites nothing.",
        hint="Give another name, e.g. with the date in it.",
    )


def _line(record: Record) -> bytes:
    content = _content(record.number, record.event)
    return canonical_json({**content, "digest": record.digest.hex()})


# --- reading --------------------------------------------------------------------------------------


def read_export(file: Path) -> tuple[Header, Iterator[Record]]:
    """Header and records of an export; nobody has vouched for them.

    The records are read one by one; the first whose line or digest is wrong raises
    :class:`BrokenRecord`.

    Raises:
        UsageError: It can't be read.
        IntegrityError: Its first line is no header.
    """
    lines = _lines(file)
    try:
        header = Header.parse(next(lines, b""))
    except IntegrityError as error:
        raise IntegrityError(
            f"{file} is no export of a ledger that can be used: its first line is no header of "
            "version 1.",
            hint=error.hint,
        ) from None
    return header, _records(header.origin, lines, file)


def _lines(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as stream:
            while line := stream.readline(_MAX_LINE):
                # Without its end a line is a part of one.
                yield line[:-1] if line.endswith(b"\n") else b""
    except OSError as error:
        raise UsageError(
            f"The export {file} can't be read: {error.strerror}.", hint="Check the path."
        ) from None


def _records(origin: Origin, lines: Iterator[bytes], file: Path) -> Iterator[Record]:
    digest = origin.digest
    for number, content in enumerate(lines, 1):
        try:
            line = _Line.model_validate_json(content)
            canonical = canonical_json(line.model_dump()) == content
        except (ValueError, RecursionError):
            canonical = False
        if not canonical or line.number != number:
            raise BrokenRecord(
                f"Line {number + 1} of {file} is not record {number} in its canonical form.",
                number=number,
            )
        event = LoggedEvent(
            line.event,
            line.arguments,
            line.block,
            line.block_hash,
            line.timestamp,
            line.transaction,
            line.index,
        )
        digest = _next_digest(digest, number, event)
        if digest.hex() != line.digest:
            raise BrokenRecord(
                f"Record {number} of {file} was altered, or one before it left out: its digest "
                f"would be {digest.hex()}, the line says {line.digest}.",
                number=number,
            )
        yield Record(number, event, digest)
