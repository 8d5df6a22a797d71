"""What is asked again and what is not: faults of the transport, and answers that say no."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.errors import CDistriMError, ConfigurationError, LedgerRefusal, LedgerUnavailableError
from cdistrim.ledger import EthereumLedger
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, TransportFault
from tests.chain import Consortium, digest
from tests.fault_proxy import Answer, Fault, FaultProxy, Request, always, seeded
from tests.reorganising import sent_by

Found = Callable[[int], Consortium]

READINGS = 4
"""How often a question is asked that finds no answer."""

SAYS_NO = {"code": -32000, "message": "I would rather not"}
ADDRESS = "0x" + "11" * 20
READS: dict[str, Callable[[Node], object]] = {
    "eth_chainId": lambda node: node.chain_id(),
    "eth_getCode": lambda node: node.code(ADDRESS),
    "eth_getBlockByNumber": lambda node: node.block("latest"),
    "eth_call": lambda node: node.call(ADDRESS, b"", node.ref("latest") or BlockRef(0, b"")),
    "eth_estimateGas": lambda node: node.estimate({"from": ADDRESS, "to": ADDRESS}),
    "eth_getLogs": lambda node: node.logs(ADDRESS, 0, 0),
    "eth_gasPrice": lambda node: node.fees(),
    "eth_getTransactionCount": lambda node: node.nonce(ADDRESS),
    "eth_getTransactionByHash": lambda node: node.knows(digest("transaction")),
    "eth_getTransactionReceipt": lambda node: node.receipt(digest("transaction")),
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("node", "sending"):
        monkeypatch.setattr(f"cdistrim.ledger.{module}._FIRST_PAUSE_S", 0.001)


@pytest.fixture
def line(devnet: Devnet) -> Iterator[FaultProxy]:
    with FaultProxy(devnet.url) as proxy:
        yield proxy


@pytest.mark.parametrize("method", READS)
def test_a_question_without_an_answer_is_asked_again_until_there_is_one(
    line: FaultProxy, method: str
) -> None:
    node = Node(line.url, timeout=5)
    expected = READS[method](node)
    for fault in Fault:
        line.requests.clear()
        line.plan = always(fault, method, times=READINGS - 1)
        assert READS[method](node) == expected
        passes = fault in (Fault.DELAY, Fault.DOUBLE)
        assert line.count(method) == (1 if passes else READINGS)


@pytest.mark.parametrize("method", READS)
def test_a_question_that_never_gets_an_answer_is_given_up(line: FaultProxy, method: str) -> None:
    line.plan = always(Fault.DROP, method)
    with pytest.raises(TransportFault, match="does not answer") as caught:
        READS[method](Node(line.url, timeout=5))
    assert line.count(method) == READINGS
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("method", READS)
def test_what_the_node_refuses_is_asked_once(line: FaultProxy, method: str) -> None:
    line.plan = always(Answer(error=SAYS_NO), method)
    with pytest.raises(NodeRefusal, match="I would rather not"):
        READS[method](Node(line.url, timeout=5))
    assert line.count(method) == 1


@pytest.mark.parametrize(
    ("status", "times"),
    [(400, 1), (401, 1), (403, 1), (404, 1), (413, 1), (429, 4), (500, 4), (502, 4), (503, 4)],
)
def test_an_http_status_is_a_refusal_unless_it_is_about_the_moment(
    line: FaultProxy, status: int, times: int
) -> None:
    line.plan = always(Answer(status=status), "eth_chainId")
    with pytest.raises(NodeRefusal if times == 1 else TransportFault, match=str(status)):
        Node(line.url, timeout=5).chain_id()
    assert line.count("eth_chainId") == times


@pytest.mark.parametrize("garbage", [b"", b"null", b"[]", b"7", b'"0x1"', b"{}", b"\xff\xfe"])
def test_an_answer_that_is_none_is_a_fault(line: FaultProxy, garbage: bytes) -> None:
    line.plan = always(Answer(garbage), "eth_chainId")
    with pytest.raises(LedgerUnavailableError):
        Node(line.url, timeout=5).chain_id()


def test_what_the_contract_refuses_is_asked_once(consortium: Found) -> None:
    hospitals = consortium(2)
    with FaultProxy(hospitals.url) as line:
        ledger = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        line.requests.clear()
        with pytest.raises(LedgerRefusal):
            ledger.campaign(99)
        assert line.count("eth_call") == 1
        with pytest.raises(LedgerRefusal):
            ledger.request_fetch(campaign=99, slot=1, attempt=1, request_key_digest=digest(1))
        assert line.count("eth_estimateGas") == 1
        assert line.count("eth_sendRawTransaction") == 0


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(error=SAYS_NO), LedgerUnavailableError),
        (Answer(error={"code": -32000, "message": "transaction underpriced"}), NodeRefusal),
        (Answer(error={"code": -32003, "message": "insufficient funds"}), ConfigurationError),
        (Answer(status=403), NodeRefusal),
    ],
)
def test_a_transaction_that_the_node_refuses_is_sent_once(
    consortium: Found, answer: Answer, error: type[CDistriMError]
) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    before = sent_by(hospitals.url, hospitals.accounts[0])
    with FaultProxy(hospitals.url, always(answer, "eth_sendRawTransaction")) as line:
        owner = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        with pytest.raises(error):
            owner.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest(1))
        assert line.count("eth_sendRawTransaction") == 1
    assert sent_by(hospitals.url, hospitals.accounts[0]) == before


def test_an_account_that_is_always_overtaken_gives_up(
    consortium: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdistrim.ledger.sending._OVERTAKINGS", 3)
    hospitals = consortium(2)
    number = hospitals.open()
    stale = Answer(error={"code": -32000, "message": "nonce too low"})
    with FaultProxy(hospitals.url, always(stale, "eth_sendRawTransaction")) as line:
        owner = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        with pytest.raises(LedgerUnavailableError, match="overtaken 3 times"):
            owner.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest(1))
        assert line.count("eth_sendRawTransaction") == 3
        assert line.count("eth_estimateGas") == 3


def test_the_seed_alone_decides_what_happens_to_which_request() -> None:
    def faults(seed: int) -> list[object]:
        plan = seeded(seed)
        return [plan(Request("eth_call", [], place)) for place in range(200)]

    assert faults(1) == faults(1) != faults(2)
    assert set(faults(1)) == {None, *Fault}
    shares = [sum(fault is not None for fault in faults(seed)) / 200 for seed in range(20)]
    assert 0.1 < min(shares) < max(shares) < 0.3
    assert all(a != b for a, b in itertools.pairwise([faults(seed) for seed in range(5)]))
