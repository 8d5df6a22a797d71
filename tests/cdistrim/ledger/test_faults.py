"""Whole campaigns over bad lines: every action happens exactly once, and the end is the same."""

from __future__ import annotations

import dataclasses
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from enum import Enum
from typing import Any, cast

import pytest

from cdistrim.devnet.directory import call
from cdistrim.errors import LedgerUnavailableError
from cdistrim.protocol import BallotKind, CampaignState
from tests.chain import Consortium, candidate, digest, found, of_slot, run_campaign
from tests.fault_proxy import Fault, FaultProxy, dead_after, seeded
from tests.reorganising import bare_chain, sent_by, tip
from tests.rerunning import Insisting, Twins, connected, vote

SIZE = 3
SEEDS = (1, 2, 3)
A_TIME = 1_600_000_000
"""Seconds since 1970. No other number in these campaigns is as large."""


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("node", "sending"):
        monkeypatch.setattr(f"cdistrim.ledger.{module}._FIRST_PAUSE_S", 0.005)


@contextmanager
def bad_lines(hospitals: Consortium, seed: int) -> Iterator[tuple[Consortium, list[FaultProxy]]]:
    """The consortium whose members have a bad line each to the chain."""
    with ExitStack() as stack:
        lines = [stack.enter_context(FaultProxy(hospitals.url)) for _ in range(SIZE)]
        # Who can't even connect has no ledger to insist on: the lines get bad after that.
        members = connected(hospitals, [line.url for line in lines])
        for member, line in enumerate(lines):
            line.plan = seeded(1_000 * seed + member)
        yield Insisting.all(members), lines


def outcome(hospitals: Consortium, number: int) -> object:
    """All that the ledger says in the end, without times, hashes of blocks and costs."""
    ledger = hospitals.ledgers[0]
    view = ledger.campaign(number)
    assert view.state is CampaignState.COMPLETED
    slots = [ledger.slot(number, slot) for slot in range(1, SIZE + 1)]
    models = [ledger.model(number, slot.number) for slot in slots if slot.number != 2]
    events = [(event.name, event.arguments, event.sender) for event in ledger.history(number)]
    return timeless([view, slots, models, events])


def timeless(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [timeless(each) for each in value]
    if isinstance(value, int) and not isinstance(value, Enum) and value > A_TIME:
        return "a time"
    return value


def transactions(url: str, first: int) -> tuple[Counter[str], Counter[str]]:
    """How many transactions each account has in the blocks from ``first``; and how many failed."""
    sent: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for number in range(first, tip(url) + 1):
        block = cast("dict[str, Any]", call(url, "eth_getBlockByNumber", hex(number), False))
        for digest_ in block["transactions"]:
            receipt = cast("dict[str, Any]", call(url, "eth_getTransactionReceipt", digest_))
            sent[receipt["from"]] += 1
            failed[receipt["from"]] += receipt["status"] != "0x1"
    return sent, +failed


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A campaign over good lines."""

    outcome: object
    sent: Counter[str]


@pytest.fixture(scope="module")
def undisturbed(chain: str) -> Undisturbed:
    hospitals = found(chain, SIZE, seed="faults")
    first = tip(chain) + 1
    end = outcome(hospitals, run_campaign(hospitals, rejected=[2]))
    sent, failed = transactions(chain, first)
    assert not failed
    return Undisturbed(end, sent)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_campaign_over_bad_lines_ends_as_over_good_ones(
    chain: str, undisturbed: Undisturbed, seed: int
) -> None:
    hospitals = found(chain, SIZE, seed="faults")
    first = tip(chain) + 1
    with bad_lines(hospitals, seed) as (disturbed, lines):
        number = run_campaign(disturbed, rejected=[2])
    faults = sum((line.faults for line in lines), Counter[Fault]())
    assert set(faults) == set(Fault)
    assert outcome(hospitals, number) == undisturbed.outcome
    assert transactions(chain, first) == (undisturbed.sent, Counter())


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_two_processes_of_each_member_over_bad_lines_act_once(
    chain: str, undisturbed: Undisturbed, seed: int
) -> None:
    hospitals = found(chain, SIZE, seed="faults")
    first = tip(chain) + 1
    with bad_lines(hospitals, seed) as (ones, _), bad_lines(hospitals, -seed) as (others, _):
        number = run_campaign(Twins.all(ones, others), rejected=[2])
    assert outcome(hospitals, number) == undisturbed.outcome
    assert transactions(chain, first) == (undisturbed.sent, Counter())


def test_real_processes_with_one_account_vote_once(chain: str) -> None:
    hospitals = found(chain, SIZE, seed="processes")
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(
        campaign=number, slot=1, attempt=1, request_key_digest=digest("key")
    )
    before = sent_by(chain, hospitals.accounts[1])
    spawn = multiprocessing.get_context("spawn")
    with FaultProxy(chain, seeded(7)) as line, ProcessPoolExecutor(2, spawn) as pool:
        urls = (line.url, chain, line.url)
        votes = [
            pool.submit(vote, url, hospitals.address, hospitals.keys[1], number) for url in urls
        ]
        said = [each.result() for each in votes]
    assert len({transaction for transaction, _ in said}) == 1
    assert sent_by(chain, hospitals.accounts[1]) == before + 1
    cast = [event for event in hospitals.ledgers[2].history(number) if event.name == "VoteCast"]
    assert [event.transaction for event in cast] == [said[0][0]]


Action = Callable[[Consortium], object]


def test_whoever_is_killed_at_any_request_has_done_it_or_not_and_the_next_one_does_the_rest(
    chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed process is one that hears nothing any more and whose questions reach nobody."""
    monkeypatch.setattr("cdistrim.ledger.node._READS", 1)
    monkeypatch.setattr("cdistrim.ledger.sending._SENDINGS", 1)
    hospitals = found(chain, 2, seed="killed")
    number = hospitals.open()
    step = {"campaign": number, "slot": 1, "attempt": 1}
    writes: list[Action] = [
        lambda c: c.ledgers[0].request_fetch(**step, request_key_digest=digest("key")),
        lambda c: c.ledgers[1].cast_vote(
            **of_slot(c.ledgers[1], BallotKind.FETCH, **step), approve=True, evidence=None
        ),
        lambda c: c.ledgers[0].report_opened(**step),
        lambda c: c.ledgers[0].request_upload(**step, candidate=candidate(1, 0)),
    ]
    before = sum(sent_by(chain, account) for account in hospitals.accounts)
    for write in writes:
        deaths = 0
        for last in range(1, 12):
            with FaultProxy(chain) as line:
                process = connected(hospitals, [line.url, line.url])
                line.plan = dead_after(len(line.requests) + last)
                with suppress(LedgerUnavailableError):
                    write(process)
                deaths += bool(line.faults)
        assert deaths > 3
        write(hospitals)
    after = sum(sent_by(chain, account) for account in hospitals.accounts)
    assert after == before + len(writes)
    names = Counter(event.name for event in hospitals.ledgers[0].history(number))
    assert [names[name] for name in ("FetchRequested", "VoteCast", "ModelOpened")] == [1, 1, 1]
