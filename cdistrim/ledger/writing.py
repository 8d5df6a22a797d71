"""How a write is done once and no more: what all actions on the contract share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cdistrim.errors import LedgerRefusal, LedgerUnavailableError, UsageError
from cdistrim.ledger.codec import artifact
from cdistrim.ledger.interface import Confirmations, Receipt
from cdistrim.ledger.node import BlockRef, Node, Reorganised
from cdistrim.ledger.reading import ReadOnlyLedger, of_one_chain
from cdistrim.ledger.sending import AlreadyDone, Sender
from cdistrim.protocol import LedgerEvent

__all__ = ["Writer"]

_ROUNDS = 5


class Writer(ReadOnlyLedger):
    """A ledger that may have an account. Actions are in the modules beside this one, named as the
    contract's sources are.

    Args:
        sender: Signs and sends; None to read only. The others as of :class:`ReadOnlyLedger`.
    """

    def __init__(
        self,
        node: Node,
        address: str,
        *,
        views: str,
        chain_id: int,
        sender: Sender | None,
        confirmations: Confirmations,
        first_block: int,
    ) -> None:
        super().__init__(
            node,
            address,
            views=views,
            chain_id=chain_id,
            confirmations=confirmations,
            first_block=first_block,
        )
        self._sender = sender

    @property
    def account(self) -> str | None:
        """The account that signs; None where the ledger is only read."""
        return self._sender.address if self._sender else None

    def _mine(self, event: str, /, **arguments: object) -> LedgerEvent | None:
        return next(self._events.find(event, account=self.account, **arguments), None)

    def _latest_of_mine(self, event: str, /, **arguments: object) -> LedgerEvent | None:
        """The last event about a ballot that this account opened."""
        found = list(self._events.find(event, opener=self.account, **arguments))
        return found[-1] if found else None

    def _write(
        self,
        function: str,
        arguments: Sequence[object],
        done: Callable[[], LedgerEvent | None],
        *,
        ask_first: bool = False,
    ) -> Receipt:
        """Do it; or, if the contract refuses because it was done before, say when that was.

        Asking only after a refusal keeps the normal way short: the contract refuses every repeat.
        Where it does not, ``ask_first``.
        """
        unless = (lambda: self._look(done) is not None) if ask_first else None
        for _ in range(_ROUNDS):
            with suppress(Reorganised):  # before it was final, if there is such a thing
                try:
                    return self._receipt(self._transact(function, arguments, unless))
                except (LedgerRefusal, AlreadyDone) as reason:
                    self._signer().settle()
                    event = self._look(done)
                    if event is None and isinstance(reason, LedgerRefusal):
                        raise
                    if event is not None and self._signer().lasts(event.transaction):
                        return _original(event)
        raise LedgerUnavailableError(
            f"The chain undid or overtook {function} {_ROUNDS} times.",
            hint="Wait until it is quiet, then run the same again.",
        )

    @of_one_chain
    def _look(self, done: Callable[[], LedgerEvent | None]) -> LedgerEvent | None:
        """Ask at the chain's latest block, whether that counts already or not."""
        self._events.reach(self._finality.tip())
        return done()

    def _transact(
        self,
        function: str,
        arguments: Sequence[object],
        unless: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        data = artifact().encode(function, arguments)
        return self._signer().transact(self._address, data, unless=unless)

    def _signer(self) -> Sender:
        if self._sender is None:
            raise UsageError(
                "This ledger was opened without an account and can only be read.",
                hint="Give the site's key file.",
            )
        return self._sender

    def _receipt(self, receipt: dict[str, Any]) -> Receipt:
        block = BlockRef(int(receipt["blockNumber"]), bytes(receipt["blockHash"]))
        return Receipt(
            transaction="0x" + bytes(receipt["transactionHash"]).hex(),
            block=block.number,
            gas=int(receipt["gasUsed"]),
            timestamp=self._events.timestamp(block),
        )


def _original(event: LedgerEvent) -> Receipt:
    return Receipt(event.transaction, event.block, event.gas, event.timestamp, repeated=True)
