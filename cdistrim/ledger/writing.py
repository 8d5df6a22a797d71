"""How a write is done once and no more: what all actions on the contract share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from cdistrim.errors import LedgerRefusal, LedgerUnavailableError, UsageError
from cdistrim.ledger.codec import artifact
from cdistrim.ledger.interface import Confirmations, Receipt
from cdistrim.ledger.node import BlockRef, Node, Reorganised
from cdistrim.ledger.reading import ReadOnlyLedger, of_one_chain
from cdistrim.ledger.sending import AlreadyDone, Sender
from cdistrim.protocol import LedgerEvent

__all__ = ["MOVED_ON", "Look", "Said", "Writer"]

_ROUNDS = 5

MOVED_ON = ("WrongCampaignState", "WrongSlot", "WrongAttempt", "WrongState")
"""How the contract refuses a step of a slot that was done before."""

Said = Mapping[str, Any]
"""The arguments of a refusal; none if nothing was refused."""

Look = Callable[[Said], LedgerEvent | None]
"""Finds the event of what was done before: the same with the same content, or None."""


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

    def _last(self, event: str, /, **arguments: object) -> LedgerEvent | None:
        found = deque(self._events.find(event, **arguments), maxlen=1)
        return found[0] if found else None

    def _mine(self, event: str, /, **arguments: object) -> LedgerEvent | None:
        """The last event about this account."""
        return self._last(event, account=self.account, **arguments)

    def _write(
        self,
        function: str,
        arguments: Sequence[object],
        refusals: Iterable[str],
        done: Look,
        *,
        ask_first: bool = False,
    ) -> Receipt:
        """Do it; or, if the contract refuses because it was done before, say when that was.

        Args:
            function: The contract's.
            arguments: Its arguments.
            refusals: The names of those that a repeat meets. Any other one means something else
                than "it was done before", whatever this account has done, and is passed on.
            done: Finds what was done before.
            ask_first: Look before anything is sent, too: for what the contract takes a second time.
                Where it does not, the normal way is shorter without.

        Raises:
            LedgerRefusal: The contract refuses it, and this is not because it was done before.
            LedgerUnavailableError: No answer, or not in time; or the chain undid it every time.
        """
        unless = (lambda _: self._look(done, {}) is not None) if ask_first else None
        for _ in range(_ROUNDS):
            with suppress(Reorganised):  # before it was final, if there is such a thing
                try:
                    return self._receipt(self._transact(function, arguments, unless))
                except (LedgerRefusal, AlreadyDone) as reason:
                    refusal = reason if isinstance(reason, LedgerRefusal) else None
                    if refusal is not None and refusal.name not in refusals:
                        raise
                    self._signer().settle()
                    event = self._look(done, refusal.arguments if refusal else {})
                    if event is None and refusal is not None:
                        raise
                    if event is not None and self._signer().lasts(event.transaction):
                        return _original(event)
        raise LedgerUnavailableError(
            f"The chain undid or overtook {function} {_ROUNDS} times.",
            hint="Wait until it is quiet, then run the same again.",
        )

    @of_one_chain
    def _look(self, done: Look, said: Said) -> LedgerEvent | None:
        """Ask at the chain's latest block, whether that counts already or not."""
        self._events.reach(self._finality.tip())
        return done(said)

    def _transact(
        self,
        function: str,
        arguments: Sequence[object],
        unless: Callable[[int], bool] | None = None,
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
