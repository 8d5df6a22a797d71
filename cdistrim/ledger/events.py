"""The contract's events: read once, page by page, and kept with a cursor.

What is kept is always of one chain: a page counts only if its first and its last block were on the
chain together while it was read, and what a reorganisation undid is dropped before anything is
added. After a fault the next reading continues behind the last whole page.

An event takes about 0.9 kB. Above 50,000 of them the campaigns that have been silent longest keep
their first event only; the rest of one is read again when somebody asks for it.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from eth_abi.exceptions import DecodingError

from cdistrim.errors import ConfigurationError, IntegrityError, LedgerUnavailableError
from cdistrim.ledger.codec import artifact
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, Reorganised
from cdistrim.protocol import BallotId, LedgerEvent

__all__ = ["EventLog"]

_PAGE_BLOCKS = 5_000
_PAGES_BEFORE_GROWTH = 8
_KEPT_EVENTS = 50_000
_KEPT_COSTS = 20_000


@dataclass(frozen=True, slots=True)
class _Log:
    name: str
    arguments: dict[str, Any]
    block: BlockRef
    transaction: str
    index: int

    @property
    def campaign(self) -> int:
        """0 for what belongs to none."""
        return int(self.arguments.get("campaign", 0))


class EventLog:
    """All events of one contract. Threads may share it.

    Args:
        node: Where to read.
        address: The contract.
        first_block: A block not after the contract's first.
    """

    def __init__(self, node: Node, address: str, first_block: int = 0) -> None:
        self._node = node
        self._address = address
        self._lock = threading.Lock()
        self._logs: list[_Log] = []
        self._start = BlockRef(first_block - 1, b"")
        self._cursor = self._start
        self._checked: BlockRef | None = None
        self._dropped: dict[int, tuple[int, int]] = {}  # campaign: its first and last block
        self._again: tuple[int, tuple[_Log, ...]] | None = None  # a dropped campaign, read again
        self._page = _PAGE_BLOCKS
        self._most = _KEPT_EVENTS
        self._costs: dict[tuple[bytes, str], tuple[int, str]] = {}
        self._times: dict[bytes, int] = {}

    def reach(self, block: BlockRef) -> None:
        """Read up to a block, as far as that was not done before.

        Raises:
            ConfigurationError: ``first_block`` is after the contract's first.
            LedgerUnavailableError: No answer; what was read before is kept.
            Reorganised: The block is not on the chain any more; what was undone is dropped.
            IntegrityError: The node gives logs that this contract can't have written.
        """
        with self._lock:
            self._reach(block)

    def forget(self) -> None:
        """Keep nothing that was read: it is read again when it is needed."""
        with self._lock:
            self._forget()

    def find(self, name: str, /, **arguments: object) -> Iterator[LedgerEvent]:
        """Events read so far of a name that carry all these arguments, oldest first.

        Raises:
            Reorganised: The chain has undone one meanwhile.
            LedgerUnavailableError: Also because the node does not keep receipts for so long.
        """
        return map(self._event, self._matching(name, None, arguments))

    def arguments(
        self, name: str, at: BlockRef, /, **arguments: object
    ) -> Iterator[dict[str, Any]]:
        """The arguments alone, as of a block, which is read up to: costs are not asked for."""
        return (log.arguments for log in self._matching(name, at, arguments))

    def dated(
        self, name: str, at: BlockRef, /, **arguments: object
    ) -> Iterator[tuple[dict[str, Any], int]]:
        """The same with the time of each event's block, in seconds of ledger time."""
        for log in self._matching(name, at, arguments):
            yield log.arguments, self.timestamp(log.block)

    def of_campaign(self, campaign: int, at: BlockRef) -> tuple[LedgerEvent, ...]:
        """Everything about a campaign as of a block, which is read up to, oldest first."""
        logs = self._as_of(at, campaign)
        return tuple(self._event(log) for log in logs if log.campaign == campaign)

    def timestamp(self, block: BlockRef) -> int:
        """A block's time in seconds.

        Raises:
            Reorganised: It is not on the chain any more.
        """
        seconds = self._times.get(block.digest)
        if seconds is None:
            found = self._node.block(block.number)
            if found is None or bytes(found["hash"]) != block.digest:
                raise Reorganised(self._node.name, block.number)
            seconds = int(found["timestamp"])
            self._keep(self._times, block.digest, seconds)
        return seconds

    def _keep(self, kept: dict[Any, Any], key: object, value: object) -> None:
        """Add to what spares requests only; the oldest is forgotten rather than grow for ever."""
        with self._lock:
            while len(kept) >= _KEPT_COSTS:
                del kept[next(iter(kept))]
            kept[key] = value

    def _matching(
        self, name: str, at: BlockRef | None, arguments: dict[str, object]
    ) -> Iterator[_Log]:
        wanted = arguments.items()
        ballot = arguments.get("ballot")
        campaign = ballot.campaign if isinstance(ballot, BallotId) else arguments.get("campaign")
        return (
            log
            for log in self._as_of(at, campaign)
            if log.name == name and all(log.arguments.get(key) == value for key, value in wanted)
        )

    def _as_of(self, at: BlockRef | None, campaign: object) -> tuple[_Log, ...]:
        """What is known as of a block; of other campaigns than this one maybe the first event."""
        with self._lock:
            if at is not None:
                self._reach(at)
            logs = tuple(self._logs)
            if isinstance(campaign, int) and campaign in self._dropped:
                logs = self._read_again(campaign)
        return logs if at is None else tuple(log for log in logs if log.block.number <= at.number)

    def _event(self, log: _Log) -> LedgerEvent:
        key = log.block.digest, log.transaction
        cost = self._costs.get(key)
        if cost is None:
            receipt = self._node.receipt(log.transaction)
            if receipt is None and self._node.has(log.block):
                raise LedgerUnavailableError(
                    f"The node at {self._node.name} has block {log.block.number}, but no receipt "
                    f"of transaction {log.transaction} in it.",
                    hint="Use a node that keeps the index of old transactions, e.g. geth with "
                    "--history.transactions=0.",
                )
            if receipt is None or bytes(receipt["blockHash"]) != log.block.digest:
                raise Reorganised(self._node.name, log.block.number)
            cost = int(receipt["gasUsed"]), str(receipt["from"])
            self._keep(self._costs, key, cost)
        return LedgerEvent(
            name=log.name,
            arguments=dict(log.arguments),
            block=log.block.number,
            timestamp=self.timestamp(log.block),
            transaction=log.transaction,
            gas=cost[0],
            index=log.index,
            sender=cost[1],
        )

    def _reach(self, to: BlockRef) -> None:
        self._read_up_to(to)
        self._see_the_founders(to)

    def _see_the_founders(self, at: BlockRef) -> None:
        """See that nothing in front is left out: the contract's first event admits a founder.

        Raises:
            ConfigurationError: It is not there.
        """
        if self._logs:
            first = self._logs[0]
            whole = first.name == "MemberAdmitted" and first.arguments["seat"] == 0
        else:  # right as long as there is no contract yet in the last block that counts
            whole = not self._node.code(self._address, at.number)
        if not whole:
            self._forget()
            first_block = self._start.number + 1
            raise ConfigurationError(
                f"The contract's events from first_block {first_block} on do not begin with its "
                "founders: that block is after the contract's first, or the node at "
                f"{self._node.name} leaves events out.",
                hint='Correct "first_block" (--first-block): it is what `cdistrim consortium '
                "deploy` printed; 0 is right, too, but takes longer. If it is correct, use "
                "another node.",
            )

    def _read_up_to(self, to: BlockRef) -> None:
        if to in (self._cursor, self._checked):
            return
        pages = 0
        while self._cursor.number < to.number:
            end = self._page_end(to)
            logs = self._ask(self._cursor.number + 1, end.number, end)
            if logs is None:
                pages = 0
                continue
            self._check(end)
            self._logs += logs
            self._cursor = end
            self._again = None if logs else self._again
            pages += 1
            if pages % _PAGES_BEFORE_GROWTH == 0:  # the crowded stretch may be over
                self._page = min(_PAGE_BLOCKS, 2 * self._page)
            if len(self._logs) > self._most:
                self._drop()
        if self._cursor != to:
            self._check(to)
        self._checked = to

    def _ask(self, first: int, last: int, proof: BlockRef) -> list[_Log] | None:
        """The logs of some blocks in their order; None if the node wants to be asked for less.

        Args:
            first: The first block's number.
            last: The last one's.
            proof: A block that the chain must have for the question to make sense.
        """
        try:
            found = self._node.logs(self._address, first, last)
        except NodeRefusal as error:
            if not self._node.has(proof):
                raise Reorganised(self._node.name, proof.number) from None
            # Nodes limit the range, or the number or size of results.
            if not error.is_limit or last == first:
                raise
            self._page = (last - first + 1) // 2
            return None
        logs = sorted(map(_decoded, found), key=lambda log: (log.block.number, log.index))
        if logs and not first <= logs[0].block.number <= logs[-1].block.number <= last:
            raise _foreign(f"of a block outside {first} to {last}, which were asked for")
        return logs

    def _drop(self) -> None:
        """Forget all but the first events of the campaigns that have been silent longest."""
        blocks = dict(self._dropped)
        for log in self._logs:
            first, last = blocks.get(log.campaign, (log.block.number, 0))
            blocks[log.campaign] = first, max(last, log.block.number)
        sizes = Counter(log.campaign for log in self._logs)
        left = len(self._logs)
        silent = sorted(blocks.keys() - {0}, key=lambda campaign: blocks[campaign][1])
        gone = set(self._dropped)
        for campaign in silent[:-1]:
            if left <= self._most // 2:
                break
            gone.add(campaign)
            left -= sizes[campaign] - 1
        self._dropped = {campaign: blocks[campaign] for campaign in gone}
        known: set[int] = set()
        self._logs = [log for log in self._logs if self._stays(log, known)]
        self._again = None

    def _stays(self, log: _Log, known: set[int]) -> bool:
        stays = log.campaign not in self._dropped or log.campaign not in known
        known.add(log.campaign)
        return stays

    def _read_again(self, campaign: int) -> tuple[_Log, ...]:
        if self._again is None or self._again[0] != campaign:
            found: list[_Log] = []
            first, last = self._dropped[campaign]
            last = max(
                [last, *(log.block.number for log in self._logs if log.campaign == campaign)]
            )
            while first <= last:
                end = min(first + self._page - 1, last)
                logs = self._ask(first, end, self._cursor)
                if logs is not None:
                    found += (log for log in logs if log.campaign == campaign)
                    first = end + 1
            self._check(self._cursor)
            self._again = campaign, tuple(found)
        return self._again[1]

    def _page_end(self, to: BlockRef) -> BlockRef:
        number = self._cursor.number + self._page
        if number >= to.number:
            return to
        end = self._node.ref(number)
        if end is None:
            raise Reorganised(self._node.name, number)
        return end

    def _check(self, block: BlockRef) -> None:
        """See that the cursor and a block are on the chain together, with the cursor asked first.

        The block was there before the logs were asked for, so they are of this chain as well.
        """
        if self._cursor != self._start and not self._node.has(self._cursor):
            self._rewind()
            raise Reorganised(self._node.name, block.number)
        if not self._node.has(block):
            raise Reorganised(self._node.name, block.number)

    def _rewind(self) -> None:
        """Drop what was undone: the logs are of one chain, so bisection finds where it parted."""
        self._checked = self._again = None
        low, high = 0, len(self._logs)
        while low < high:
            middle = (low + high) // 2
            if self._node.has(self._logs[middle].block):
                low = middle + 1
            else:
                high = middle
        del self._logs[low:]
        self._cursor = self._logs[-1].block if self._logs else self._start
        if any(last > self._cursor.number for _, last in self._dropped.values()):
            # What the kept logs don't show may have been undone as well.
            self._forget()

    def _forget(self) -> None:
        self._logs, self._dropped, self._cursor = [], {}, self._start
        self._checked = self._again = None


def _decoded(log: dict[str, Any]) -> _Log:
    try:
        name, arguments = artifact().decode_event(log["topics"], bytes(log["data"]))
    except (DecodingError, LookupError, ValueError):
        raise _foreign("that is none of its events") from None
    return _Log(
        name=name,
        arguments=arguments,
        block=BlockRef(int(log["blockNumber"]), bytes(log["blockHash"])),
        transaction="0x" + bytes(log["transactionHash"]).hex(),
        index=int(log["logIndex"]),
    )


def _foreign(what: str) -> IntegrityError:
    return IntegrityError(
        f"The node gave a log of the contract {what}.",
        hint="Use another node: this one gives wrong events.",
    )
