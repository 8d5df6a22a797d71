"""What every ledger must do, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID
from cdistrim.errors import LedgerRefusal, UsageError
from cdistrim.ledger import EthereumLedger, Ledger, Receipt
from cdistrim.ledger.interface import Confirmations
from cdistrim.protocol import (
    BallotId,
    BallotKind,
    CampaignState,
    Deed,
    FinalFetchState,
    Mode,
    RestoreReason,
    SlotState,
    duties,
)
from tests.chain import (
    BETTER,
    Consortium,
    agree,
    candidate,
    digest,
    found,
    of_slot,
    run_campaign,
    run_slot,
)
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
    confirmations: Confirmations = 0


def _seen(hospitals: Consortium, url: str, confirmations: Confirmations = 0) -> Seen:
    reader = EthereumLedger.connect(
        url, hospitals.address, chain_id=CHAIN_ID, confirmations=confirmations
    )
    members = connected(hospitals, [url] * SIZE, confirmations=confirmations)
    return Seen(replace(members, url=url), reader, confirmations)


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
    number = run_campaign(hospitals, rejected=[2])
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


def test_the_whole_history_is_the_same_for_everybody_and_can_be_gone_on_with(seen: Seen) -> None:
    hospitals = seen.members
    number = hospitals.open()
    run_slot(hospitals, number, 1)
    final = seen.reader.final_block()
    whole = list(seen.reader.logged(final))
    assert [event.name for event in whole[:SIZE]] == ["MemberAdmitted"] * SIZE
    assert [(e.block, e.index) for e in whole] == sorted((e.block, e.index) for e in whole)
    for ledger in hospitals.ledgers:
        assert list(ledger.logged(final)) == whole
        assert ledger.has_block(final)
        assert not ledger.has_block(replace(final, digest=bytes(32)))
    middle = whole[len(whole) // 2].block
    rest = list(seen.reader.logged(final, after=middle))
    assert rest == [event for event in whole if event.block > middle]
    told = [(event.name, event.block, event.index) for event in seen.reader.history(number)]
    counted = {event.block for event in whole}
    assert [one for one in told if one[1] in counted] == [
        (e.name, e.block, e.index) for e in whole if _campaign_of(e.arguments) == number
    ]


def _campaign_of(arguments: Mapping[str, object]) -> object:
    ballot = arguments.get("ballot")
    return ballot["campaign"] if isinstance(ballot, dict) else arguments.get("campaign")


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


def test_a_slot_that_was_started_over_is_read_with_the_fetch_that_it_trains_from(
    hospitals: Consortium,
) -> None:
    """The contract says no subject of a former attempt's ballot; that contradicts nothing."""
    owner, voter, _ = hospitals.ledgers
    number = hospitals.open()
    step = {"campaign": number, **STEP}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    voter.cast_vote(**of_slot(voter, BallotKind.FETCH, **step), approve=True)
    owner.report_opened(**step, good=2)
    owner.request_upload(**step, candidate=candidate(1, 0))
    owner.propose_removal(account=hospitals.accounts[2])
    agree(hospitals, BallotId(BallotKind.REMOVAL, 0, 0, 1, hospitals.accounts[0]))
    voter.apply_removals(campaign=number)
    slot = voter.slot(number, 1)
    assert (slot.state, slot.attempt, slot.candidate) == (SlotState.TRAINING, 2, None)
    assert slot.ballot is not None
    assert (slot.ballot.kind, slot.ballot.id.attempt) == (BallotKind.FETCH, 1)
    assert slot.request_key_digest == digest("key")


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


def join(seen: Seen) -> EthereumLedger:
    """A fourth member: admitted by ballot, with a key that it published itself."""
    hospitals = seen.members
    key = digest("newcomer", hospitals.address)
    account = str(Account.from_key(key).address)
    proposer = hospitals.ledgers[0]
    proposer.propose_admission(account=account, name="hospital-9")
    agree(hospitals, BallotId(BallotKind.ADMISSION, 0, 0, 1, hospitals.accounts[0]))
    newcomer = EthereumLedger.connect(
        hospitals.url,
        hospitals.address,
        chain_id=CHAIN_ID,
        account=key,
        confirmations=seen.confirmations,
    )
    newcomer.publish_key(sealing_key=b"newcomer's public key")
    return newcomer


def test_a_key_is_published_once_and_can_be_replaced(hospitals: Consortium) -> None:
    mine_, before = hospitals.ledgers[0], hospitals.members[0]
    assert mine_.publish_key(sealing_key=before.sealing_key).repeated
    assert not mine_.publish_key(sealing_key=b"another key").repeated
    now = hospitals.ledgers[1].members()[0]
    assert (now.sealing_key, now.name) == (b"another key", before.name)
    assert now.key_changed_at > 0


