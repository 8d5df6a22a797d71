"""What counts as done before: the same with the same content, and no refusal of another kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID
from cdistrim.errors import LedgerRefusal
from cdistrim.ledger import EthereumLedger, Receipt
from cdistrim.ledger.interface import SignedVote
from cdistrim.protocol import BallotId, BallotKind, FinalFetchState, Mode
from cdistrim.spec import DeadlineSpec
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
    travel,
)
from tests.reorganising import bare_chain, sent_by

STEP = {"slot": 1, "attempt": 1}


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@pytest.fixture
def hospitals(chain: str, request: pytest.FixtureRequest) -> Consortium:
    return found(chain, 3, seed=request.node.nodeid)


def refused(write: Callable[[], Receipt]) -> str:
    with pytest.raises(LedgerRefusal) as caught:
        write()
    return caught.value.name


def remove(hospitals: Consortium, account: str, round_: int = 1) -> None:
    hospitals.ledgers[0].propose_removal(account=account)
    agree(hospitals, BallotId(BallotKind.REMOVAL, 0, 0, round_, hospitals.accounts[0]))


def admit(hospitals: Consortium, *words: object) -> EthereumLedger:
    """A newcomer with a published key."""
    key = digest(*words)
    account = str(Account.from_key(key).address)
    hospitals.ledgers[0].propose_admission(account=account, name="newcomer")
    agree(hospitals, BallotId(BallotKind.ADMISSION, 0, 0, 1, hospitals.accounts[0]))
    newcomer = EthereumLedger.connect(
        hospitals.url, hospitals.address, chain_id=CHAIN_ID, account=key
    )
    newcomer.publish_key(sealing_key=b"a newcomer's key")
    return newcomer


def test_the_token_of_a_later_round_is_not_redeemed_by_an_earlier_one(
    hospitals: Consortium,
) -> None:
    number = run_campaign(hospitals)
    asking, account = hospitals.ledgers[0], hospitals.accounts[0]
    redeemed = []
    for round_ in (1, 2):
        asking.request_final_model(campaign=number, request_key_digest=digest("key", round_))
        assert refused(lambda: asking.report_final_opened(campaign=number)) == (
            "WrongFinalFetchState"
        )
        agree(hospitals, BallotId(BallotKind.FINAL_FETCH, number, 0, round_, account))
        redeemed.append(asking.report_final_opened(campaign=number, good=2))
        again = asking.report_final_opened(campaign=number, good=2)
        assert again == replace(redeemed[-1], repeated=True)
    assert asking.final_fetch(number, account).state is FinalFetchState.OPENED


def test_a_former_member_publishes_no_key_not_even_its_old_one(hospitals: Consortium) -> None:
    remove(hospitals, hospitals.accounts[2])
    key = hospitals.members[2].sealing_key
    assert refused(lambda: hospitals.ledgers[2].publish_key(sealing_key=key)) == "NotAMember"


def test_a_key_that_is_published_again_is_the_latest_publication(hospitals: Consortium) -> None:
    ledger = hospitals.ledgers[0]
    keys = (b"one", b"another", b"one")
    receipts = [ledger.publish_key(sealing_key=key) for key in keys]
    assert ledger.publish_key(sealing_key=b"one") == replace(receipts[-1], repeated=True)


def test_who_asks_to_join_once_the_campaign_has_ended_is_refused(hospitals: Consortium) -> None:
    newcomer = admit(hospitals, "late", hospitals.address)
    number = hospitals.open()

    def ask() -> Receipt:
        return newcomer.request_join(
            campaign=number, cases=7, data_commitment=digest("data"), evaluator=True
        )

    asked = ask()
    assert ask() == replace(asked, repeated=True)
    for slot in (1, 2, 3):
        run_slot(hospitals, number, slot)
    assert refused(ask) == "WrongCampaignState"


def test_who_has_joined_is_told_its_request_and_who_was_invited_is_refused(
    hospitals: Consortium,
) -> None:
    newcomer = admit(hospitals, "joined", hospitals.address)
    number = hospitals.open()

    def ask(ledger: EthereumLedger, cases: int = 7) -> Receipt:
        return ledger.request_join(
            campaign=number, cases=cases, data_commitment=digest("data"), evaluator=True
        )

    asked = ask(newcomer)
    agree(hospitals, BallotId(BallotKind.JOIN, number, 0, 1, str(newcomer.account)))
    assert ask(newcomer) == replace(asked, repeated=True)
    assert refused(lambda: ask(newcomer, cases=8)) == "AlreadyEnrolled"
    assert refused(lambda: ask(hospitals.ledgers[1])) == "AlreadyEnrolled"


def test_a_vote_is_repeated_with_its_subject_choice_and_evidence_only(
    hospitals: Consortium,
) -> None:
    number = hospitals.open()
    owner, voter, _ = hospitals.ledgers
    step = {"campaign": number, **STEP}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    fetch = of_slot(owner, BallotKind.FETCH, **step)
    voter.cast_vote(**fetch, approve=True)
    foreign = digest("something else")
    assert (
        refused(lambda: voter.cast_vote(ballot=fetch["ballot"], subject=foreign, approve=True))
        == "WrongSubject"
    )
    owner.report_opened(**step)
    owner.request_upload(**step, candidate=candidate(1, 0))
    upload = of_slot(owner, BallotKind.UPLOAD, **step)
    cast = voter.cast_vote(**upload, approve=True, evidence=BETTER)
    again = voter.cast_vote(**upload, approve=True, evidence=BETTER)
    assert again == replace(cast, repeated=True)
    other = replace(BETTER, auc_candidate=0.81)
    for evidence, approve in ((other, True), (None, True), (BETTER, False)):
        with pytest.raises(LedgerRefusal):
            voter.cast_vote(**upload, approve=approve, evidence=evidence)


def test_a_record_with_other_evidence_is_another_record(hospitals: Consortium) -> None:
    number = hospitals.open()
    owner, voter, _ = hospitals.ledgers
    step = {"campaign": number, **STEP}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    voter.cast_vote(**of_slot(owner, BallotKind.FETCH, **step), approve=True)
    owner.report_opened(**step)
    asked = candidate(1, 0)
    owner.request_upload(**step, candidate=asked)
    assert owner.request_upload(**step, candidate=asked).repeated
    other = replace(asked, evidence=replace(BETTER, auc_candidate=0.81))
    assert refused(lambda: owner.request_upload(**step, candidate=other)) == "WrongState"


def test_an_earlier_removal_from_a_campaign_is_not_the_latest(chain: str) -> None:
    hospitals = found(chain, 5, seed="two removals")
    number = hospitals.open()
    ledger = hospitals.ledgers[0]
    removals = []
    for round_, account in enumerate(hospitals.accounts[:2:-1], start=1):
        remove(hospitals, account, round_)
        assert ledger.propose_removal(account=account).repeated
        removals.append(ledger.apply_removals(campaign=number))
        again = hospitals.ledgers[1].apply_removals(campaign=number)
        assert again == replace(removals[-1], repeated=True)
    assert not any(receipt.repeated for receipt in removals)


def test_a_proposal_is_repeated_while_it_is_open_or_once_it_has_passed(
    hospitals: Consortium,
) -> None:
    ledger = hospitals.ledgers[0]
    someone, other = ("0x" + digit * 40 for digit in "12")
    proposed = ledger.propose_admission(account=someone, name="someone")
    assert ledger.propose_admission(account=someone, name="someone") == replace(
        proposed, repeated=True
    )
    assert (
        refused(lambda: ledger.propose_admission(account=other, name="other"))
        == "BallotAlreadyOpened"
    )
    travel(hospitals.url, 7 * 24 * 3600 + 1)  # nobody has answered
    ledger.propose_admission(account=other, name="other")
    assert (
        refused(lambda: ledger.propose_admission(account=someone, name="someone"))
        == "BallotAlreadyOpened"
    )
    agree(hospitals, BallotId(BallotKind.ADMISSION, 0, 0, 2, hospitals.accounts[0]))
    assert ledger.propose_admission(account=other, name="other").repeated
    assert (
        refused(lambda: ledger.propose_admission(account=someone, name="other"))
        == "DuplicateMember"
    )


def test_who_has_enrolled_is_told_so_at_any_time(hospitals: Consortium) -> None:
    one, *others = hospitals.ledgers
    number, _ = one.open_campaign(
        spec_hash=digest("spec"),
        genesis_hash=digest("genesis"),
        order=hospitals.accounts,
        cycles=1,
        quorum=None,
        mode=Mode.HOLDOUT,
        deadlines=DeadlineSpec(enrol=10),
    )

    def enrol(ledger: EthereumLedger) -> Receipt:
        return ledger.enrol(
            campaign=number, cases=5, data_commitment=digest("data"), evaluator=True
        )

    assert [enrol(one).repeated for _ in range(2)] == [False, True]
    travel(hospitals.url, 11)
    assert enrol(one).repeated
    assert refused(lambda: enrol(others[0])) == "DeadlinePassed"


def test_signed_votes_that_were_counted_are_not_handed_in_again(chain: str) -> None:
    hospitals = found(chain, 5, seed="signed votes")
    number = hospitals.open()
    owner, one, two, *_ = hospitals.ledgers
    step = {"campaign": number, **STEP}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    about = of_slot(owner, BallotKind.FETCH, **step)
    deadline = owner.now() + 50
    votes = [each.sign_vote(**about, approve=True, deadline=deadline) for each in (one, two)]
    own = owner.sign_vote(**about, approve=True, deadline=deadline)
    before = sent_by(chain, hospitals.accounts[0])

    def hand_in(*votes: SignedVote) -> Receipt:
        return owner.cast_votes(**about, votes=votes)

    first = hand_in(votes[0])
    for again in ((votes[0],), (own, votes[0])):  # the request was the owner's vote
        assert hand_in(*again) == replace(first, repeated=True)
    assert hand_in(own).repeated
    foreign = about | {"subject": digest("something else")}
    assert refused(lambda: owner.cast_votes(**foreign, votes=votes[:1])) == "WrongSubject"
    last = hand_in(*votes)
    assert hand_in(*votes) == hand_in(votes[0]) == replace(last, repeated=True)
    assert not last.repeated
    assert sent_by(chain, hospitals.accounts[0]) == before + 2


def test_signed_votes_that_were_counted_are_found_after_their_deadline(chain: str) -> None:
    hospitals = found(chain, 5, seed="late signed votes")
    number = hospitals.open()
    owner, one, two, *_ = hospitals.ledgers
    step = {"campaign": number, **STEP}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    about = of_slot(owner, BallotKind.FETCH, **step)
    votes = [
        each.sign_vote(**about, approve=True, deadline=owner.now() + 50) for each in (one, two)
    ]
    first = owner.cast_votes(**about, votes=votes[:1])
    travel(chain, 60)
    assert owner.cast_votes(**about, votes=votes[:1]) == replace(first, repeated=True)
    assert refused(lambda: owner.cast_votes(**about, votes=votes)) == "DeadlinePassed"


def test_a_recorded_use_is_a_repeat_while_the_model_is_asked_for_anew(
    hospitals: Consortium,
) -> None:
    number = run_campaign(hospitals)
    asking, account = hospitals.ledgers[0], hospitals.accounts[0]
    asking.request_final_model(campaign=number, request_key_digest=digest("key", 1))
    agree(hospitals, BallotId(BallotKind.FINAL_FETCH, number, 0, 1, account))
    asking.report_final_opened(campaign=number)
    used = asking.record_use(campaign=number, purpose=digest("study"))
    asking.request_final_model(campaign=number, request_key_digest=digest("key", 2))
    again = asking.record_use(campaign=number, purpose=digest("study"))
    assert again == replace(used, repeated=True)
    assert (
        refused(lambda: asking.record_use(campaign=number, purpose=digest("another study")))
        == "WrongFinalFetchState"
    )


def test_a_slot_that_was_closed_is_not_the_next_one(hospitals: Consortium) -> None:
    number = hospitals.open(deadlines=DeadlineSpec(fetch_request=50))
    one, two, _ = hospitals.ledgers
    travel(hospitals.url, 51)
    closed = one.close_expired(campaign=number, slot=1)
    travel(hospitals.url, 51)
    assert two.close_expired(campaign=number, slot=1) == replace(closed, repeated=True)
    assert not two.close_expired(campaign=number, slot=2).repeated
