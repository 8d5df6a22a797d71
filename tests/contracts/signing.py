"""Who plays, and the votes that they sign (EIP-712, EIP-2098)."""

from __future__ import annotations

from functools import cache
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount

from cdistrim.devnet import CHAIN_ID
from tests.chain import digest
from tests.contracts.reference import SignedVote

__all__ = ["Asked", "Signing", "people"]

Asked = tuple[int, bytes]
"""A ballot's name and what it is about."""

_VOTE = [
    {"name": "ballot", "type": "uint256"},
    {"name": "subject", "type": "bytes32"},
    {"name": "approve", "type": "bool"},
    {"name": "evidence", "type": "uint256"},
    {"name": "deadline", "type": "uint64"},
]


@cache
def people() -> tuple[LocalAccount, ...]:
    """Everybody who ever plays; the last one is never proposed as a member."""
    return tuple(Account.from_key(digest("differential", index)) for index in range(11))


class Signing:
    """Signs for everybody.

    Args:
        address: Where the contract is: signatures are good there only.
    """

    def __init__(self, address: str) -> None:
        self._domain = {
            "name": "C-DistriM",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": address,
        }

    def sign(self, asked: Asked, vote: SignedVote) -> tuple[Any, ...]:
        """The contract's ``SignedVote``, signed by ``vote.signer``."""
        (signer,) = (account for account in people() if account.address == vote.signer)
        message = self._message(asked, vote)
        signature = signer.sign_typed_data(self._domain, {"Vote": _VOTE}, message)
        vs = (signature.s | (signature.v - 27) << 255).to_bytes(32)
        return vote.approve, vote.evidence, vote.deadline, signature.r.to_bytes(32), vs

    def recovered(self, asked: Asked, signed: tuple[Any, ...]) -> str:
        """Whose signature it is, on what a ``SignedVote`` says now."""
        approve, evidence, deadline, r, vs = signed
        message = self._message(asked, SignedVote(None, approve, evidence, deadline))
        data = encode_typed_data(self._domain, {"Vote": _VOTE}, message)
        parity, s = vs[0] >> 7, int.from_bytes(vs) & (1 << 255) - 1
        return str(Account.recover_message(data, vrs=(27 + parity, int.from_bytes(r), s)))

    def _message(self, asked: Asked, vote: SignedVote) -> dict[str, object]:
        values = *asked, vote.approve, vote.evidence, vote.deadline
        return {field["name"]: value for field, value in zip(_VOTE, values, strict=True)}
