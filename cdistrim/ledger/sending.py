"""Transactions: signed here, sent so that nothing happens twice.

A transaction's hash is known before it is sent. Whatever goes wrong on the way, the question is
therefore never "shall I send it again?" but "does the chain have it?". The order of the steps is
what makes that enough:

1. Nothing else of this account is under way, so its next nonce is known. If something stays under
   way, e.g. because it pays too little, nothing is signed: behind it, a repeat could slip in.
2. The contract says, by an estimate, that it would take the transaction now.
3. It is signed with that nonce. If the account acted anywhere between 1 and now, the nonce is gone
   and the transaction can never be mined: a repeat can't slip in.
4. The same bytes are given to the node until it has them.
5. A block has it; and, if the caller wants, so many blocks are on top, or the chain calls it final.
   If a reorganisation takes it out before, the same bytes are sent again. If their nonce went to
   another transaction meanwhile, all begins anew at 1, and the contract refuses what was done.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, HexAddress
from hexbytes import HexBytes
from web3.types import Nonce, TxParams
from web3.utils.address import get_create_address

from cdistrim.errors import KeyFileError, LedgerRefusal, LedgerUnavailableError
from cdistrim.ledger.finality import Finality
from cdistrim.ledger.interface import Confirmations
from cdistrim.ledger.node import Node, NodeRefusal, TransportFault

__all__ = ["AlreadyDone", "Sender"]

_REVERTS = 4
_OVERTAKINGS = 20
_SENDINGS = 5
_FIRST_PAUSE_S = 0.1
_FIRST_POLL_S = 0.002
_LAST_POLL_S = 0.5
_LAST_FINAL_POLL_S = 2.0
_FINALIZED_S = 1_800.0
"""The main network's finalized block moves every 6.4 minutes if all is well."""

# Other steps of the same slot may be mined between the estimate and the transaction, and the vote
# that decides a ballot costs more than one that doesn't. Unused gas is not paid.
_GAS_MARGIN = 300_000

_KNOWN = ("already known", "already imported", "known transaction", "already exists")
# Every node has its own words for a nonce that is gone; the chain is asked besides.
_STALE = (
    *("nonce too low", "nonce is too low", "nonce below", "nonce too old"),
    *("replacement transaction underpriced", "replacement underpriced"),
)

_locks: defaultdict[tuple[int, str], threading.Lock] = defaultdict(threading.Lock)
"""One for each account: in this process its transactions are mined one after the other."""


class AlreadyDone(Exception):
    """The caller's ``unless`` says that there is nothing left to send."""


@dataclass(frozen=True)
class _Signed:
    raw: bytes = field(repr=False)
    digest: bytes
    nonce: int
    creates: str | None

    def __str__(self) -> str:
        what = f" (it makes contract {self.creates})" if self.creates else ""
        return f"Transaction 0x{self.digest.hex()}{what}"


