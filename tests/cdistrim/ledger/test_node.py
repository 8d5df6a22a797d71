"""What is asked again and what is not: faults of the transport, and answers that say no."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi import abi as eth_abi

from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.devnet.directory import call
from cdistrim.errors import CDistriMError, ConfigurationError, LedgerRefusal, LedgerUnavailableError
from cdistrim.ledger import EthereumLedger, Member
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, TransportFault
from cdistrim.site import Site, SiteSettings
from cdistrim.site_keys import create_site_keys
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


REVERTED = "0x08c379a0"  # Error(string)


def encoded(types: list[str], values: list[object]) -> str:
    return eth_abi.encode(types, values).hex()


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


GARBAGE = [b"", b"null", b"[]", b"7", b'"0x1"', b"{}", b"\xff\xfe", b"[" * 2_000]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:4]))
def test_an_answer_that_is_none_is_a_fault(line: FaultProxy, garbage: bytes) -> None:
    line.plan = always(Answer(garbage), "eth_chainId")
    with pytest.raises(LedgerUnavailableError):
        Node(line.url, timeout=5).chain_id()


@pytest.mark.parametrize("result", [None, "", "0x", "no number", [], {}, True, -1, 1.5, "0x-1"])
@pytest.mark.parametrize(
    "method",
    ["eth_chainId", "eth_estimateGas", "eth_gasPrice", "eth_getTransactionCount"],
)
def test_what_is_no_number_is_a_fault(line: FaultProxy, method: str, result: object) -> None:
    line.plan = always(Answer(result), method)
    with pytest.raises(TransportFault):
        READS[method](Node(line.url, timeout=5))
    assert line.count(method) == READINGS


@pytest.mark.parametrize("result", [None, "no bytes", "0x1g", [], {}])
@pytest.mark.parametrize("method", ["eth_getCode", "eth_call"])
def test_what_is_no_bytes_is_a_fault(line: FaultProxy, method: str, result: object) -> None:
    line.plan = always(Answer(result), method)
    with pytest.raises(TransportFault):
        READS[method](Node(line.url, timeout=5))


MISSING = object()
NONSENSE = [MISSING, None, "nonsense", [], {}]


def spoiled(document: Any, field: str, value: object) -> Any:  # noqa: ANN401 - JSON
    rest = {key: each for key, each in document.items() if key != field}
    return rest if value is MISSING else rest | {field: value}


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize("field", ["number", "hash", "timestamp"])
def test_a_block_without_a_field_is_a_fault(line: FaultProxy, field: str, value: object) -> None:
    latest = call(line.target, "eth_getBlockByNumber", "latest", False)
    line.plan = always(Answer(spoiled(latest, field, value)), "eth_getBlockByNumber")
    node = Node(line.url, timeout=5)
    for read in (node.ref, node.block):
        with pytest.raises(TransportFault):
            read("latest")


@pytest.mark.parametrize("value", NONSENSE[1:])
def test_a_base_fee_that_is_none_is_a_fault(line: FaultProxy, value: object) -> None:
    latest = call(line.target, "eth_getBlockByNumber", "latest", False)
    block, price = Answer(spoiled(latest, "baseFeePerGas", value)), Answer(hex(10**9))
    line.plan = lambda request: {"eth_getBlockByNumber": block, "eth_gasPrice": price}.get(
        request.method
    )
    with pytest.raises(TransportFault):
        Node(line.url, timeout=5).fees()


def test_a_pending_block_has_no_hash_on_some_nodes(line: FaultProxy) -> None:
    pending = call(line.target, "eth_getBlockByNumber", "pending", False)
    for field in ("hash", "number"):
        pending = spoiled(pending, field, None)
    line.plan = always(Answer(pending), "eth_getBlockByNumber")
    found = Node(line.url, timeout=5).block("pending")
    assert found is not None
    assert found["timestamp"] > 0


def test_blocks_that_carry_seals_are_read(line: FaultProxy) -> None:
    """Clique, IBFT and QBFT have their signers' seals where others have 32 bytes at most."""
    latest: Any = call(line.target, "eth_getBlockByNumber", "latest", False)
    sealed = Answer(spoiled(latest, "extraData", "0x" + 97 * "ab"))
    line.plan = always(sealed, "eth_getBlockByNumber")
    assert Node(line.url, timeout=5).ref("latest") == BlockRef(
        int(latest["number"], 16), bytes.fromhex(latest["hash"][2:])
    )


