"""The whole history for exports: within a node's limits, of one chain, nothing rounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_abi import abi as eth_abi

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import IntegrityError, LedgerUnavailableError
from cdistrim.ledger import BlockRef, EthereumLedger, LoggedEvent
from cdistrim.ledger.codec import artifact
from cdistrim.ledger.node import Reorganised
from cdistrim.ledger.plain import plain_event, problem_of_event
from tests.cdistrim.audit.histories import game
from tests.chain import Consortium, found, run_slot
from tests.fault_proxy import Answer, FaultProxy, Plan, Request, always
from tests.reorganising import bare_chain, mine

TOO_MANY = {"code": -32005, "message": "query returned more than 10000 results"}


@pytest.fixture(scope="module")
def hospitals() -> Iterator[Consortium]:
    with bare_chain() as url:
        mine(url, 40)
        made = found(url, 2)
        number = made.open()
        mine(url, 40)
        run_slot(made, number, 1)
        yield made


@pytest.fixture(scope="module")
def whole(hospitals: Consortium) -> list[LoggedEvent]:
    ledger = hospitals.ledgers[0]
    return list(ledger.logged(ledger.final_block()))


def reader(line: FaultProxy, hospitals: Consortium) -> EthereumLedger:
    return EthereumLedger.connect(line.url, hospitals.address, chain_id=CHAIN_ID)


def limit(blocks: int) -> Plan:
    """A node that answers for so many blocks at most."""

    def plan(request: Request) -> Answer | None:
        if request.method != "eth_getLogs":
            return None
        first, last = (int(request.params[0][key], 16) for key in ("fromBlock", "toBlock"))
        return Answer(error=TOO_MANY) if last - first + 1 > blocks else None

    return plan


@pytest.mark.parametrize("blocks", [1, 7, 30])
def test_a_node_that_limits_is_asked_for_less(
    hospitals: Consortium, whole: list[LoggedEvent], blocks: int
) -> None:
    with FaultProxy(hospitals.url, limit(blocks)) as line:
        ledger = reader(line, hospitals)
        assert list(ledger.logged(ledger.final_block())) == whole


def test_a_node_that_refuses_a_single_block_is_given_up(hospitals: Consortium) -> None:
    with FaultProxy(hospitals.url, limit(0)) as line:
        ledger = reader(line, hospitals)
        with pytest.raises(LedgerUnavailableError, match="more than"):
            list(ledger.logged(ledger.final_block()))


def test_a_block_that_is_not_on_the_chain_is_not_read_up_to(hospitals: Consortium) -> None:
    ledger = hospitals.ledgers[0]
    with pytest.raises(Reorganised):
        list(ledger.logged(BlockRef(ledger.final_block().number, bytes(32))))


def _other_topic(log: dict[str, Any]) -> None:
    log["topics"][0] = "0x" + 64 * "1"


def _half_the_data(log: dict[str, Any]) -> None:
    log["data"] = log["data"][:66]


def _later_block(log: dict[str, Any]) -> None:
    log["blockNumber"] = "0xffffff"


@pytest.mark.parametrize("spoil", [_other_topic, _half_the_data, _later_block])
def test_a_log_that_the_contract_cannot_have_written_is_refused(
    hospitals: Consortium, spoil: Callable[[dict[str, Any]], None]
) -> None:
    where = {"address": hospitals.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs: Any = call(hospitals.url, "eth_getLogs", where)
    spoil(next(log for log in logs if len(log["data"]) > 200))
    with FaultProxy(hospitals.url, always(Answer(logs), "eth_getLogs")) as line:
        ledger = reader(line, hospitals)
        with pytest.raises(IntegrityError, match="node gave a log"):
            list(ledger.logged(ledger.final_block()))


def test_a_log_of_another_block_than_the_chains_is_not_given_out(hospitals: Consortium) -> None:
    where = {"address": hospitals.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs: Any = call(hospitals.url, "eth_getLogs", where)
    for log in logs:
        log["blockHash"] = "0x" + 64 * "2"
    with FaultProxy(hospitals.url, always(Answer(logs), "eth_getLogs")) as line:
        ledger = reader(line, hospitals)
        with pytest.raises(Reorganised):
            list(ledger.logged(ledger.final_block()))


# --- the form of the arguments --------------------------------------------------------------------


def test_evidence_is_not_rounded() -> None:
    """Its variance has 64 bits; a float would keep 53 of them."""
    spec = artifact().event("VoteCast")
    assert spec is not None
    variance = 2**64 - 1
    word = 999_999_999 | 1 << 32 | variance << 64 | 3 << 128 | 4 << 160
    (topic,) = (t for t, e in artifact()._events.items() if e is spec)
    ballot = (1 | 7 << 8 | 3 << 48 | 2 << 80 | int("ab" * 20, 16) << 96).to_bytes(32)
    topics = [topic, ballot, int("12" * 20, 16).to_bytes(32)]
    name, arguments = plain_event(topics, eth_abi.encode(["bool", "uint256"], [True, word]))
    assert name == "VoteCast"
    assert arguments["evidence"] == {
        "aucHead": 999_999_999,
        "aucCandidate": 1,
        "variance": variance,
        "positives": 3,
        "negatives": 4,
    }
    about = arguments["ballot"]
    assert isinstance(about, dict)
    numbers = (about["kind"], about["campaign"], about["slot"], about["attempt"])
    assert numbers == ("UPLOAD", 7, 3, 2)
    assert str(about["opener"]).lower() == "0x" + "ab" * 20
    with pytest.raises(ValueError, match="fields"):
        plain_event(topics, eth_abi.encode(["bool", "uint256"], [True, word | 1 << 200]))


def test_whatever_the_contract_logs_has_the_form_and_nothing_else_has() -> None:
    for event in game("plain", 5, 200):
        assert problem_of_event(event.name, event.arguments) == ""
        for name, value in event.arguments.items():
            for wrong in (None, [value], {"more": value}, 1.5, -1, "0xAB"):
                changed = event.arguments | {name: wrong}
                assert problem_of_event(event.name, changed), (event.name, name, wrong)
            without = {one: each for one, each in event.arguments.items() if one != name}
            assert "exactly the arguments" in problem_of_event(event.name, without)
