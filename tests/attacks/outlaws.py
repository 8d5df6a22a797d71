"""Somebody with an account of its own and access to a chain's RPC, and what it can send there."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from typing import Any, cast

from eth_account import Account

from cdistrim.devnet.directory import HOST, call, port_of
from cdistrim.ledger.codec import artifact

__all__ = ["Outlaw", "storage_of"]

_GAS = 15_000_000
_PATIENCE_S = 30.0


def storage_of(url: str, contract: str) -> str:
    """Root of everything that a contract stores."""
    proof = cast("dict[str, str]", call(url, "eth_getProof", contract, [], "latest"))
    return proof["storageHash"]


class Outlaw:
    """An account that signs its own transactions, without the library's checks before sending.

    Args:
        url: The chain's RPC address.
        contract: Where the contract is.
        chain_id: The chain's id, as it is signed.
        key: The account's private key.
    """

    def __init__(self, url: str, contract: str, *, chain_id: int, key: bytes) -> None:
        self.url, self.contract, self.chain_id = url, contract, chain_id
        self._account = Account.from_key(key)
        self.address = str(self._account.address)

    def refusal(self, function: str, arguments: Sequence[object]) -> str:
        """Name of the error with which the contract would refuse a call; empty if it would not."""
        data = artifact().encode(function, arguments)
        asked = {"from": self.address, "to": self.contract, "data": "0x" + data.hex()}
        answer = _ask(self.url, "eth_call", asked | {"gas": hex(_GAS)}, "latest")
        if "error" not in answer:
            return ""
        decoded = artifact().decode_error(bytes.fromhex(answer["error"]["data"][2:]))
        return decoded[0] if decoded else "Reverted"

    def signed(self, function: str, arguments: Sequence[object], *, value: int = 0) -> str:
        """A transaction that calls a function, signed and not sent."""
        count = cast("str", call(self.url, "eth_getTransactionCount", self.address, "latest"))
        transaction = {
            "to": self.contract,
            "data": artifact().encode(function, arguments) if function else b"",
            "value": value,
            "gas": _GAS,
            "gasPrice": 0,
            "nonce": int(count, 16),
            "chainId": self.chain_id,
        }
        return "0x" + bytes(self._account.sign_transaction(transaction).raw_transaction).hex()

    def send(self, function: str, arguments: Sequence[object]) -> bool:
        """Send it, whatever the contract will say; whether it went through."""
        raw = self.signed(function, arguments)
        digest = call(self.url, "eth_sendRawTransaction", raw)
        end = time.monotonic() + _PATIENCE_S
        while (receipt := call(self.url, "eth_getTransactionReceipt", digest)) is None:
            assert time.monotonic() < end, "the transaction is not mined"
            time.sleep(0.005)
        return int(cast("dict[str, str]", receipt)["status"], 16) == 1


def _ask(url: str, method: str, *params: object) -> dict[str, Any]:
    """One JSON-RPC call with its whole answer: what reverted says why in it."""
    connection = http.client.HTTPConnection(HOST, port_of(url), timeout=30)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return cast("dict[str, Any]", json.loads(connection.getresponse().read()))
    finally:
        connection.close()
