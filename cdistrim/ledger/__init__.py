"""The ledger: the contract, as Python sees it. The only place that speaks web3 and owns the ABI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdistrim.ledger.interface import (
    NO_EVIDENCE,
    NO_HASH,
    BlockRef,
    Candidate,
    Deployment,
    FormerMember,
    Ledger,
    LoggedEvent,
    Member,
    Receipt,
    SignedVote,
)

if TYPE_CHECKING:
    from cdistrim.ledger.ethereum import EthereumLedger

__all__ = [
    "NO_EVIDENCE",
    "NO_HASH",
    "BlockRef",
    "Candidate",
    "Deployment",
    "EthereumLedger",
    "FormerMember",
    "Ledger",
    "LoggedEvent",
    "Member",
    "Receipt",
    "SignedVote",
]


def __getattr__(name: str) -> object:
    # web3 takes a second to import: who only needs the words does not wait for it.
    if name == "EthereumLedger":
        from cdistrim.ledger.ethereum import EthereumLedger

        return EthereumLedger
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
