"""Transactions: signed here, sent so that nothing happens twice.

A transaction's hash is known before it is sent. Whatever goes wrong on the way, the question is
therefore never "shall I send it again?" but "does the chain have it?".
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any, cast

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from hexbytes import HexBytes
from web3.types import TxParams

from cdistrim.errors import KeyFileError, LedgerRefusal, LedgerUnavailableError
from cdistrim.ledger.node import Node, NodeRefusal, TransportFault

__all__ = ["Sender", "wait_for_block"]

_ROUNDS = 4
_SENDINGS = 4
_FIRST_PAUSE_S = 0.1
_FIRST_POLL_S = 0.002
_LAST_POLL_S = 0.5

# Other steps of the same slot may be mined between the estimate and the transaction, and the vote
# that decides a ballot costs more than one that doesn't. Unused gas is not paid.
_GAS_MARGIN = 300_000

_KNOWN = ("already known", "already imported", "known transaction", "already exists")
_STALE = ("nonce too low", "nonce is too low", "nonce below", "nonce too old", "underpriced")

_locks: defaultdict[tuple[int, str], threading.Lock] = defaultdict(threading.Lock)
"""One for each account: nonces are given out one after the other in this process."""


class Sender:
    """Signs with one account and sends to one chain.

    Args:
        node: Where to.
        chain_id: Part of every signature (EIP-155).
        private_key: 32 bytes, or their hexadecimal digits.
        timeout: Seconds to wait until a transaction is mined.

    Raises:
        KeyFileError: That is no private key.
    """

    def __init__(
        self, node: Node, *, chain_id: int, private_key: bytes | str, timeout: float
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
        self._lock = _locks[chain_id, self.address]

    def transact(self, to: str | None, data: bytes) -> dict[str, Any]:
        """Send a transaction and wait until it is mined; its receipt.

        Raises:
            LedgerRefusal: The contract refuses it; nothing has changed.
            LedgerUnavailableError: No answer, or not mined in time. The transaction may still
                take effect: read the ledger again.
        """
        for _ in range(_ROUNDS):
            with self._lock:
                gas = self._node.estimate(self._request(to, data)) + _GAS_MARGIN
                raw, digest = self._sign(to, data, gas)
                if not self._hand_over(raw, digest):
                    continue  # another process took the nonce
            receipt = self._wait(digest)
            if receipt["status"] == 1:
                return receipt
            # Somebody was faster between estimate and block: the next estimate says why.
        raise LedgerRefusal(
            f"The chain reverted the transaction {_ROUNDS} times although it passed the estimate.",
            name="Reverted",
            hint="Read the campaign again.",
        )

    def settle(self) -> None:
        """Wait until this account has nothing under way, e.g. from a process that was killed."""
        end = time.monotonic() + self._timeout
        while time.monotonic() < end:
            mined = self._node.nonce(self.address, "latest")
            if self._node.nonce(self.address, "pending") <= mined:
                return
            time.sleep(_FIRST_PAUSE_S)

    def _request(self, to: str | None, data: bytes) -> TxParams:
        request: TxParams = {
            "from": cast("ChecksumAddress", self.address),
            "data": HexBytes(data),
            "value": cast("Any", 0),
        }
        if to is not None:
            request["to"] = cast("ChecksumAddress", to)
        return request

    def _sign(self, to: str | None, data: bytes, gas: int) -> tuple[bytes, bytes]:
        price, tip = self._node.fees()
        fields: dict[str, Any] = {
            "type": 2,
            "chainId": self._chain_id,
            "nonce": self._node.nonce(self.address),
            "gas": gas,
            "maxFeePerGas": price,
            "maxPriorityFeePerGas": tip,
            "value": 0,
            "data": data,
        }
        if to is not None:
            fields["to"] = to
        signed = self._account.sign_transaction(fields)
        return bytes(signed.raw_transaction), bytes(signed.hash)

    def _hand_over(self, raw: bytes, digest: bytes) -> bool:
        """Get the transaction to the node; False if its nonce was taken by another one."""
        pause = _FIRST_PAUSE_S
        fault: LedgerUnavailableError | None = None
        for _ in range(_SENDINGS):
            try:
                self._node.send(raw)
                return True
            except NodeRefusal as error:
                said = error.message.lower()
                if any(words in said for words in _KNOWN):
                    return True
                if any(words in said for words in _STALE):
                    return self._node.knows(digest)
                raise
            except TransportFault as error:
                fault = error
                time.sleep(pause)
                pause *= 2
                with suppress(LedgerUnavailableError):
                    if self._node.knows(digest):
                        return True
        raise LedgerUnavailableError(
            f"{fault.what if fault else ''} Transaction 0x{digest.hex()} may have arrived or not.",
            hint="Run the same again: what the ledger has is not repeated.",
        )

    def _wait(self, digest: bytes) -> dict[str, Any]:
        end = time.monotonic() + self._timeout
        pause = _FIRST_POLL_S
        while True:
            receipt = self._node.receipt(digest)
            if receipt is not None:
                return receipt
            if time.monotonic() > end:
                raise LedgerUnavailableError(
                    f"Transaction 0x{digest.hex()} was not mined within {self._timeout:g} s.",
                    hint="Check that the chain makes blocks, then run the same again.",
                )
            time.sleep(pause)
            pause = min(_LAST_POLL_S, pause * 1.5)


def wait_for_block(node: Node, number: int, timeout: float) -> None:
    """Wait until the chain has a block of this number.

    Raises:
        LedgerUnavailableError: It has not within ``timeout`` seconds.
    """
    end = time.monotonic() + timeout
    while node.block_number() < number:
        if time.monotonic() > end:
            raise LedgerUnavailableError(
                f"The chain at {node.name} did not reach block {number} within {timeout:g} s.",
                hint="Check that it makes blocks, then run the same again.",
            )
        time.sleep(_FIRST_PAUSE_S)
