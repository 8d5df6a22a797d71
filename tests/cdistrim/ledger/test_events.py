"""The event log: in pages, within a node's limits, and continued after a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import IntegrityError, LedgerUnavailableError
from cdistrim.ledger import EthereumLedger
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.node import BlockRef, Node, NodeRefusal, Reorganised
from cdistrim.protocol import LedgerEvent
from tests.chain import Consortium, found, run_slot
from tests.fault_proxy import Answer, Fault, FaultProxy, Plan, Request, always
from tests.reorganising import bare_chain, mine, reorganise, tip

TOO_MANY = [
    {"code": -32005, "message": "query returned more than 10000 results"},
    {"code": -32000, "message": "exceed maximum block range: 7"},
    {"code": -32602, "message": "Log response size exceeded."},
    {"code": -32000, "message": "block range is too wide"},
    {"code": -32000, "message": "can't generate so much: limit reached, accelerate with an index"},
]


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@pytest.fixture(scope="module")
def hospitals(chain: str) -> Consortium:
    mine(chain, 40)
    made = found(chain, 2)
    number = made.open()
    mine(chain, 40)
    run_slot(made, number, 1)
    mine(chain, 40)
    run_slot(made, number, 2)
    return made


@pytest.fixture(scope="module")
def whole(hospitals: Consortium) -> tuple[LedgerEvent, ...]:
    return hospitals.ledgers[0].history(1)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdistrim.ledger.node._FIRST_PAUSE_S", 0.001)


def reader(line: FaultProxy, hospitals: Consortium) -> EthereumLedger:
    return EthereumLedger.connect(line.url, hospitals.address, chain_id=CHAIN_ID)


def ranges(line: FaultProxy) -> list[tuple[int, int]]:
    asked = [request.params[0] for request in line.requests if request.method == "eth_getLogs"]
    return [(int(where["fromBlock"], 16), int(where["toBlock"], 16)) for where in asked]


def limit(blocks: int, error: dict[str, object]) -> Plan:
    """A node that answers for so many blocks at most."""

    def plan(request: Request) -> Answer | None:
        if request.method != "eth_getLogs":
            return None
        first, last = (int(request.params[0][key], 16) for key in ("fromBlock", "toBlock"))
        return Answer(error=error) if last - first + 1 > blocks else None

    return plan


@pytest.mark.parametrize(("blocks", "error"), list(zip((1, 7, 20, 60, 30), TOO_MANY, strict=True)))
def test_a_node_that_limits_is_asked_for_less(
    hospitals: Consortium, whole: tuple[LedgerEvent, ...], blocks: int, error: dict[str, object]
) -> None:
    with FaultProxy(hospitals.url, limit(blocks, error)) as line:
        ledger = reader(line, hospitals)
        assert ledger.history(1) == whole
        # What it was found to bear is remembered: it refuses as often as halving needs and no more
        # than once again for each time that more is tried.
        refused = [asked for asked in ranges(line) if asked[1] - asked[0] + 1 > blocks]
        served = [asked for asked in ranges(line) if asked not in refused]
        assert len(refused) < 8 + len(served) / 8
        assert served[0][0] == 0
        assert all(a[1] + 1 == b[0] for a, b in pairwise(served))


@pytest.mark.parametrize(
    "error",
    [
        {"code": -32603, "message": "internal error"},
        {"code": -32005, "message": "daily request count exceeded, request rate limited"},
        {"code": -32005, "message": "Rate-limit exceeded"},
        {"code": -32005, "message": "limit of 5 requests per second exceeded"},
    ],
)
def test_a_node_that_refuses_for_another_reason_is_not_asked_for_less(
    hospitals: Consortium, error: dict[str, object]
) -> None:
    with FaultProxy(hospitals.url, always(Answer(error=error), "eth_getLogs")) as line:
        with pytest.raises(NodeRefusal):
            reader(line, hospitals).history(1)
        assert len(ranges(line)) == 1


def test_a_node_that_answers_too_much_is_asked_for_less(
    hospitals: Consortium, whole: tuple[LedgerEvent, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        monkeypatch.setattr("cdistrim.ledger.node._LARGEST_ANSWER", 10_000)
        assert ledger.history(1) == whole
        assert len(ranges(line)) > 3


def test_a_node_that_refuses_a_single_block_is_given_up(hospitals: Consortium) -> None:
    with FaultProxy(hospitals.url, limit(0, TOO_MANY[0])) as line:
        with pytest.raises(NodeRefusal, match="more than"):
            reader(line, hospitals).history(1)
        assert len(ranges(line)) < 20


def test_reading_is_continued_behind_the_last_page_after_a_fault(
    hospitals: Consortium, whole: tuple[LedgerEvent, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdistrim.ledger.events._PAGE_BLOCKS", 10)
    monkeypatch.setattr("cdistrim.ledger.node._READS", 1)
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        faults = 0
        for patience in range(1, 60):
            line.plan = fails_after(patience % 5, "eth_getLogs")
            try:
                history = ledger.history(1)
            except LedgerUnavailableError:
                faults += 1
            else:
                break
        assert history == whole
        assert faults > 3
        answered = {first for first, _ in ranges(line)}
        assert len(ranges(line)) <= len(answered) + faults


def fails_after(times: int, method: str) -> Plan:
    left = [times]

    def plan(request: Request) -> Fault | None:
        if request.method == method:
            left[0] -= 1
            return Fault.LOSE if left[0] < 0 else None
        return None

    return plan


def test_what_was_read_is_not_read_again(hospitals: Consortium) -> None:
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        first = ledger.history(1)
        line.requests.clear()
        assert ledger.history(1) == first
        assert [request.method for request in line.requests] == ["eth_getBlockByNumber"]
        mine(hospitals.url, 3)
        assert ledger.history(1) == first
        assert ranges(line) == [(tip(hospitals.url) - 2, tip(hospitals.url))]


def test_reading_starts_at_the_first_block(
    hospitals: Consortium, whole: tuple[LedgerEvent, ...]
) -> None:
    with FaultProxy(hospitals.url) as line:
        ledger = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, first_block=41
        )
        assert ledger.history(1) == whole
        assert ledger.members() == hospitals.members
        assert {first for first, _ in ranges(line)} == {41}


def _other_topic(log: dict[str, Any]) -> None:
    log["topics"][0] = "0x" + "ab" * 32


def _half_the_data(log: dict[str, Any]) -> None:
    log["data"] = log["data"][:66]


def _no_topics(log: dict[str, Any]) -> None:
    log["topics"] = []


def _later_block(log: dict[str, Any]) -> None:
    log["blockNumber"] = "0xffffff"


@pytest.mark.parametrize("spoil", [_other_topic, _half_the_data, _no_topics, _later_block])
def test_a_log_that_the_contract_cannot_have_written_is_refused(
    hospitals: Consortium, spoil: Callable[[dict[str, Any]], None]
) -> None:
    where = {"address": hospitals.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs: Any = call(hospitals.url, "eth_getLogs", where)
    spoil(next(log for log in logs if len(log["data"]) > 200))
    with (
        FaultProxy(hospitals.url, always(Answer(logs), "eth_getLogs")) as line,
        pytest.raises(IntegrityError, match="node gave a log"),
    ):
        reader(line, hospitals).history(1)


def test_a_block_that_is_not_on_the_chain_is_not_read_up_to(hospitals: Consortium) -> None:
    log = EventLog(Node(hospitals.url, timeout=5), hospitals.address)
    for number in (5, 10**6):
        with pytest.raises(Reorganised):
            log.reach(BlockRef(number, b"\x01" * 32))
    assert list(log.find("CampaignOpened")) == []


def test_costs_that_are_forgotten_are_asked_for_again(
    hospitals: Consortium, whole: tuple[LedgerEvent, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdistrim.ledger.events._KEPT_COSTS", 3)
    ledger = EthereumLedger.connect(hospitals.url, hospitals.address, chain_id=CHAIN_ID)
    assert ledger.history(1) == whole == ledger.history(1)


def test_silent_campaigns_are_forgotten_and_read_again_when_asked_for(
    chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = found(chain, 2, seed="many")
    reversed_ = replace(made, ledgers=made.ledgers[::-1])  # opens in the name of another member
    numbers = [made.open()]
    plain = made.ledgers[0]
    for slot in (1, 2):
        run_slot(made, numbers[0], slot)
    numbers += [made.open(), reversed_.open()]
    for number in numbers[1:]:
        run_slot(made, number, 1)
    with monkeypatch.context() as patch, FaultProxy(chain) as line:
        patch.setattr("cdistrim.ledger.events._KEPT_EVENTS", 20)
        patch.setattr("cdistrim.ledger.events._PAGE_BLOCKS", 3)
        forgetful = reader(line, made)
        for number in (*numbers, *numbers[::-1]):
            assert forgetful.history(number) == plain.history(number)
            assert forgetful.slot(number, 1) == plain.slot(number, 1)
            assert forgetful.campaign(number).slot == plain.campaign(number).slot
        assert len(forgetful._events._logs) <= 20 + 10  # a page may come on top
        line.requests.clear()
        assert forgetful.history(1) == forgetful.history(1) == plain.history(1)
        assert len(ranges(line)) == len(set(ranges(line)))
        # What is forgotten may go on, and what goes on may be undone.
        run_slot(made, 2, 2)
        for number in numbers:
            assert forgetful.history(number) == plain.history(number)
        for depth in (2, 12):
            reorganise(chain, depth)
            assert [forgetful.history(n) for n in numbers] == [plain.history(n) for n in numbers]
    assert made.open() == 2
