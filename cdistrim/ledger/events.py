"""The contract's events: read once, page by page, and kept with a cursor."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cdistrim.ledger.codec import artifact
from cdistrim.ledger.node import Node, NodeRefusal
from cdistrim.protocol import LedgerEvent

__all__ = ["EventLog"]

_PAGE_BLOCKS = 5_000


@dataclass(frozen=True)
class _Log:
    name: str
    arguments: dict[str, Any]
    block: int
    transaction: str
    index: int


class EventLog:
    """All events of one contract.

    Args:
        node: Where to read.
        address: The contract.
        first_block: A block not after the contract's first.
    """

    def __init__(self, node: Node, address: str, first_block: int = 0) -> None:
        self._node = node
        self._address = address
        self._first = first_block
        self._lock = threading.Lock()
        self._logs: list[_Log] = []
        self._cursor = first_block - 1
        self._cursor_hash = b""
        self._costs: dict[str, tuple[int, str]] = {}
        self._times: dict[int, int] = {}

    def reach(self, block: int) -> None:
        """Read up to a block, as far as that was not done before."""
        with self._lock:
            if block <= self._cursor:
                return
            if self._cursor_hash and self._hash(self._cursor) != self._cursor_hash:
                self._forget()  # the chain was reorganised below what was read
            digest = self._hash(block)
            page = _PAGE_BLOCKS
            while self._cursor < block:
                last = min(self._cursor + page, block)
                try:
                    found = self._node.logs(self._address, self._cursor + 1, last)
                except NodeRefusal:
                    if page == 1:
                        raise
                    page //= 2  # nodes limit the range or the number of results
                    continue
                self._logs.extend(map(_decoded, found))
                self._cursor = last
            self._cursor_hash = digest

    def find(self, name: str, **arguments: object) -> Iterator[LedgerEvent]:
        """Events of a name that carry all these arguments, oldest first."""
        for log in self._snapshot():
            if log.name == name and all(log.arguments.get(k) == v for k, v in arguments.items()):
                yield self._event(log)

    def arguments(self, name: str, **arguments: object) -> Iterator[dict[str, Any]]:
        """Like :meth:`find`, without asking what the transactions cost."""
        for log in self._snapshot():
            if log.name == name and all(log.arguments.get(k) == v for k, v in arguments.items()):
                yield log.arguments

    def of_campaign(self, campaign: int, last_block: int) -> tuple[LedgerEvent, ...]:
        """Everything about a campaign up to a block, oldest first."""
        return tuple(
            self._event(log)
            for log in self._snapshot()
            if log.arguments.get("campaign") == campaign and log.block <= last_block
        )

    def of_receipt(self, receipt: dict[str, Any], name: str) -> dict[str, Any]:
        """The arguments of the first event of this name in a transaction."""
        logs = map(_decoded, receipt["logs"])
        return next(log.arguments for log in logs if log.name == name)

    def timestamp(self, block: int) -> int:
        """A block's time in seconds."""
        if block not in self._times:
            found = self._node.block(block)
            if found is None:
                raise NodeRefusal(
                    f"The chain at {self._node.name} has no block {block}.",
                    message="",
                    hint="It may have been reorganised: try again.",
                )
            self._times[block] = int(found["timestamp"])
        return self._times[block]

    def _snapshot(self) -> tuple[_Log, ...]:
        with self._lock:
            return tuple(self._logs)

    def _event(self, log: _Log) -> LedgerEvent:
        if log.transaction not in self._costs:
            receipt = self._node.receipt(log.transaction) or {"gasUsed": 0, "from": ""}
            self._costs[log.transaction] = int(receipt["gasUsed"]), str(receipt["from"])
        gas, sender = self._costs[log.transaction]
        return LedgerEvent(
            name=log.name,
            arguments=dict(log.arguments),
            block=log.block,
            timestamp=self.timestamp(log.block),
            transaction=log.transaction,
            gas=gas,
            index=log.index,
            sender=sender,
        )

    def _hash(self, block: int) -> bytes:
        found = self._node.block(block)
        return bytes(found["hash"]) if found else b""

    def _forget(self) -> None:
        self._logs.clear()
        self._costs.clear()
        self._times.clear()
        self._cursor = self._first - 1


def _decoded(log: dict[str, Any]) -> _Log:
    name, arguments = artifact().decode_event(log["topics"], bytes(log["data"]))
    return _Log(
        name=name,
        arguments=arguments,
        block=int(log["blockNumber"]),
        transaction="0x" + bytes(log["transactionHash"]).hex(),
        index=int(log["logIndex"]),
    )