def test_members_come_and_go_by_ballot(seen: Seen) -> None:
    hospitals, newcomer = seen.members, join(seen)
    names = [member.name for member in hospitals.ledgers[1].members()]
    assert names == ["hospital-1", "hospital-2", "hospital-3", "hospital-9"]
    assert hospitals.ledgers[0].former_members() == ()
    assert hospitals.ledgers[0].members()[3].sealing_key == b"newcomer's public key"

    number = hospitals.open()
    leaving = hospitals.accounts[2]
    proposed = hospitals.ledgers[0].propose_removal(account=leaving)
    assert hospitals.ledgers[0].propose_removal(account=leaving).transaction == proposed.transaction
    ballot = BallotId(BallotKind.REMOVAL, 0, 0, 1, hospitals.accounts[0])
    for voter in (hospitals.ledgers[1], newcomer):
        now = voter.ballot(ballot)
        assert now is not None
        voter.cast_vote(ballot=ballot, subject=now.subject, approve=True)
    assert leaving not in {member.account for member in hospitals.ledgers[0].members()}
    (former,) = hospitals.ledgers[0].former_members()
    assert (former.account, former.name) == (leaving, "hospital-3")
    assert 0 < former.removed_at <= hospitals.ledgers[0].now()

    view = hospitals.ledgers[0].campaign(number)
    assert view.removals_pending
    assert {duty.deed for duty in duties(view)} == {Deed.CLOSE}
    with pytest.raises(LedgerRefusal) as pending:
        hospitals.ledgers[0].request_fetch(
            campaign=number, **STEP, request_key_digest=digest("key")
        )
    assert pending.value.name == "RemovalsPending"
    hospitals.ledgers[1].apply_removals(campaign=number)
    assert hospitals.ledgers[1].apply_removals(campaign=number).repeated
    view = newcomer.campaign(number)
    assert not view.removals_pending
    assert view.enrolment(leaving) is None
    with pytest.raises(LedgerRefusal) as gone:
        hospitals.ledgers[2].publish_key(sealing_key=b"too late")
    assert gone.value.name == "NotAMember"


def test_a_member_joins_a_running_campaign(seen: Seen) -> None:
    hospitals, newcomer = seen.members, join(seen)
    number = hospitals.open()

    def ask() -> Receipt:
        return newcomer.request_join(
            campaign=number, cases=7, data_commitment=digest("data"), evaluator=True
        )

    assert ask().transaction == ask().transaction
    agree(hospitals, BallotId(BallotKind.JOIN, number, 0, 1, str(newcomer.account)))
    view = hospitals.ledgers[0].campaign(number)
    assert view.order[-1] == newcomer.account
    assert view.slots == SIZE + 1
    enrolment = view.enrolment(str(newcomer.account))
    assert enrolment is not None
    assert (enrolment.cases, enrolment.voter) == (7, False), "no head was dealt to it yet"


def test_the_head_is_restored_to_an_ancestor(hospitals: Consortium) -> None:
    number = hospitals.open(cycles=2)
    for slot in (1, 2, 3):
        run_slot(hospitals, number, slot)
    asking = hospitals.ledgers[1]
    asking.request_restore(
        campaign=number, slot=4, attempt=1, target=1, reason=RestoreReason.UNOPENABLE
    )
    agree(hospitals, BallotId(BallotKind.RESTORE, number, 4, 1, hospitals.accounts[1]))
    view = asking.campaign(number)
    assert (view.head, view.accepted) == (1, 1)
    assert view.slot is not None
    assert (view.slot.number, view.slot.attempt, view.slot.state) == (4, 2, SlotState.WAITING)
    assert [asking.model(number, slot).undone for slot in (1, 2, 3)] == [False, True, True]
    assert [record.slot for record in asking.lineage(number, 1)] == [1]
    told = asking.add_capsule(campaign=number, slot=1, capsule_hash=digest("capsule"))
    again = asking.add_capsule(campaign=number, slot=1, capsule_hash=digest("capsule"))
    assert (again.repeated, again.transaction) == (True, told.transaction)


def test_the_final_model_is_opened_under_a_ballot_and_its_use_recorded(
    hospitals: Consortium,
) -> None:
    number = run_campaign(hospitals)
    asking, account = hospitals.ledgers[2], hospitals.accounts[2]
    assert asking.final_fetch(number, account).state is FinalFetchState.NONE
    asking.request_final_model(campaign=number, request_key_digest=digest("key"))
    agree(hospitals, BallotId(BallotKind.FINAL_FETCH, number, 0, 1, account))
    granted = hospitals.ledgers[0].final_fetch(number, account)
    assert (granted.state, granted.head, granted.round) == (FinalFetchState.GRANTED, SIZE, 1)
    assert granted.request_key_digest == digest("key")
    opened = asking.report_final_opened(campaign=number, good=2)
    assert asking.report_final_opened(campaign=number, good=2).transaction == opened.transaction
    used = asking.record_use(campaign=number, purpose=digest("a study"))
    assert asking.record_use(campaign=number, purpose=digest("a study")).repeated
    assert not asking.record_use(campaign=number, purpose=digest("another")).repeated
    names = [event.name for event in hospitals.ledgers[0].history(number)]
    assert names.count("FinalModelUsed") == 2
    assert used.gas > 0
    contributions = asking.contributions(number, SIZE)
    assert [(each.models, each.cases) for each in contributions] == [(1, 10), (1, 11), (1, 12)]


def test_signed_votes_count_as_votes_and_for_their_subject_only(hospitals: Consortium) -> None:
    number = hospitals.open()
    owner = hospitals.ledgers[0]
    owner.request_fetch(campaign=number, **STEP, request_key_digest=digest("key"))
    about = of_slot(owner, BallotKind.FETCH, campaign=number, **STEP)
    deadline = owner.now() + 600
    others = hospitals.ledgers[1:]
    votes = [one.sign_vote(**about, approve=True, deadline=deadline) for one in others]
    foreign = about | {"subject": digest("something else")}
    with pytest.raises(LedgerRefusal) as wrong:
        owner.cast_votes(ballot=foreign["ballot"], subject=foreign["subject"], votes=votes)
    assert wrong.value.name == "WrongSubject"
    owner.cast_votes(**about, votes=votes)
    assert owner.cast_votes(**about, votes=votes).repeated
    slot = others[0].slot(number, 1)
    assert slot.state is SlotState.FETCH_GRANTED
    assert slot.ballot is not None
    assert {vote.partner for vote in slot.ballot.votes} == set(hospitals.accounts)
