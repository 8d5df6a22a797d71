"""The chain changes its mind: what was undone is done again, once, and nobody careful saw it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID
from cdistrim.errors import LedgerUnavailableError
from cdistrim.ledger import EthereumLedger, Receipt
from cdistrim.ledger.interface import Confirmations
from cdistrim.ledger.node import Node
from cdistrim.protocol import BallotKind, SlotState
from tests.chain import Consortium, digest, found, of_slot, run_slot
from tests.fault_proxy import Answer, FaultProxy, Request
from tests.reorganising import bare_chain, mine, mining, reorganise, sent_by, tip
from tests.rerunning import connected

DEADLINE_S = 20.0
STEP = {"slot": 1, "attempt": 1}


@pytest.fixture
def chain() -> Iterator[str]:
    """A chain for each test: reorganisations reach below what a test has made."""
    with bare_chain() as url:
        yield url


def careful(
    hospitals: Consortium, member: int, confirmations: Confirmations = 2, *, url: str = ""
) -> EthereumLedger:
    return EthereumLedger.connect(
        url or hospitals.url,
        hospitals.address,
        chain_id=CHAIN_ID,
        account=hospitals.keys[member],
        confirmations=confirmations,
    )


def requested(chain: str, size: int = 2) -> tuple[Consortium, int]:
    """A consortium whose first slot waits for votes on its fetch."""
    hospitals = found(chain, size)
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(
        campaign=number, **STEP, request_key_digest=digest("request", 1)
    )
    mine(chain, 5)
    return hospitals, number


def cast(ledger: EthereumLedger, number: int) -> Receipt:
    return ledger.cast_vote(
        **of_slot(ledger, BallotKind.FETCH, campaign=number, **STEP), approve=True
    )


def votes(ledger: EthereumLedger, number: int) -> list[str]:
    """Hashes of the transactions that voted."""
    return [event.transaction for event in ledger.history(number) if event.name == "VoteCast"]


def eventually(true: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@contextmanager
def under_way(write: Callable[[], Receipt]) -> Iterator[Future[Receipt]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(write)


def test_a_vote_that_is_undone_is_sent_again_as_the_same_bytes(chain: str) -> None:
    hospitals, number = requested(chain)
    plain, voter = hospitals.ledgers[0], careful(hospitals, 1)
    before = sent_by(chain, hospitals.accounts[1])
    with under_way(lambda: cast(voter, number)) as write:
        eventually(lambda: votes(plain, number))
        first = votes(plain, number)
        reorganise(chain, 1)
        eventually(lambda: votes(plain, number))
        assert not write.done()
        mine(chain, 2)
        receipt = write.result(DEADLINE_S)
    assert votes(plain, number) == first == [receipt.transaction]
    assert not receipt.repeated
    assert receipt.block == tip(chain) - 2
    assert sent_by(chain, hospitals.accounts[1]) == before + 1


def test_a_vote_whose_nonce_another_transaction_took_is_signed_anew(chain: str) -> None:
    hospitals, number = requested(chain)
    plain, voter = hospitals.ledgers[0], careful(hospitals, 1)
    before = sent_by(chain, hospitals.accounts[1])
    other = signed(hospitals, 1, nonce=before, to=hospitals.accounts[1], data=b"")
    with under_way(lambda: cast(voter, number)) as write:
        eventually(lambda: votes(plain, number))
        first = votes(plain, number)
        reorganise(chain, 1, [other])
        eventually(lambda: sent_by(chain, hospitals.accounts[1]) == before + 2)
        mine(chain, 2)
        receipt = write.result(DEADLINE_S)
    assert votes(plain, number) == [receipt.transaction] != first
    assert not receipt.repeated


def test_a_vote_whose_nonce_the_same_vote_took_is_not_cast_again(chain: str) -> None:
    """As when a second process of this account was faster on the other branch."""
    hospitals, number = requested(chain)
    plain, voter = hospitals.ledgers[0], careful(hospitals, 1)
    before = sent_by(chain, hospitals.accounts[1])
    with under_way(lambda: cast(voter, number)) as write:
        eventually(lambda: votes(plain, number))
        [first] = votes(plain, number)
        data = bytes(Node(chain, timeout=5)._eth.get_transaction(digest_of(first))["input"])
        same = signed(hospitals, 1, nonce=before, to=hospitals.address, data=data)
        reorganise(chain, 1, [same])
        mine(chain, 2)
        receipt = write.result(DEADLINE_S)
    assert receipt.repeated
    assert votes(plain, number) == [receipt.transaction] != [first]
    assert sent_by(chain, hospitals.accounts[1]) == before + 1


def test_a_vote_that_failed_is_not_refused_before_that_counts(chain: str) -> None:
    """On the other branch it is not too late."""
    hospitals, number = requested(chain, 3)
    plain, faster = hospitals.ledgers[0], hospitals.ledgers[2]
    before = sent_by(chain, hospitals.accounts[1])

    overtaken: list[Request] = []

    def overtake(request: Request) -> None:
        if request.method == "eth_sendRawTransaction" and not overtaken:
            overtaken.append(request)
            cast(faster, number)

    with FaultProxy(chain, overtake) as line:
        voter = careful(hospitals, 1, url=line.url)
        with under_way(lambda: cast(voter, number)) as write:
            eventually(lambda: sent_by(chain, hospitals.accounts[1]) == before + 1)
            first = votes(plain, number)
            with pytest.raises(TimeoutError):
                write.result(0.5)
            reorganise(chain, 2)
            eventually(lambda: votes(plain, number))
            mine(chain, 2)
            receipt = write.result(DEADLINE_S)
    assert not receipt.repeated
    assert votes(plain, number) == [receipt.transaction] != first
    assert sent_by(chain, hospitals.accounts[1]) == before + 1


def digest_of(transaction: str) -> Any:  # noqa: ANN401 - web3 has types of its own for it
    return bytes.fromhex(transaction.removeprefix("0x"))


def signed(hospitals: Consortium, member: int, *, nonce: int, to: str, data: bytes) -> bytes:
    fields = {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": nonce,
        "gas": 5_000_000,
        "maxFeePerGas": 0,
        "maxPriorityFeePerGas": 0,
        "value": 0,
        "to": to,
        "data": data,
    }
    return bytes(Account.from_key(hospitals.keys[member]).sign_transaction(fields).raw_transaction)


def test_a_repeat_waits_until_the_original_counts(chain: str) -> None:
    hospitals, number = requested(chain)
    original = cast(hospitals.ledgers[1], number)  # of a process that was killed after this
    with under_way(lambda: cast(careful(hospitals, 1), number)) as write:
        with pytest.raises(TimeoutError):
            write.result(0.3)
        mine(chain, 2)
        again = write.result(DEADLINE_S)
    assert (again.repeated, again.transaction) == (True, original.transaction)


def test_a_repeat_of_what_is_undone_while_it_waits_does_it(chain: str) -> None:
    hospitals, number = requested(chain)
    cast(hospitals.ledgers[1], number)
    with FaultProxy(chain) as line:
        voter = careful(hospitals, 1, url=line.url)
        with under_way(lambda: cast(voter, number)) as write:
            eventually(lambda: line.count("eth_getTransactionReceipt") > 1)
            reorganise(chain, 1)
            eventually(lambda: votes(hospitals.ledgers[0], number))
            mine(chain, 2)
            receipt = write.result(DEADLINE_S)
    assert not receipt.repeated
    assert votes(hospitals.ledgers[0], number) == [receipt.transaction]


def test_a_write_is_done_when_the_chain_calls_it_final(chain: str) -> None:
    hospitals, number = requested(chain)
    voter = careful(hospitals, 1, "finalized")
    plain = hospitals.ledgers[0]
    with under_way(lambda: cast(voter, number)) as write:
        eventually(lambda: votes(plain, number))
        mine(chain)
        assert votes(voter, number) == []
        assert not write.done()
        mine(chain)
        receipt = write.result(DEADLINE_S)
    assert votes(voter, number) == [receipt.transaction]
    assert voter.campaign(number).slot == plain.campaign(number).slot


@pytest.mark.parametrize(
    "answer", [Answer(None), Answer(error={"code": -39001, "message": "Unknown block"})]
)
def test_a_chain_that_calls_no_block_final_is_named(chain: str, answer: Answer) -> None:
    hospitals = found(chain, 2)

    def never(request: Request) -> Answer | None:
        return answer if "finalized" in request.params else None

    with FaultProxy(chain, never) as line:
        ledger = careful(hospitals, 0, "finalized", url=line.url)
        with pytest.raises(LedgerUnavailableError, match="no block finalized") as caught:
            ledger.campaigns()
    assert "confirmations" in caught.value.hint


@pytest.mark.parametrize(
    "answer",
    [Answer(status=403), Answer(error={"code": -32005, "message": "rate limit exceeded"})],
)
def test_who_may_not_ask_for_the_final_block_is_not_told_to_do_without(
    chain: str, answer: Answer
) -> None:
    hospitals = found(chain, 2)

    def never(request: Request) -> Answer | None:
        return answer if "finalized" in request.params else None

    with FaultProxy(chain, never) as line:
        ledger = careful(hospitals, 0, "finalized", url=line.url)
        with pytest.raises(LedgerUnavailableError, match=r"403|rate limit") as caught:
            ledger.campaigns()
    assert "confirmations" not in str(caught.value)


def test_a_contract_that_does_not_count_yet_is_named(chain: str) -> None:
    hospitals = found(chain, 2)
    with pytest.raises(LedgerUnavailableError, match="not there yet"):
        careful(hospitals, 0, 10).campaigns()


@pytest.mark.parametrize("confirmations", [1, 3])
def test_a_careful_reader_never_sees_what_is_undone(chain: str, confirmations: int) -> None:
    hospitals, number = requested(chain)
    mine(chain, confirmations)
    plain = hospitals.ledgers[0]
    reader = careful(hospitals, 0, confirmations)
    chance = random.Random(confirmations)  # noqa: S311 - which depth, no secret
    seen: tuple[object, ...] = ()
    undone = 0
    for _ in range(12):
        if plain.slot(number, 1).state is SlotState.FETCH_REQUESTED:
            cast(hospitals.ledgers[1], number)
        else:
            plain.report_opened(campaign=number, **STEP)
        hasty = plain.history(number)
        reorganise(chain, chance.randint(1, confirmations))
        undone += plain.history(number) != hasty
        mine(chain, chance.randint(0, 1))
        now = reader.history(number)
        assert now[: len(seen)] == seen
        seen = now
        state = reader.slot(number, 1)
        assert state.ballot is not None
        assert len(state.ballot.votes) - 1 == len(votes(reader, number))
        if plain.slot(number, 1).state is SlotState.TRAINING:
            break
    assert undone


def test_the_event_log_keeps_what_is_below_the_fork_and_reads_the_rest_anew(chain: str) -> None:
    hospitals = found(chain, 2)
    number = hospitals.open()
    run_slot(hospitals, number, 1)
    with FaultProxy(chain) as line:
        reader = careful(hospitals, 1, 0, url=line.url)
        whole = reader.history(number)
        for depth in (1, 3, 5):
            line.requests.clear()
            kept = max(event.block for event in whole if event.block <= tip(chain) - depth)
            reorganise(chain, depth)
            now = reader.history(number)
            assert now == whole[: len(now)] != whole
            assert now == careful(hospitals, 0, 0).history(number)
            asked = [r.params[0]["fromBlock"] for r in line.requests if r.method == "eth_getLogs"]
            assert int(asked[-1], 16) == kept + 1
            assert len(asked) <= 2
            whole = now


def test_events_after_a_deep_reorganisation_are_those_of_the_new_branch(chain: str) -> None:
    hospitals, number = requested(chain)
    mine(chain, 3)
    readers = [careful(hospitals, 0, depth) for depth in (0, 2)]
    vote = cast(hospitals.ledgers[1], number)
    mine(chain, 4)
    assert [votes(reader, number) for reader in readers] == [[vote.transaction]] * 2
    reorganise(chain, 6)
    assert [votes(reader, number) for reader in readers] == [[], []]
    again = cast(hospitals.ledgers[1], number)
    assert not again.repeated
    mine(chain, 2)
    assert [votes(reader, number) for reader in readers] == [[again.transaction]] * 2


@pytest.mark.parametrize(
    ("method", "read"),
    [
        ("eth_call", lambda ledger, number: ledger.slot(number, 1)),
        ("eth_getLogs", lambda ledger, number: ledger.slot(number, 1)),
        ("eth_getLogs", lambda ledger, number: ledger.history(number)),
        ("eth_getTransactionReceipt", lambda ledger, number: ledger.history(number)),
    ],
)
def test_what_is_read_is_of_one_branch_even_if_the_chain_changes_meanwhile(
    chain: str, method: str, read: Callable[[EthereumLedger, int], object]
) -> None:
    hospitals, number = requested(chain)
    cast(hospitals.ledgers[1], number)
    mine(chain)
    before = read(careful(hospitals, 0, 0), number)
    changed: list[Request] = []

    def change(request: Request) -> None:
        if request.method == method and not changed:
            changed.append(request)
            reorganise(chain, 2)

    with FaultProxy(chain) as line:
        reader = careful(hospitals, 0, 0, url=line.url)
        line.plan = change
        now = read(reader, number)
    assert changed
    assert now == read(careful(hospitals, 0, 0), number) != before


def test_a_campaign_on_a_chain_that_reorganises_all_the_time_ends_as_on_a_quiet_one(
    chain: str,
) -> None:
    quiet = found(chain, 2, seed="quiet")
    first = quiet.open()
    for slot in (1, 2):
        run_slot(quiet, first, slot)
    expected = [
        (event.name, event.arguments.get("slot")) for event in quiet.ledgers[0].history(first)
    ]

    hospitals = found(chain, 2, seed="restless")
    mine(chain, 3)
    members = connected(hospitals, [chain, chain], confirmations=3)
    chance = random.Random(1)  # noqa: S311 - which depth, no secret
    depths = []

    def restless() -> None:
        if chance.random() < 0.3:
            depths.append(chance.randint(1, 3))
            reorganise(chain, depths[-1])

    with mining(chain, restless=restless):
        number = members.open()
        for slot in (1, 2):
            run_slot(members, number, slot)
    happened = [
        (event.name, event.arguments.get("slot")) for event in members.ledgers[1].history(number)
    ]
    assert happened == expected
    assert 3 in depths
