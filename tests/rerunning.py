"""Ledgers that are used as flows use them: what found no answer is run again, maybe by several."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

from cdistrim.devnet import CHAIN_ID
from cdistrim.errors import LedgerUnavailableError
from cdistrim.ledger import EthereumLedger
from cdistrim.ledger.interface import Confirmations
from cdistrim.protocol import BallotKind
from tests.chain import Consortium, of_slot

__all__ = ["Insisting", "Twins", "connected", "vote"]

_RERUNS = 30


def connected(
    consortium: Consortium, urls: Sequence[str], *, confirmations: Confirmations = 0
) -> Consortium:
    """The same consortium, whose members' own nodes are at these addresses."""
    ledgers = [
        EthereumLedger.connect(
            url,
            consortium.address,
            chain_id=CHAIN_ID,
            account=key,
            confirmations=confirmations,
            timeout=20,
        )
        for url, key in zip(urls, consortium.keys, strict=True)
    ]
    return replace(consortium, ledgers=tuple(ledgers))


def insisting(
    ask: Callable[..., object], failed: Callable[[], None] = lambda: None
) -> Callable[..., object]:
    """Run again what found the chain unavailable, as the scheduler does with a failed run."""

    def asking(*args: object, **kwargs: object) -> object:
        for _ in range(_RERUNS):
            try:
                return ask(*args, **kwargs)
            except LedgerUnavailableError:
                failed()
        return ask(*args, **kwargs)

    return asking


class Insisting:
    """A ledger that runs again what found the chain unavailable."""

    def __init__(self, ledger: EthereumLedger) -> None:
        self._ledger = ledger
        self.reruns = 0

    @classmethod
    def all(cls, consortium: Consortium) -> Consortium:
        """A consortium whose members insist."""
        ledgers = tuple(cast("EthereumLedger", cls(each)) for each in consortium.ledgers)
        return replace(consortium, ledgers=ledgers)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a ledger has
        found = getattr(self._ledger, name)
        return self._again(found) if callable(found) else found

    def _again(self, ask: Callable[..., object]) -> Callable[..., object]:
        return insisting(ask, self._count)

    def _count(self) -> None:
        self.reruns += 1


class Twins:
    """Two processes with one account that do everything at the same time.

    They share no lock, as two processes don't. The answers are the first one's.
    """

    def __init__(self, one: EthereumLedger, other: EthereumLedger) -> None:
        self._twins = (one, other)
        for twin in self._twins:
            sender = getattr(twin, "_ledger", twin)._sender
            assert sender is not None
            sender._lock = threading.Lock()

    @classmethod
    def all(cls, ones: Consortium, others: Consortium) -> Consortium:
        """A consortium where every member is there twice."""
        pairs = zip(ones.ledgers, others.ledgers, strict=True)
        return replace(ones, ledgers=tuple(cast("EthereumLedger", cls(*pair)) for pair in pairs))

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a ledger has
        found = [getattr(twin, name) for twin in self._twins]
        return self._both(found) if callable(found[0]) else found[0]

    def _both(self, asks: list[Callable[..., object]]) -> Callable[..., object]:
        def asking(*args: object, **kwargs: object) -> object:
            with ThreadPoolExecutor(len(asks)) as pool:
                answers = [pool.submit(ask, *args, **kwargs) for ask in asks]
            first, _ = (answer.result() for answer in answers)
            return first

        return asking


def vote(url: str, address: str, key: bytes, campaign: int) -> tuple[str, bool]:
    """Vote yes on the first slot's fetch, in a process of one's own; hash, and whether repeated."""
    connect = insisting(EthereumLedger.connect)
    found = connect(url, address, chain_id=CHAIN_ID, account=key)
    ledger = cast("EthereumLedger", Insisting(cast("EthereumLedger", found)))
    about = of_slot(ledger, BallotKind.FETCH, campaign=campaign, slot=1, attempt=1)
    receipt = ledger.cast_vote(**about, approve=True)
    return receipt.transaction, receipt.repeated
