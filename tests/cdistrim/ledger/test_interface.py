"""What every ledger must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import pytest

from cdistrim.devnet import CHAIN_ID
from cdistrim.errors import LedgerRefusal, UsageError
from cdistrim.ledger import EthereumLedger, Ledger, Receipt
from cdistrim.ledger.interface import Confirmations
from cdistrim.protocol import BallotKind, CampaignState, Mode, SlotState, duties
from tests.chain import BETTER, Consortium, candidate, digest, found, of_slot, run_slot
from tests.fault_proxy import FaultProxy
from tests.reorganising import bare_chain, mine, mining
from tests.rerunning import connected

SIZE = 3
STEP = {"slot": 1, "attempt": 1}


@dataclass(frozen=True)
class Seen:
    """A consortium whose ledgers are of one implementation, and the ledger of who only reads."""

    members: Consortium
    reader: Ledger


def _seen(hospitals: Consortium, url: str, confirmations: Confirmations = 0) -> Seen:
    reader = EthereumLedger.connect(
        url, hospitals.address, chain_id=CHAIN_ID, confirmations=confirmations
    )
    members = connected(hospitals, [url] * SIZE, confirmations=confirmations)
    return Seen(replace(members, url=url), reader)


@contextmanager
def directly(hospitals: Consortium) -> Iterator[Seen]:
    yield _seen(hospitals, hospitals.url)


@contextmanager
def through_a_proxy(hospitals: Consortium) -> Iterator[Seen]:
    with FaultProxy(hospitals.url) as line:
        yield _seen(hospitals, line.url)


@contextmanager
def two_blocks_later(hospitals: Consortium) -> Iterator[Seen]:
    with mining(hospitals.url):
        yield _seen(hospitals, hospitals.url, confirmations=2)


IMPLEMENTATIONS: Mapping[str, Callable[[Consortium], AbstractContextManager[Seen]]] = {
    "ethereum": directly,
    "ethereum through a proxy": through_a_proxy,
    "ethereum two blocks later": two_blocks_later,
}
"""A further implementation is a further line."""


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cdistrim.ledger.sending._FIRST_PAUSE_S", 0.02)


@pytest.fixture(params=IMPLEMENTATIONS)
def seen(chain: str, request: pytest.FixtureRequest) -> Iterator[Seen]:
    made = found(chain, SIZE, seed=request.node.nodeid)
    mine(chain, 2)
    with IMPLEMENTATIONS[request.param](made) as implementation:
        yield implementation


@pytest.fixture
def hospitals(seen: Seen) -> Consortium:
    return seen.members


def test_the_founders_are_the_members(seen: Seen) -> None:
    for ledger in (*seen.members.ledgers, seen.reader):
        assert ledger.members() == seen.members.members
        assert ledger.campaigns() == 0
        assert (ledger.address, ledger.chain_id) == (seen.members.address, CHAIN_ID)


def test_who_has_no_account_reads_and_does_not_write(seen: Seen) -> None:
    number = seen.members.open()
    assert seen.reader.account is None
    assert seen.reader.campaign(number).slot == seen.members.ledgers[0].campaign(number).slot
    with pytest.raises(UsageError):
        seen.reader.report_opened(campaign=number, **STEP)


def test_a_campaign_runs_to_its_end_and_all_see_the_same(seen: Seen) -> None:
    hospitals = seen.members
    number = hospitals.open()
    for slot in range(1, SIZE + 1):
        run_slot(hospitals, number, slot, approve=slot != 2)
    for ledger in (*hospitals.ledgers, seen.reader):
        view = ledger.campaign(number)
        assert (view.state, view.head, view.accepted) == (CampaignState.COMPLETED, 3, 2)
        assert list(duties(view)) == []
        states = [ledger.slot(number, slot).state for slot in range(1, SIZE + 1)]
        assert states == [SlotState.ACCEPTED, SlotState.SKIPPED, SlotState.ACCEPTED]
        assert ledger.model(number, 3).weights_hash == candidate(3, 1).weights_hash
        assert ledger.model(number, 3).parent == 1
    assert seen.reader.history(number) == hospitals.ledgers[2].history(number)


def test_what_was_written_is_read_at_once(seen: Seen) -> None:
    hospitals = seen.members
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(campaign=number, **STEP, request_key_digest=digest("key"))
    for ledger in (*hospitals.ledgers, seen.reader):
        slot = ledger.slot(number, 1)
        assert (slot.state, slot.request_key_digest) == (SlotState.FETCH_REQUESTED, digest("key"))
        assert ledger.campaign(number).slot == slot


def test_history_is_in_order_and_has_what_the_receipts_say(hospitals: Consortium) -> None:
    number = hospitals.open()
    receipts = run_slot(hospitals, number, 1)
    history = hospitals.ledgers[1].history(number)
    assert [(e.block, e.index) for e in history] == sorted((e.block, e.index) for e in history)
    costs = {event.transaction: (event.block, event.gas, event.timestamp) for event in history}
    for receipt in receipts:
        assert costs[receipt.transaction] == (receipt.block, receipt.gas, receipt.timestamp)
    assert all(event.sender in hospitals.accounts for event in history)
    assert history[0].timestamp <= history[-1].timestamp <= hospitals.ledgers[0].now()


def test_every_write_done_twice_is_done_once(hospitals: Consortium) -> None:
    owner, voter, _ = hospitals.ledgers
    number = hospitals.open(mode=Mode.REPORTED)
    asked, whole = candidate(1, 0, mode=Mode.REPORTED), candidate(1, 0)
    step = {"campaign": number, **STEP}
    writes: list[Callable[[], Receipt]] = [
        lambda: owner.request_fetch(**step, request_key_digest=digest("key")),
        lambda: voter.cast_vote(
            **of_slot(voter, BallotKind.FETCH, **step), approve=True, evidence=None
        ),
        lambda: owner.report_opened(**step, good=2),
        lambda: owner.request_upload(**step, candidate=asked),
        lambda: voter.cast_vote(
            **of_slot(voter, BallotKind.UPLOAD, **step), approve=True, evidence=BETTER
        ),
        lambda: owner.confirm_upload(**step, candidate=whole),
    ]
    firsts = [write() for write in writes]
    before = owner.history(number)
    assert not any(first.repeated for first in firsts)
    assert [write() for write in writes] == [replace(first, repeated=True) for first in firsts]
    assert owner.history(number) == before


def test_opening_again_continues_what_is_open(hospitals: Consortium) -> None:
    assert hospitals.open() == hospitals.open() == hospitals.ledgers[1].campaigns() == 1


def test_opening_in_many_threads_opens_one(hospitals: Consortium) -> None:
    with ThreadPoolExecutor(3) as pool:
        numbers = [pool.submit(hospitals.open) for _ in range(3)]
    assert {number.result() for number in numbers} == {1}
    assert hospitals.ledgers[0].campaigns() == 1


def test_voting_in_many_threads_is_voting_once(hospitals: Consortium) -> None:
    number = hospitals.open()
    step = {"campaign": number, **STEP}
    hospitals.ledgers[0].request_fetch(**step, request_key_digest=digest("key"))
    voter = hospitals.ledgers[1]
    with ThreadPoolExecutor(4) as pool:
        votes = [
            pool.submit(
                voter.cast_vote,
                **of_slot(voter, BallotKind.FETCH, **step),
                approve=True,
                evidence=None,
            )
            for _ in range(4)
        ]
    receipts = [vote.result() for vote in votes]
    assert sorted(receipt.repeated for receipt in receipts) == [False, True, True, True]
    assert len({receipt.transaction for receipt in receipts}) == 1


def _against_the_rules(number: int) -> dict[str, Callable[[Consortium], object]]:
    step = {"campaign": number, **STEP}
    key = digest("key")
    return {
        "another's turn": lambda c: c.ledgers[1].request_fetch(**step, request_key_digest=key),
        "another key": lambda c: c.ledgers[0].request_fetch(
            **step, request_key_digest=digest("another key")
        ),
        "out of order": lambda c: c.ledgers[0].request_upload(**step, candidate=candidate(1, 0)),
        "no such campaign": lambda c: c.ledgers[0].campaign(number + 1),
        "no such slot": lambda c: c.ledgers[0].slot(number, 77),
        "no such model": lambda c: c.ledgers[0].model(number, 1),
        "too early": lambda c: c.ledgers[2].close_expired(campaign=number, slot=1),
    }


def test_what_is_against_the_rules_is_refused_and_changes_nothing(hospitals: Consortium) -> None:
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(campaign=number, **STEP, request_key_digest=digest("key"))
    before = hospitals.ledgers[1].history(number), hospitals.ledgers[1].slot(number, 1)
    for what, act in _against_the_rules(number).items():
        with pytest.raises(LedgerRefusal) as caught:
            act(hospitals)
        assert caught.value.name, what
    assert (hospitals.ledgers[1].history(number), hospitals.ledgers[1].slot(number, 1)) == before
