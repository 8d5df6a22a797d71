"""One Ethereum node by JSON-RPC: what we ask it, and what its silence or its errors mean.

web3's own retries are off, because they also resend ``eth_sendRawTransaction``; reads are retried
here, after transport faults only. Off-chain look-ups (EIP-3668), by which a hostile node could make
us fetch any address, are off too.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import requests
from eth_typing import ChecksumAddress, HexStr
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.exceptions import (
    BadResponseFormat,
    BlockNotFound,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.middleware import ExtraDataToPOAMiddleware
from web3.types import BlockIdentifier, FilterParams, RPCEndpoint, TxParams

from cdistrim.errors import CDistriMError, ConfigurationError, LedgerUnavailableError
from cdistrim.ledger.interface import MAX_FEE_GWEI, BlockRef
from cdistrim.ledger.refusals import one_line, refusal

__all__ = ["BlockRef", "Node", "NodeRefusal", "Reorganised", "TransportFault"]

T = TypeVar("T")

_READS = 4
_FIRST_PAUSE_S = 0.1

_ASK_LATER = frozenset({408, 425, 429})
"""HTTP statuses below 500 that are about the moment, not about the request."""

_GWEI = 10**9

_LIMIT_CODE = -32005  # EIP-1474: "limit exceeded"
_LIMIT_WORDS = ("limit", "exceed", "too many", "too large", "too wide", "more than", "range")
# Asking for less does not help there.
_RATE = re.compile(r"\brate\b|\brate.?limit|too many requests|per second")

_LARGEST_ANSWER = 64 << 20
"""Bytes. Nodes stop far below with what we ask them for; a lying one could fill our memory."""

_PIECE = 64 << 10

_MIDDLEWARE = [(ExtraDataToPOAMiddleware, "long extra data")]
"""Blocks of a consortium's own chain (Clique, IBFT, QBFT) carry their signers' seals as extra data.