class Sender:
    """Signs with one account and sends to one chain.

    Args:
        node: Where to.
        chain_id: Part of every signature (EIP-155).
        private_key: 32 bytes, or their hexadecimal digits.
        timeout: Seconds to wait until a transaction is mined, and for each further block.
        confirmations: When a mined transaction counts as done.

    Raises:
        KeyFileError: That is no private key.
    """

    def __init__(
        self,
        node: Node,
        *,
        chain_id: int,
        private_key: bytes | str,
        timeout: float,
        confirmations: Confirmations = 0,
    ) -> None:
        try:
            self._account: LocalAccount = Account.from_key(private_key)
        except Exception:  # noqa: BLE001 - whatever it was, its text may show the key
            raise KeyFileError(
                "The Ethereum account's private key is no valid key.",
                hint="Restore the site's key file.",
            ) from None
        self.address = str(self._account.address)
        self._node = node
        self._chain_id = chain_id
        self._timeout = timeout
        self._finality = Finality(node, confirmations)
        self._lock = _locks[chain_id, self.address]

    def transact(
        self, to: str | None, data: bytes, *, unless: Callable[[int], bool] | None = None
    ) -> dict[str, Any]:
        """Send a transaction and wait until it counts; its receipt.

        The ``contractAddress`` of a deployment's receipt is computed, whatever the node says.

        Args:
            to: The contract; None deploys one.
            data: Call data.
            unless: Asked with the nonce once that is fixed and the contract would take it, so that
                what this account has done before, in whatever process, is visible.

        Raises:
            LedgerRefusal: The contract refuses it; nothing has changed.
            AlreadyDone: ``unless`` says so; nothing was sent.
            LedgerUnavailableError: No answer, or not mined or not final in time; or an earlier
                transaction of this account is still under way. Either may still take effect: read
                the ledger again.
        """
        reverts = overtakings = 0
        while reverts < _REVERTS and overtakings < _OVERTAKINGS:
            with self._lock:
                signed = self._signed(to, data, unless)
                receipt = self._mined(signed) if self._hand_over(signed) else None
            if receipt is not None and not self._finality.at_once:
                receipt = self._final(signed.digest, partial(self._revive, signed))
            if receipt is None:
                overtakings += 1
                time.sleep(_FIRST_PAUSE_S)
            elif receipt["status"] == 1:
                return {**receipt, "contractAddress": signed.creates}
            else:  # somebody was faster between estimate and block: the next estimate says why
                reverts += 1
        if reverts < _REVERTS:
            raise LedgerUnavailableError(
                f"Account {self.address} was overtaken {overtakings} times by itself.",
                hint="See what else signs with this key, then run the same again.",
            )
        raise LedgerRefusal(
            f"The chain reverted the transaction {reverts} times although it passed the estimate.",
            name="Reverted",
            hint="Read the campaign again.",
        )

    def estimate(self, to: str | None, data: bytes) -> int:
        """Gas that this would take now. Nothing is sent.

        Raises:
            LedgerRefusal: It would be refused.
        """
        return self._node.estimate(self._request(to, data))

    def creates(self, nonce: int) -> str:
        """The address of the contract that this account deploys with its transaction ``nonce``."""
        return str(get_create_address(cast("HexAddress", self.address), cast("Nonce", nonce)))

    def sign_typed(
        self,
        domain: dict[str, Any],
        types: dict[str, list[dict[str, str]]],
        message: dict[str, Any],
    ) -> bytes:
        """An EIP-712 signature, 64 bytes as of EIP-2098. Nothing is sent."""
        signed = self._account.sign_typed_data(domain, types, message)
        return signed.r.to_bytes(32) + (signed.s | (signed.v - 27) << 255).to_bytes(32)

    def settle(self) -> int:
        """Wait until nothing of this account is under way, e.g. of a killed process; its nonce.

        Raises:
            LedgerUnavailableError: No answer, or something is still under way after ``timeout``.
        """
        end = time.monotonic() + self._timeout
        while True:
            mined = self._node.nonce(self.address, "latest")
            pending = self._node.nonce(self.address, "pending")
            if pending <= mined:
                return mined
            if time.monotonic() > end:
                last = f" to {pending - 1}" if pending > mined + 1 else ""
                raise LedgerUnavailableError(
                    f"What account {self.address} sent before (nonce {mined}{last}) was not mined "
                    f"within {self._timeout:g} s.",
                    hint="Check that the chain makes blocks. If it pays too little, wait until "
                    "fees have fallen or the node has dropped it. Then run the same again.",
                )
            time.sleep(_FIRST_PAUSE_S)

    def lasts(self, transaction: str) -> bool:
        """Wait until a mined transaction counts; False if the chain undid it before.

        Raises:
            LedgerUnavailableError: It does not become final in time.
        """
        if self._finality.at_once:
            return True
        digest = bytes.fromhex(transaction.removeprefix("0x"))
        receipt = self._final(digest, lambda: self._node.knows(digest))
        return receipt is not None and receipt["status"] == 1

    def _request(self, to: str | None, data: bytes) -> TxParams:
        request: TxParams = {
            "from": cast("ChecksumAddress", self.address),
            "data": HexBytes(data),
            "value": cast("Any", 0),
        }
        if to is not None:
            request["to"] = cast("ChecksumAddress", to)
        return request

    def _signed(self, to: str | None, data: bytes, unless: Callable[[int], bool] | None) -> _Signed:
        nonce = self.settle()
        gas = self.estimate(to, data) + _GAS_MARGIN
        if unless is not None and unless(nonce):
            raise AlreadyDone
        price, tip = self._node.fees()
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": price,
            "maxPriorityFeePerGas": tip,
            "value": 0,
            "data": data,
        }
        if to is not None:
            fields["to"] = to
        signed = self._account.sign_transaction(fields)
        creates = self.creates(nonce) if to is None else None
        return _Signed(bytes(signed.raw_transaction), bytes(signed.hash), nonce, creates)

    def _hand_over(self, signed: _Signed) -> bool:
        """Get the transaction to the node; False if its nonce was taken by another one."""
        pause = _FIRST_PAUSE_S
        fault: LedgerUnavailableError | None = None
        for _ in range(_SENDINGS):
            try:
                self._node.send(signed.raw)
                return True
            except NodeRefusal as error:
                said = error.message.lower()
                if any(words in said for words in _KNOWN) or self._node.knows(signed.digest):
                    return True
                if any(words in said for words in _STALE) or self._is_gone(signed.nonce):
                    return False
                raise
            except TransportFault as error:
                fault = error
                time.sleep(pause)
                pause *= 2
                with suppress(TransportFault):
                    if self._node.knows(signed.digest):
                        return True
        raise LedgerUnavailableError(
            f"{fault.what if fault else ''} {signed} may have arrived or not.",
            hint="Run the same again: what the ledger has is not repeated.",
        )

    def _mined(self, signed: _Signed) -> dict[str, Any] | None:
        """Wait until a block has it; its receipt, or None if its nonce was taken."""
        end = time.monotonic() + self._timeout
        pause = _FIRST_POLL_S
        while True:
            receipt = self._node.receipt(signed.digest)
            if receipt is not None:
                return receipt
            if time.monotonic() > end:
                raise LedgerUnavailableError(
                    f"{signed} was not mined within {self._timeout:g} s.",
                    hint="Check that the chain makes blocks, then run the same again.",
                )
            if pause >= _LAST_POLL_S and not self._revive(signed):
                return None
            time.sleep(pause)
            pause = min(_LAST_POLL_S, pause * 1.5)

    def _revive(self, signed: _Signed) -> bool:
        """Give the node the same bytes again if it has lost them; False if the nonce is gone."""
        if self._is_gone(signed.nonce):
            # Some block has this nonce. The receipt is asked for last: it may be ours after all.
            return self._node.receipt(signed.digest) is not None
        return self._node.knows(signed.digest) or self._hand_over(signed)

    def _is_gone(self, nonce: int) -> bool:
        return self._node.nonce(self.address, "latest") > nonce

    def _final(self, digest: bytes, revive: Callable[[], bool]) -> dict[str, Any] | None:
        """Wait until a mined transaction counts; its receipt.

        Args:
            digest: Its hash.
            revive: What to do while no block has it; False gives up.

        Returns:
            Also the receipt of one that failed, which counts no earlier: on another branch it may
            succeed. None for one given up.
        """
        patience = self._timeout
        if self._finality.is_the_chains:
            patience = max(patience, _FINALIZED_S)
        seen: object = None
        end = 0.0
        pause = _FIRST_PAUSE_S
        while True:
            final = self._finality.final()
            receipt = self._node.receipt(digest)
            if receipt is None:
                if not revive():
                    return None
                pause = _FIRST_PAUSE_S
            elif int(receipt["blockNumber"]) <= final.number and self._node.has(final):
                # That block was on the chain before and after: so it is on top of the receipt's.
                return receipt
            now = (final, receipt and receipt["blockHash"])
            if seen is None or (receipt is not None and now != seen):
                seen, end = now, time.monotonic() + patience
            elif time.monotonic() > end:
                where = (
                    "no block any more" if receipt is None else f"block {receipt['blockNumber']}"
                )
                raise LedgerUnavailableError(
                    f"Transaction 0x{digest.hex()} is in {where}; the last block that counts is "
                    f"{final.number}, and nothing has changed for {patience:g} s.",
                    hint="Check that the chain makes blocks, then run the same again.",
                )
            time.sleep(pause)
            pause = min(_LAST_FINAL_POLL_S, pause * 1.5)
