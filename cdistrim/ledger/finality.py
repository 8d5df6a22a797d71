"""When a block counts: so many blocks on top of it, or the chain itself calls it final."""

from __future__ import annotations

from cdistrim.errors import LedgerUnavailableError
from cdistrim.ledger.interface import Confirmations
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, Reorganised

__all__ = ["Finality"]


class Finality:
    """Which block of a chain is the last that counts.

    Args:
        node: Where to ask.
        confirmations: What makes a block count.
    """

    def __init__(self, node: Node, confirmations: Confirmations) -> None:
        self._node = node
        self._depth = confirmations

    @property
    def at_once(self) -> bool:
        """Whether a block counts as soon as it is there."""
        return self._depth == 0

    @property
    def is_the_chains(self) -> bool:
        """Whether the chain itself says which block is final."""
        return self._depth == "finalized"

    def tip(self) -> BlockRef:
        """The chain's latest block.

        Raises:
            LedgerUnavailableError: The chain does not answer or has no block.
        """
        tip = self._node.ref("latest")
        if tip is None:
            raise LedgerUnavailableError(
                f"The chain at {self._node.name} has no block.", hint="Check the node."
            )
        return tip

    def newest(self) -> BlockRef:
        """The block that tells whether :meth:`final` has changed since it was asked: one request.

        Raises:
            LedgerUnavailableError: The chain does not answer, does not let us ask, or calls no
                block final.
        """
        if not self.is_the_chains:
            return self.tip()
        try:
            found = self._node.ref("finalized")
        except NodeRefusal as refused:
            if refused.is_about_us:
                raise
            found = None
        if found is None:
            raise LedgerUnavailableError(
                f"The chain at {self._node.name} calls no block finalized.",
                hint="Check that the node is in sync. If the chain has no finality of its own, set "
                '"confirmations" to a number of blocks.',
            )
        return found

    def final(self, newest: BlockRef | None = None) -> BlockRef:
        """The last block that counts.

        Args:
            newest: What :meth:`newest` has just said, to spare the request.

        Raises:
            LedgerUnavailableError: The chain does not answer, or calls no block final.
        """
        newest = newest or self.newest()
        if self._depth in (0, "finalized"):
            return newest
        number = max(0, newest.number - int(self._depth))
        found = self._node.ref(number)
        if found is None:
            raise Reorganised(self._node.name, number)
        return found
