"""A node that lies: what it says is refused with a reason, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.abi import collapse_if_tuple

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import (
    CDistriMError,
    ConfigurationError,
    IntegrityError,
    LedgerUnavailableError,
)
from cdistrim.ledger import EthereumLedger, Ledger
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.node import Reorganised
from cdistrim.protocol import BallotKind
from tests.chain import Consortium, digest, found, of_slot, run_slot
from tests.fault_proxy import Answer, FaultProxy, Plan, Request
from tests.reorganising import bare_chain, mine, tip

CYCLES = 2
ABOVE = 40
"""Blocks before the contract's first."""


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@pytest.fixture(scope="module")
def hospitals(chain: str) -> Consortium:
    """One campaign with two accepted models; the third slot waits for votes on its fetch."""
    mine(chain, ABOVE)
    made = found(chain, 2)
    number = made.open(cycles=CYCLES)
    for slot in (1, 2):
        run_slot(made, number, slot)
    made.ledgers[0].request_fetch(
        campaign=number, slot=3, attempt=1, request_key_digest=digest("request", 3)
    )
    mine(chain)
    return made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdistrim.ledger.node._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("cdistrim.ledger.reading._FIRST_PAUSE_S", 0.001)


def reader(line: FaultProxy, hospitals: Consortium, first_block: int = 0) -> EthereumLedger:
    return EthereumLedger.connect(
        line.url, hospitals.address, chain_id=CHAIN_ID, first_block=first_block
    )


def about_a_view(url: str, function: str, lie: Callable[[list[Any]], list[Any]]) -> Plan:
    """What a derived view returns is changed on the way."""
    outputs = views_artifact()._functions[function]["outputs"]
    types = [collapse_if_tuple(each) for each in outputs]
    selector = "0x" + views_artifact().encode(function, _arguments(function))[:4].hex()

    def plan(request: Request) -> Answer | None:
        if request.method != "eth_call" or not request.params[0]["data"].startswith(selector):
            return None
        true = bytes.fromhex(str(call(url, "eth_call", *request.params))[2:])
        said = lie(list(eth_abi.decode(types, true)))
        return Answer("0x" + eth_abi.encode(types, said).hex())

    return plan


def _arguments(function: str) -> list[object]:
    """Some, for the selector only."""
    inputs = views_artifact()._functions[function]["inputs"]
    return ["0x" + "11" * 20 if each["type"] == "address" else 0 for each in inputs]


def about_logs(url: str, lie: Callable[[list[Any]], list[Any]]) -> Plan:
    """Logs are changed on the way."""

    def plan(request: Request) -> Answer | None:
        if request.method != "eth_getLogs":
            return None
        logs: Any = call(url, "eth_getLogs", *request.params)
        return Answer(lie(logs))

    return plan


def named(name: str) -> str:
    """The first topic of an event's logs."""
    return "0x" + next(
        topic.hex() for topic, entry in artifact()._events.items() if entry["name"] == name
    )


@pytest.mark.parametrize(
    "lie",
    [
        lambda said: [said[0], 3],  # upwards
        lambda said: [said[0], 2],  # the same again
        lambda said: [said[0], 1],  # a page goes through as many models as were asked for
    ],
)
def test_contributions_without_an_end_are_refused(
    hospitals: Consortium, lie: Callable[[list[Any]], list[Any]]
) -> None:
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        line.plan = about_a_view(hospitals.url, "contributionsOf", lie)
        with pytest.raises(IntegrityError, match="contributions"):
            ledger.contributions(1, 2)
        assert line.count("eth_call") < 10


def _with_parent(record: tuple[Any, ...], parent: int) -> tuple[Any, ...]:
    outputs = views_artifact()._functions["lineageOf"]["outputs"][0]
    place = [each["name"] for each in outputs["components"]].index("parent")
    return (*record[:place], parent, *record[place + 1 :])