@pytest.mark.parametrize("method", sorted(READS.keys() - {"eth_gasPrice"}))
def test_one_question_is_one_request(line: FaultProxy, method: str) -> None:
    node = Node(line.url, timeout=5)
    for _ in range(2):
        READS[method](node)
    # A call is as of a block, which is asked for first.
    asked = ["eth_getBlockByNumber", method] if method == "eth_call" else [method]
    assert [request.method for request in line.requests] == 2 * asked


def test_the_environments_proxy_is_asked(line: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", line.url)
    monkeypatch.setenv("no_proxy", "elsewhere.invalid")
    assert Node("http://node.invalid", timeout=5).chain_id() == CHAIN_ID
    assert line.count("eth_chainId") == 1


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize(
    "field",
    ["blockHash", "blockNumber", "transactionHash", "gasUsed", "status", "from"],
)
def test_a_receipt_without_a_field_is_a_fault(consortium: Found, field: str, value: object) -> None:
    hospitals = consortium(2)
    newest: Any = call(hospitals.url, "eth_getBlockByNumber", "latest", False)
    receipt = call(hospitals.url, "eth_getTransactionReceipt", newest["transactions"][0])
    lie = always(Answer(spoiled(receipt, field, value)), "eth_getTransactionReceipt")
    with FaultProxy(hospitals.url, lie) as line, pytest.raises(TransportFault):
        Node(line.url, timeout=5).receipt(newest["transactions"][0])


@pytest.mark.parametrize("value", NONSENSE)
@pytest.mark.parametrize(
    "field",
    ["topics", "data", "blockNumber", "blockHash", "transactionHash", "logIndex"],
)
def test_a_log_without_a_field_is_a_fault(consortium: Found, field: str, value: object) -> None:
    if field == "topics" and value in ([], {}):
        return  # of the right form: a log may have no topics, though none of this contract's has
    hospitals = consortium(2)
    where = {"address": hospitals.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs: Any = call(hospitals.url, "eth_getLogs", where)
    lie = always(Answer([spoiled(logs[0], field, value), *logs[1:]]), "eth_getLogs")
    with FaultProxy(hospitals.url, lie) as line, pytest.raises(TransportFault):
        Node(line.url, timeout=5).logs(hospitals.address, 0, 10**6)


@pytest.mark.parametrize("result", [None, "logs", {}, 7, [None], [7]])
def test_logs_that_are_none_are_a_fault(line: FaultProxy, result: object) -> None:
    line.plan = always(Answer(result), "eth_getLogs")
    with pytest.raises(TransportFault):
        Node(line.url, timeout=5).logs(ADDRESS, 0, 0)


def test_a_node_cannot_have_the_account_pay_any_price_it_names(consortium: Found) -> None:
    hospitals = consortium(2)
    before = sent_by(hospitals.url, hospitals.accounts[0])
    with FaultProxy(hospitals.url, always(Answer(hex(10**17)), "eth_gasPrice")) as line:
        ledger = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        with pytest.raises(ConfigurationError, match="100000000 gwei") as caught:
            ledger.publish_key(sealing_key=b"another key")
        assert "500 gwei" in caught.value.what
        assert "max_fee_gwei" in caught.value.hint
        assert line.count("eth_sendRawTransaction") == 0
    assert sent_by(hospitals.url, hospitals.accounts[0]) == before


def test_a_sites_highest_fee_is_its_settings(devnet: Devnet, tmp_path: Path) -> None:
    keys = create_site_keys(tmp_path / "keys", "a passphrase", quick=True)
    (tmp_path / "passphrase").write_text("a passphrase")
    (tmp_path / "passphrase").chmod(0o600)
    founders = [Member(keys.account, "hospital-1"), Member(ADDRESS, "hospital-2")]
    contract = EthereumLedger.deploy(
        devnet.url, chain_id=CHAIN_ID, private_key=keys.private_key, founders=founders
    ).contract
    with FaultProxy(devnet.url, always(Answer(hex(2 * 10**9)), "eth_gasPrice")) as line:
        settings = SiteSettings(
            name="hospital-1",
            ledger_url=line.url,
            chain_id=CHAIN_ID,
            contract=contract,
            store_url="file:///srv/store",
            max_fee_gwei=1.5,
        )
        site = Site.create(tmp_path, settings)
        with pytest.raises(ConfigurationError, match=r"gas; allowed are 1\.5 gwei"):
            site.ledger.publish_key(sealing_key=b"key")


def test_a_base_fee_counts_towards_the_highest_fee(line: FaultProxy) -> None:
    latest = call(line.target, "eth_getBlockByNumber", "latest", False)
    block = Answer(spoiled(latest, "baseFeePerGas", hex(3 * 10**9)))
    price = Answer(hex(5 * 10**9))
    line.plan = lambda request: {"eth_getBlockByNumber": block, "eth_gasPrice": price}.get(
        request.method
    )
    assert Node(line.url, timeout=5, max_fee_gwei=8).fees() == (8 * 10**9, 2 * 10**9)
    with pytest.raises(ConfigurationError, match="8 gwei"):
        Node(line.url, timeout=5, max_fee_gwei=7.999).fees()


def test_a_chain_without_fees_needs_no_highest_fee(line: FaultProxy) -> None:
    assert Node(line.url, timeout=5, max_fee_gwei=0).fees() == (0, 0)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:99999",
        "http://localhost:port",
        "http://[::1",
        "https://user:my/secret@host",
        "https://user:123/secret@host",
        "https://user:1234?secret@host",
    ],
)
def test_a_url_that_is_none_is_refused_and_no_part_of_it_is_shown(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Node(url, timeout=5)
    assert caught.value.hint
    assert caught.value.__cause__ is None
    for part in ("secret", "user", "my", "123", "99999"):
        assert part not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    assert Node("https://user:my%2Fsecret@host:8/key", timeout=5).name == "https://host:8"


HOSTILE = "\x1b[2J\x1b[1;1H\r\nAll is well.\u202e" + "A" * 100_000


@pytest.mark.parametrize("method", ["eth_chainId", "eth_call", "eth_estimateGas"])
@pytest.mark.parametrize(
    "error",
    [
        {"code": -32000, "message": HOSTILE},
        {"code": -32000, "message": {"text": HOSTILE}},
        {"code": 3, "message": "execution reverted: " + HOSTILE, "data": "0x"},
        {"code": 3, "message": HOSTILE, "data": REVERTED + encoded(["string"], [HOSTILE])},
    ],
)
def test_what_a_node_says_is_shown_on_one_short_line(
    line: FaultProxy, method: str, error: dict[str, object]
) -> None:
    line.plan = always(Answer(error=error), method)
    with pytest.raises(CDistriMError) as caught:
        READS[method](Node(line.url, timeout=5))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1])
def test_an_answer_that_is_larger_than_any_is_not_read_to_its_end(
    line: FaultProxy, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("cdistrim.ledger.node._LARGEST_ANSWER", 1 << 20)
    line.plan = always(Answer(b"7".rjust(size)), "eth_chainId")
    with pytest.raises(LedgerUnavailableError) as caught:
        Node(line.url, timeout=5).chain_id()
    assert isinstance(caught.value, NodeRefusal) == (size > 1 << 20)
    assert line.count("eth_chainId") == (1 if size > 1 << 20 else READINGS)


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
