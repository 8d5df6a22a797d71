"""The real contract on a real chain, asked as fast as it can be: raw JSON-RPC, in batches.

What the reference says becomes the contract's own bytes here, so that comparing is comparing bytes.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any, cast

from eth_abi import abi as eth_abi
from eth_utils.abi import collapse_if_tuple
from eth_utils.crypto import keccak

from cdistrim.devnet.directory import HOST, port_of
from cdistrim.ledger.codec import artifact
from tests.contracts.reference import Action, Answer, Event, Question, Refused

__all__ = [
    "Log",
    "Real",
    "abi_of",
    "answer_bytes",
    "log_of",
    "revert_data",
    "shown_answer",
    "shown_log",
    "shown_refusal",
]

_GAS = hex(15_000_000)
_TIMEOUT_S = 60.0

Log = tuple[tuple[str, ...], str]
"""Topics and data of a log, in hexadecimal."""


class Real:
    """A deployed contract. Accounts need no keys: the chain takes anybody's word for who sends.

    Args:
        url: A chain that asks no fees.
    """

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(HOST, port_of(url), timeout=_TIMEOUT_S)
        self._rpc("anvil_autoImpersonateAccount", True)
        self.address = ""

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def time(self) -> int:
        """Time of the latest block."""
        return int(self._rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def deploy(self, founders: Sequence[tuple[str, bytes]], views: str, now: int) -> str | None:
        """Found a consortium; the revert data if that is refused."""
        zero = "0x" + 40 * "0"
        code = "0x" + artifact().encode_deployment((founders, views)).hex()
        call = {"from": founders[0][0] if founders else zero, "data": code, "gas": _GAS}
        if refused := self._try(call, now):
            return refused
        self.address = str(self._send(call, now)["contractAddress"])
        return None

    def refuses(self, action: Action, now: int) -> str | None:
        """The revert data of an action at a time, None if it would be accepted."""
        return self._try(self._call(action), now)

    def send(self, action: Action, now: int) -> list[Log] | None:
        """Send it in a block of that time; the logs of the contract, None if it reverted."""
        receipt = self._send(self._call(action), now)
        if int(receipt["status"], 16) == 0:
            return None
        return [(tuple(log["topics"]), log["data"]) for log in receipt["logs"]]

    def storage(self) -> str:
        """Root of everything that the contract stores."""
        return str(self._rpc("eth_getProof", self.address, [], "latest")["storageHash"])

    def ask(self, questions: Sequence[Question], now: int) -> list[str]:
        """The answers in hexadecimal, as of the latest block but at a time."""
        if not questions:
            return []
        at: tuple[object, ...] = ("latest", {}, {"time": hex(now)})
        batch = [
            _request(index, "eth_call", {"to": self.address, "data": _question(question)}, *at)
            for index, question in enumerate(questions)
        ]
        answers = cast("list[dict[str, Any]]", self._exchange(batch))
        found = {answer["id"]: answer.get("result", answer.get("error")) for answer in answers}
        return [str(found[index]) for index in range(len(questions))]

    def _call(self, action: Action) -> dict[str, str]:
        data = "0x" + artifact().encode(action.function, action.arguments).hex()
        return {"from": action.sender, "to": self.address, "data": data, "gas": _GAS}

    def _try(self, call: dict[str, str], now: int) -> str | None:
        answer = self._exchange(
            _request(0, "eth_call", call, "latest", {}, {"time": hex(now)}),
        )
        error = cast("dict[str, Any]", answer).get("error")
        if error is None:
            return None
        assert error["code"] == 3, error  # "execution reverted", and no trouble of the chain's own
        return str(error.get("data", "0x"))

    def _send(self, call: dict[str, str], now: int) -> dict[str, Any]:
        batch = [
            _request(0, "evm_setNextBlockTimestamp", now),
            _request(1, "eth_sendTransactionSync", {**call, "gasPrice": "0x0"}),
        ]
        answers = cast("list[dict[str, Any]]", self._exchange(batch))
        (receipt,) = (answer["result"] for answer in answers if answer["id"] == 1)
        assert receipt["blockTimestamp"] == now, "the clock was not set in time"
        return cast("dict[str, Any]", receipt)

    def _rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401 - as the method says
        answer = cast("dict[str, Any]", self._exchange(_request(0, method, *params)))
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def _exchange(self, body: object) -> object:
        self._connection.request(
            "POST", "/", json.dumps(body), {"Content-Type": "application/json"}
        )
        return json.loads(self._connection.getresponse().read())


def _request(index: int, method: str, *params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": index, "method": method, "params": params}


@lru_cache(maxsize=100_000)
def _question(question: Question) -> str:
    function, arguments = question
    return "0x" + artifact().encode(function, arguments).hex()


# ------------------------------------------------------ the reference's words as bytes


@cache
def abi_of(kind: str) -> dict[str, dict[str, Any]]:
    """The contract's functions, events or errors by their names."""
    path = resources.files("cdistrim.ledger").joinpath("CDistriM.json")
    entries = json.loads(path.read_bytes())["abi"]
    return {entry["name"]: entry for entry in entries if entry["type"] == kind}


@cache
def _topic(kind: str, name: str) -> bytes:
    types = ",".join(collapse_if_tuple(entry) for entry in abi_of(kind)[name]["inputs"])
    return keccak(text=f"{name}({types})")


def _word(value: object) -> bytes:
    """One argument of a fixed size."""
    if isinstance(value, bytes):
        return value
    number = int(value, 16) if isinstance(value, str) else int(cast("int", value))
    return number.to_bytes(32)


def revert_data(refused: Refused) -> str:
    """What the contract says to refuse so."""
    if not refused.name:
        return "0x"
    assert len(refused.arguments) == len(abi_of("error")[refused.name]["inputs"])
    words = b"".join(_word(argument) for argument in refused.arguments)
    return "0x" + (_topic("error", refused.name)[:4] + words).hex()


def log_of(event: Event) -> Log:
    """What the contract logs to tell so."""
    inputs = abi_of("event")[event.name]["inputs"]
    named = list(zip(inputs, event.arguments, strict=True))
    indexed = [_word(value) for entry, value in named if entry["indexed"]]
    others = [(collapse_if_tuple(entry), value) for entry, value in named if not entry["indexed"]]
    data = eth_abi.encode([kind for kind, _ in others], [value for _, value in others])
    topics = (_topic("event", event.name), *indexed)
    return tuple("0x" + topic.hex() for topic in topics), "0x" + data.hex()


def answer_bytes(answer: Answer) -> str:
    """What the contract returns to answer so."""
    return "0x" + "".join(f"{word:064x}" for word in answer)


# ------------------------------------------------------------------- for people to read


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def shown_refusal(data: str | None) -> str:
    """Revert data in words."""
    if data is None:
        return "accepted"
    decoded = artifact().decode_error(_bytes(data))
    return f"{decoded[0]}{decoded[1]}" if decoded else f"refused with {data}"


def shown_log(log: Log) -> str:
    """A log in words."""
    name, arguments = artifact().decode_event([_bytes(topic) for topic in log[0]], _bytes(log[1]))
    return f"{name}{arguments}"


def shown_answer(question: Question, answer: str) -> str:
    """An answer in words."""
    try:
        return str(artifact().decode_result(question[0], _bytes(answer)))
    except ValueError:
        return answer