web3's own ones are left out: they refuse such blocks, ask for the chain's id before each call, and
look names up.
"""


class _Unavailable(LedgerUnavailableError):
    @property
    def code(self) -> str:
        return LedgerUnavailableError.__name__


class TransportFault(_Unavailable):
    """No answer: nobody knows whether the node got the request."""


class NodeRefusal(_Unavailable):
    """The node answered with an error of its own. Asking the same again gives the same.

    Attributes:
        message: What it said, in full and as it said it: not for showing.
        is_limit: Whether it seems to say that the answer would be too large.
        is_about_us: Whether it is about who asks or how often, not about what is asked for.
    """

    def __init__(
        self,
        what: str,
        *,
        message: str,
        is_limit: bool = False,
        is_about_us: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(what, hint=hint)
        self.message = message
        self.is_limit = is_limit
        self.is_about_us = is_about_us


class Reorganised(_Unavailable):
    """What was being read is not on the chain any more. Reading again helps."""

    def __init__(self, name: str, block: int) -> None:
        super().__init__(
            f"The chain at {name} was reorganised at or below block {block} while it was read.",
            hint="Run the same again.",
        )


class _TooLarge(Exception):
    """An answer was larger than any that makes sense."""


class _Provider(HTTPProvider):
    """Reads no answer that would fill the memory; has one session for each thread."""

    def __init__(self, url: str, *, timeout: float) -> None:
        super().__init__(
            url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None
        )
        self.global_ccip_read_enabled = False
        self._of_thread = threading.local()

    def _session(self) -> requests.Session:
        found: requests.Session | None = getattr(self._of_thread, "session", None)
        if found is None:
            found = self._of_thread.session = _new_session(str(self.endpoint_uri))
        return found

    def _make_request(self, _method: RPCEndpoint, request_data: bytes) -> bytes:
        with self._session().post(
            str(self.endpoint_uri), data=request_data, stream=True, **self.get_request_kwargs()
        ) as response:
            response.raise_for_status()
            body = bytearray()
            for piece in response.iter_content(_PIECE):
                body += piece
                if len(body) > _LARGEST_ANSWER:
                    raise _TooLarge
            return bytes(body)


def _new_session(url: str) -> requests.Session:
    """A session with the proxies, authorities and login that the environment has for a URL.

    requests looks for them at each request anew, which takes as long as the request itself.
    """
    session = requests.Session()
    settings = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify = settings["proxies"], settings["verify"]
    session.auth = requests.utils.get_netrc_auth(url)
    session.trust_env = False
    return session


class Node:
    """A connection to a node.

    Args:
        url: HTTP(S) address of its JSON-RPC. Only scheme, host and port show up in messages: a
            path may carry an API key.
        timeout: Seconds to wait for a connection, and for each further piece of an answer. A node
            that trickles can take longer; an answer of more than 64 MiB is not read to its end.
        max_fee_gwei: The highest fee per unit of gas (EIP-1559) that a transaction may offer, in
            gwei. A node says what a chain costs: without a bound it could have an account spend
            all that it has.

    Raises:
        ConfigurationError: The URL is no http or https address.
    """

    def __init__(self, url: str, *, timeout: float, max_fee_gwei: float = MAX_FEE_GWEI) -> None:
        self.name = _name_of(url)
        self._max_fee = round(max_fee_gwei * _GWEI)
        self._eth = Web3(_Provider(url, timeout=timeout), middleware=_MIDDLEWARE).eth

    def chain_id(self) -> int:
        """The chain's id."""
        return self._read(lambda: _number(self._eth.chain_id))

    def code(self, address: str, block: BlockIdentifier = "latest") -> bytes:
        """The code at an address as of a block; empty if there is none."""
        where = cast("ChecksumAddress", address)
        return self._read(lambda: bytes(self._eth.get_code(where, block)))

    def block(self, block: BlockIdentifier) -> dict[str, Any] | None:
        """A block without its transactions; None if the node has none there.

        It has ``number``, ``hash`` and ``timestamp``, the pending one maybe the last alone.
        """
        fields = _PENDING if block == "pending" else _BLOCK
        try:
            return self._read(lambda: _with(fields, self._eth.get_block(block)))
        except _NotThere:
            return None

    def ref(self, block: BlockIdentifier) -> BlockRef | None:
        """Number and hash of a block; None if the node has none there."""
        found = self.block(block)
        return None if found is None else BlockRef(int(found["number"]), bytes(found["hash"]))

    def has(self, block: BlockRef) -> bool:
        """Whether a block is on the chain now."""
        return self.ref(block.number) == block

    def call(self, to: str, data: bytes, block: BlockRef) -> bytes:
        """The result of a view as of a block; empty if there was no code yet.

        Raises:
            LedgerRefusal: It reverted.
            NodeRefusal: For example because the node does not have that block's state.
        """
        transaction: TxParams = {"to": cast("ChecksumAddress", to), "data": HexBytes(data)}
        at = HexBytes(block.digest)  # and no other block of the same number (EIP-1898)
        return self._read(lambda: bytes(self._eth.call(transaction, at)))

    def estimate(self, transaction: TxParams) -> int:
        """Gas that a transaction would take now.

        Raises:
            LedgerRefusal: It would revert.
        """
        # "pending": judged by the time that the next block would have, as deadlines are.
        return self._read(lambda: _number(self._eth.estimate_gas(transaction, "pending")))

    def logs(self, address: str, first: int, last: int) -> list[dict[str, Any]]:
        """The logs of a contract in blocks ``first`` to ``last``, in their order.

        Raises:
            NodeRefusal: For example because these are too many: see ``is_limit``.
        """
        where: FilterParams = {
            "address": cast("ChecksumAddress", address),
            "fromBlock": first,
            "toBlock": last,
        }
        return self._read(lambda: [_with(_LOG, each) for each in self._eth.get_logs(where)])

    def fees(self) -> tuple[int, int]:
        """Highest price and tip per unit of gas (EIP-1559), in wei; 0 on free chains.

        Raises:
            ConfigurationError: The price is above what this node may ask for.
        """
        price = self._read(lambda: _number(self._eth.gas_price))
        if price == 0:
            return 0, 0
        base = (self.block("latest") or {}).get("baseFeePerGas", 0)
        tip = max(0, price - base)
        highest = 2 * base + tip  # twice: the base fee may rise by an eighth a block
        if highest > self._max_fee:
            raise ConfigurationError(
                f"The chain at {self.name} asks for a fee of up to {_in_gwei(highest)} gwei per "
                f"unit of gas; allowed are {_in_gwei(self._max_fee)} gwei. Nothing was sent.",
                hint="If other sources say so, too, wait until the chain is cheaper or raise "
                '"max_fee_gwei" in site.json; if not, use another node.',
            )
        return highest, tip

    def nonce(self, account: str, block: BlockIdentifier = "pending") -> int:
        """Number of an account's transactions."""
        who = cast("ChecksumAddress", account)
        return self._read(lambda: _number(self._eth.get_transaction_count(who, block)))

    def send(self, raw: bytes) -> None:
        """Hand over a signed transaction, once.

        Raises:
            NodeRefusal: The node does not want it.
            TransportFault: It may or may not have arrived.
        """
        self._once(lambda: self._eth.send_raw_transaction(raw))

    def knows(self, transaction: bytes) -> bool:
        """Whether the node has a transaction, mined or not."""
        try:
            self._read(lambda: self._eth.get_transaction(HexBytes(transaction)))
        except _NotThere:
            return False
        return True

    def receipt(self, transaction: bytes | str) -> dict[str, Any] | None:
        """A transaction's receipt; None until it is mined.

        It has ``transactionHash``, ``blockHash``, ``blockNumber``, ``from``, ``gasUsed``,
        ``status``.
        """
        digest = cast("HexStr", transaction) if isinstance(transaction, str) else transaction
        wanted = HexBytes(digest)
        try:
            return self._read(lambda: _with(_RECEIPT, self._eth.get_transaction_receipt(wanted)))
        except _NotThere:
            return None

    def _read(self, ask: Callable[[], T]) -> T:
        pause = _FIRST_PAUSE_S
        for _ in range(_READS - 1):
            try:
                return self._once(ask)
            except TransportFault:
                time.sleep(pause)
                pause *= 2
        return self._once(ask)

    def _once(self, ask: Callable[[], T]) -> T:
        """Ask, and turn every error of web3 and below into one of ours.

        Whatever is taken from the answer is taken inside of ``ask``, so that an answer without it
        is a fault like any other. The causes are cut off: their texts carry the whole URL.
        """
        try:
            return ask()
        except (TransactionNotFound, BlockNotFound):
            raise _NotThere(f"{self.name} does not have it.") from None
        except ContractLogicError as error:
            raise refusal(_revert_data(error), str(error.message)) from None
        except _TooLarge:
            raise NodeRefusal(
                f"The chain at {self.name} gives an answer of more than {_LARGEST_ANSWER:,} bytes.",
                message="",
                is_limit=True,
                hint="Check that the URL is a node's; if it is, use another one.",
            ) from None
        except (OSError, BadResponseFormat) as error:  # requests' errors are OSErrors
            raise self._fault(error) from None
        except Web3RPCError as error:
            raise self._said(error) from None
        except (Web3Exception, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            # Half an answer, or one of another form than the protocol's: web3 or we stumble.
            raise self._fault("malformed answer") from None

    def _fault(self, error: Exception | str) -> LedgerUnavailableError:
        why = error if isinstance(error, str) else type(error).__name__
        if isinstance(error, requests.HTTPError) and error.response is not None:
            status = error.response.status_code
            if status < 500 and status not in _ASK_LATER:
                return NodeRefusal(
                    f"The chain at {self.name} refused the request with HTTP status {status}.",
                    message=f"HTTP status {status}",
                    is_limit=status == 413,
                    is_about_us=True,
                    hint="Check the URL, and that it may be used from here.",
                )
            why = f"HTTP status {status}"
        return TransportFault(
            f"The chain at {self.name} does not answer ({why}).",
            hint="Check that the node runs and that the URL is right, then try again.",
        )

    def _said(self, error: Web3RPCError) -> CDistriMError:
        response = cast("dict[str, Any]", error.rpc_response or {})
        answer = response.get("error")
        message = str(answer.get("message", "") if isinstance(answer, dict) else answer or error)
        if "insufficient funds" in message.lower():
            return ConfigurationError(
                f"The account can't pay for gas on the chain at {self.name}.",
                hint="Send it some ether.",
            )
        return NodeRefusal(
            f"The chain at {self.name} refused the request: {one_line(message)}.",
            message=message,
            is_limit=_is_limit(answer, message),
            is_about_us=bool(_RATE.search(message.lower())),
            hint="Check the node's log.",
        )


class _NotThere(Exception):
    """The node answered that it has no such block or transaction."""


def _name_of(url: str) -> str:
    """Scheme, host and port of a node's URL.

    Raises:
        ConfigurationError: It is no http or https address.
    """
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:  # whose text may show a part of a password
        parts, port = urlsplit(""), ""
    # A "/" or "?" in a password ends the host early; what comes up to there is a part of it then.
    if "@" in parts.path + parts.query or parts.scheme not in ("http", "https"):
        parts = urlsplit("")
    if not parts.hostname:
        raise ConfigurationError(
            "The ledger's URL is not an http or https address.",
            hint="Use for example http://127.0.0.1:8545; write special characters of a password "
            'with "%", for example %2F for "/".',
        )
    return f"{parts.scheme}://{parts.hostname}{port}"


def _number(value: object) -> int:
    """A number as the protocol's are.

    Raises:
        ValueError: It is none.
    """
    if type(value) is not int or value < 0:
        raise ValueError("no number")
    return value


def _bytes(value: object) -> None:
    if not isinstance(value, bytes):
        raise TypeError("no bytes")


def _topics(value: object) -> None:
    if not isinstance(value, list | tuple):
        raise TypeError("no topics")
    for each in value:
        _bytes(each)


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError("no text")


_Fields = Mapping[str, Callable[[object], object]]

_PENDING: _Fields = {"timestamp": _number}
_BLOCK: _Fields = {"number": _number, "hash": _bytes, "timestamp": _number}
_RECEIPT: _Fields = {
    "transactionHash": _bytes,
    "blockHash": _bytes,
    "blockNumber": _number,
    "from": _text,
    "gasUsed": _number,
    "status": _number,
}
_LOG: _Fields = {
    "topics": _topics,
    "data": _bytes,
    "blockNumber": _number,
    "blockHash": _bytes,
    "transactionHash": _bytes,
    "logIndex": _number,
}


def _with(fields: _Fields, found: object) -> dict[str, Any]:
    """A document that a node gave, seen to have these fields.

    Raises:
        ValueError: One is something else.
        TypeError: Likewise.
        LookupError: One is not there.
    """
    document = cast("dict[str, Any]", found)
    for name, check in fields.items():
        check(document[name])
    if "baseFeePerGas" in document:  # not on chains from before EIP-1559
        _number(document["baseFeePerGas"])
    return document


def _in_gwei(wei: int) -> str:
    return f"{Decimal(wei) / _GWEI:f}"


def _is_limit(answer: object, message: str) -> bool:
    # Every node has its own words for it, most of them code -32000 or -32602.
    code = answer.get("code") if isinstance(answer, dict) else None
    said = message.lower()
    if _RATE.search(said):
        return False
    return code == _LIMIT_CODE or any(words in said for words in _LIMIT_WORDS)


def _revert_data(error: ContractLogicError) -> bytes:
    data = error.data
    text = data if isinstance(data, str) else ""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        return b""
