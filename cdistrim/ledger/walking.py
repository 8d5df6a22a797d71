"""All that a contract has logged, read once from the chain in order, as exports need it.

Unlike :class:`~cdistrim.ledger.events.EventLog` nothing is kept, so that a history of any length
takes the room of one page; and nothing is translated that could round (:mod:`.plain`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from eth_abi.exceptions import DecodingError

from cdistrim.errors import IntegrityError
from cdistrim.ledger.interface import BlockRef, LoggedEvent
from cdistrim.ledger.node import Node, NodeRefusal, Reorganised
from cdistrim.ledger.plain import plain_event
from cdistrim.ledger.reading import ReadOnlyLedger

__all__ = ["HistoryReads"]

_PAGE_BLOCKS = 5_000
_PAGES_BEFORE_GROWTH = 8


class HistoryReads(ReadOnlyLedger):
    """The whole history, event by event."""

    @property
    def views(self) -> str:
        """Address of the contract with the derived views."""
        return self._views

    def final_block(self) -> BlockRef:
        """The last block that counts."""
        return self._finality.final()

    def has_block(self, block: BlockRef) -> bool:
        """Whether the chain has this very block."""
        return self._node.has(block)

    def logged(self, to: BlockRef, *, after: int = -1) -> Iterator[LoggedEvent]:
        """All events in the blocks behind number ``after`` up to ``to``, as the chain has them.

        Raises:
            LedgerUnavailableError: No answer, or ``to`` is not on the chain any more.
            IntegrityError: The node gives logs that this contract can't have written.
        """
        first = max(after + 1, self._first_block)
        seconds: dict[int, int] = {}
        for log in _logs(self._node, self._address, first, to):
            yield _event(self._node, log, seconds)


def _logs(node: Node, address: str, first: int, to: BlockRef) -> Iterator[dict[str, Any]]:
    """Logs in their order; what was given out is of the chain that ends with ``to``."""
    page, served = _PAGE_BLOCKS, 0
    while first <= to.number:
        last = min(first + page - 1, to.number)
        try:
            found = node.logs(address, first, last)
        except NodeRefusal as error:
            # Nodes limit the range, or the number or size of results.
            if not error.is_limit or last == first:
                raise
            page, served = (last - first + 1) // 2, 0
            continue
        if not node.has(to):
            raise Reorganised(node.name, to.number)
        found.sort(key=lambda log: (int(log["blockNumber"]), int(log["logIndex"])))
        if found and not first <= found[0]["blockNumber"] <= found[-1]["blockNumber"] <= last:
            raise _foreign(f"of a block outside {first} to {last}, which were asked for")
        yield from found
        first, served = last + 1, served + 1
        if served % _PAGES_BEFORE_GROWTH == 0:  # the crowded stretch may be over
            page = min(_PAGE_BLOCKS, 2 * page)


def _event(node: Node, log: dict[str, Any], seconds: dict[int, int]) -> LoggedEvent:
    number, digest = int(log["blockNumber"]), bytes(log["blockHash"])
    if number not in seconds:
        block = node.block(number)
        if block is None or bytes(block["hash"]) != digest:
            raise Reorganised(node.name, number)
        seconds.clear()  # the logs are in order: only the present block's is asked for again
        seconds[number] = int(block["timestamp"])
    try:
        name, arguments = plain_event(log["topics"], bytes(log["data"]))
    except (DecodingError, LookupError, ValueError):
        raise _foreign("that is none of its events") from None
    return LoggedEvent(
        name=name,
        arguments=arguments,
        block=number,
        block_hash="0x" + digest.hex(),
        timestamp=seconds[number],
        transaction="0x" + bytes(log["transactionHash"]).hex(),
        index=int(log["logIndex"]),
    )


def _foreign(what: str) -> IntegrityError:
    return IntegrityError(
        f"The node gave a log of the contract {what}.",
        hint="Use another node: this one gives wrong events.",
    )