@pytest.mark.parametrize(
    "lie",
    [
        lambda _: [()],
        lambda said: [(_with_parent(said[0][0], 2), said[0][1])],
        lambda said: [(said[0][0], _with_parent(said[0][1], 1))],
        lambda said: [(said[0][0], _with_parent(said[0][1], 2))],
        lambda said: [(said[0][1],)],
        lambda said: [said[0][::-1]],
    ],
)
def test_a_lineage_that_is_no_chain_of_parents_is_refused(
    hospitals: Consortium, lie: Callable[[list[Any]], list[Any]]
) -> None:
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        assert [record.slot for record in ledger.lineage(1, 2)] == [2, 1]
        ledger = reader(line, hospitals)
        line.plan = about_a_view(hospitals.url, "lineageOf", lie)
        with pytest.raises(IntegrityError, match="lineage"):
            ledger.lineage(1, 2)


def test_long_lineages_are_read_in_pages(
    hospitals: Consortium, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = hospitals.ledgers[0].lineage(1, 2), hospitals.ledgers[0].contributions(1, 2)
    monkeypatch.setattr("cdistrim.ledger.reading._PAGE", 1)
    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        assert (ledger.lineage(1, 2), ledger.contributions(1, 2)) == whole


def test_a_node_without_old_receipts_is_named(hospitals: Consortium) -> None:
    """Nodes drop old transactions' index after a while, geth by default after about a year."""

    def pruned(request: Request) -> Answer | None:
        return Answer(None) if request.method == "eth_getTransactionReceipt" else None

    with FaultProxy(hospitals.url, pruned) as line:
        ledger = reader(line, hospitals)
        with pytest.raises(LedgerUnavailableError, match="no receipt") as caught:
            ledger.history(1)
        assert not isinstance(caught.value, Reorganised)
        assert line.count("eth_getTransactionReceipt") == 1
    assert "old" in caught.value.hint


Read = Callable[[Ledger], object]


@pytest.mark.parametrize(
    "read",
    [
        lambda ledger: ledger.history(1),
        lambda ledger: ledger.members(),
        lambda ledger: ledger.slot(1, 1),
        lambda ledger: ledger.model(1, 1),
    ],
)
@pytest.mark.parametrize("late", [1, 2, 4, 10, 25, 10**9])
def test_a_first_block_that_is_too_late_is_named(
    hospitals: Consortium, late: int, read: Read
) -> None:
    first = contracts_block(hospitals)
    assert first + 25 > tip(hospitals.url) > first + 15
    with FaultProxy(hospitals.url) as line:
        assert read(reader(line, hospitals, first)) == read(hospitals.ledgers[0])
        with pytest.raises(ConfigurationError, match=f"first_block {first + late}") as caught:
            read(reader(line, hospitals, first + late))
    assert "first_block" in caught.value.hint


def contracts_block(hospitals: Consortium) -> int:
    """The block in which the contract was made."""
    where = {"address": hospitals.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs: Any = call(hospitals.url, "eth_getLogs", where)
    return int(logs[0]["blockNumber"], 16)


def test_a_member_whose_first_block_is_too_late_opens_no_second_campaign(chain: str) -> None:
    made = found(chain, 2, seed="too late")
    first = made.open()
    late = EthereumLedger.connect(
        chain,
        made.address,
        chain_id=CHAIN_ID,
        account=made.keys[0],
        first_block=tip(chain) + 1,
    )
    mine(chain)
    hasty = replace(made, ledgers=(late, made.ledgers[1]))
    with pytest.raises(ConfigurationError, match="first_block"):
        hasty.open()
    assert made.ledgers[1].campaigns() == first


def test_a_careful_reader_waits_for_the_contracts_first_block(chain: str) -> None:
    made = found(chain, 2, seed="careful")
    careful = EthereumLedger.connect(
        chain,
        made.address,
        chain_id=CHAIN_ID,
        confirmations=10,
        first_block=contracts_block(made),
    )
    assert careful.history(1) == ()
    mine(chain, 10)
    assert careful.members() == made.ledgers[0].members()


def _turned(logs: list[Any]) -> list[Any]:
    for log in logs:
        if log["topics"][0] == named("VoteCast"):
            log["data"] = "0x" + f"{1 - int(log['data'][2:66], 16):064x}" + log["data"][66:]
    return logs


def _left_out(logs: list[Any]) -> list[Any]:
    return [log for log in logs if log["topics"][0] != named("VoteCast")]


@pytest.mark.parametrize("lie", [_turned, _left_out])
def test_votes_that_are_not_the_ballots_are_refused(
    hospitals: Consortium, lie: Callable[[list[Any]], list[Any]]
) -> None:
    about = of_slot(hospitals.ledgers[0], BallotKind.UPLOAD, campaign=1, slot=1, attempt=1)
    true = hospitals.ledgers[0].ballot(about["ballot"])
    assert true is not None
    assert [vote.approve for vote in true.votes] == [True, True]
    with FaultProxy(hospitals.url, about_logs(hospitals.url, lie)) as line:
        ledger = reader(line, hospitals)
        for read in (lambda: ledger.ballot(about["ballot"]), lambda: ledger.slot(1, 1)):
            with pytest.raises(IntegrityError, match="votes"):
                read()


@pytest.mark.parametrize("late", [_turned, _left_out])
def test_answers_of_two_moments_are_asked_for_again(
    hospitals: Consortium, late: Callable[[list[Any]], list[Any]]
) -> None:
    """As of several nodes behind one address, of which one has not got all blocks yet."""
    about = of_slot(hospitals.ledgers[0], BallotKind.UPLOAD, campaign=1, slot=1, attempt=1)
    asked = []

    def once(logs: list[Any]) -> list[Any]:
        asked.append(len(logs))
        return late(logs) if len(asked) == 1 else logs

    with FaultProxy(hospitals.url, about_logs(hospitals.url, once)) as line:
        ledger = reader(line, hospitals)
        true = hospitals.ledgers[0]
        assert ledger.ballot(about["ballot"]) == true.ballot(about["ballot"])
        assert ledger.history(1) == true.history(1)
    assert len(asked) == 2


def _other_candidate(logs: list[Any]) -> list[Any]:
    for log in logs:
        if log["topics"][0] == named("CandidateSubmitted"):
            log["data"] = log["data"].replace(digest("weights", 1).hex(), digest("other").hex())
    return logs


def test_a_candidate_that_is_not_the_contracts_is_refused(hospitals: Consortium) -> None:
    with FaultProxy(hospitals.url, about_logs(hospitals.url, _other_candidate)) as line:
        ledger = reader(line, hospitals)
        assert ledger.model(1, 2) == hospitals.ledgers[0].model(1, 2)
        for read in (lambda: ledger.model(1, 1), lambda: ledger.slot(1, 1)):
            with pytest.raises(IntegrityError, match="slot 1 in the events"):
                read()


def test_a_slot_that_contradicts_its_ballot_is_refused(hospitals: Consortium) -> None:
    request = digest("request", 3)

    def lie(said: list[Any]) -> list[Any]:
        assert request in said[0]
        return [tuple(digest("other") if each == request else each for each in said[0])]

    with FaultProxy(hospitals.url, about_a_view(hospitals.url, "slotOf", lie)) as line:
        ledger = reader(line, hospitals)
        with pytest.raises(IntegrityError, match="fetch ballot of slot 3 is not about"):
            ledger.slot(1, 3)


@pytest.mark.parametrize("answer", ["0x", "0x00", "0x" + "ff" * 32, "0x" + "ff" * 6400])
@pytest.mark.parametrize(
    "read",
    [
        lambda ledger: ledger.campaign(1),
        lambda ledger: ledger.members(),
        lambda ledger: ledger.slot(1, 1),
        lambda ledger: ledger.lineage(1, 2),
        lambda ledger: ledger.contributions(1, 2),
        lambda ledger: ledger.final_fetch(1, "0x" + "11" * 20),
    ],
)
def test_an_answer_that_no_view_gives_is_refused(
    hospitals: Consortium, read: Read, answer: str
) -> None:
    def plan(request: Request) -> Answer | None:
        return Answer(answer) if request.method == "eth_call" else None

    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        line.plan = plan
        with pytest.raises(CDistriMError):
            read(ledger)


def test_a_name_that_no_member_can_have_is_printable(hospitals: Consortium) -> None:
    hostile = b"\x1b[2J\nhospital\xff".ljust(32, b"\0")
    name = hospitals.members[0].name.encode().ljust(32, b"\0")

    def lie(said: list[Any]) -> list[Any]:
        first = tuple(hostile if each == name else each for each in said[0][0])
        return [(first, *said[0][1:])]

    with FaultProxy(hospitals.url) as line:
        ledger = reader(line, hospitals)
        line.plan = about_a_view(hospitals.url, "members", lie)
        found_name = ledger.members()[0].name
    assert "hospital" in found_name
    assert found_name.isprintable()
