"""The ledger on a real chain: what is written is read back, and repeats repeat nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from cdistrim.devnet import Devnet
from cdistrim.devnet.directory import call
from cdistrim.errors import DataError, IntegrityError, LedgerRefusal, UsageError
from cdistrim.ledger import Candidate, EthereumLedger, Ledger, Receipt
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.node import BlockRef
from cdistrim.protocol import (
    BallotId,
    BallotKind,
    BallotState,
    CampaignState,
    Deed,
    Evidence,
    Mode,
    SkipReason,
    SlotState,
    Vote,
    duties,
)
from cdistrim.spec import DeadlineSpec
from tests.chain import (
    BETTER,
    GENESIS_HASH,
    SPEC_HASH,
    Consortium,
    candidate,
    digest,
    of_slot,
    run_slot,
    travel,
)

Found = Callable[[int], Consortium]


def open_slot(consortium: Consortium, campaign: int) -> SlotState:
    slot = consortium.ledgers[0].campaign(campaign).slot
    assert slot is not None
    return slot.state


def test_the_adapter_is_a_ledger(consortium: Found) -> None:
    ledger: Ledger = consortium(2).ledgers[0]
    assert ledger.campaigns() == 0


def test_members_come_with_the_keys_they_were_founded_with(consortium: Found) -> None:
    hospitals = consortium(3)
    assert hospitals.ledgers[2].members() == hospitals.members


def test_a_sealing_key_that_is_not_the_contracts_is_refused(
    consortium: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = consortium(2).ledgers[0]
    ledger.members()
    monkeypatch.setattr(EventLog, "arguments", lambda *_, **__: iter(()))
    with pytest.raises(IntegrityError, match="hospital-1"):
        ledger.members()


def test_a_holdout_campaign_runs_to_its_end(consortium: Found) -> None:
    hospitals = consortium(4)
    number = hospitals.open()
    for slot in range(1, 5):
        assert len(run_slot(hospitals, number, slot)) == 7
    view = hospitals.ledgers[3].campaign(number)
    assert (view.state, view.head, view.accepted) == (CampaignState.COMPLETED, 4, 4)
    assert (view.slot, list(duties(view))) == (None, [])
    assert (view.spec_hash, view.genesis_hash) == (SPEC_HASH, GENESIS_HASH)
    assert [enrolment.cases for enrolment in view.enrolments] == [10, 11, 12, 13]
    model = hospitals.ledgers[0].model(number, 3)
    expected = candidate(3, 2)
    assert (model.name, model.partner) == ("hospital-3-3", hospitals.accounts[2])
    assert (model.parent, model.cases, model.evidence) == (2, 12, BETTER)
    assert model.weights_hash == expected.weights_hash
    assert model.ciphertext_hash == expected.ciphertext_hash
    assert model.capsule_hash == expected.capsule_hash


def test_a_reported_slot_is_accepted_once_its_record_is_confirmed(consortium: Found) -> None:
    hospitals = consortium(4)
    number = hospitals.open(mode=Mode.REPORTED)
    assert len(run_slot(hospitals, number, 1)) == 8
    slot = hospitals.ledgers[0].slot(number, 1)
    assert slot.state is SlotState.ACCEPTED
    assert slot.candidate is not None
    assert slot.candidate.ciphertext_hash == candidate(1, 0).ciphertext_hash


def test_a_degraded_candidate_is_skipped_and_the_next_slot_starts_from_the_head(
    consortium: Found,
) -> None:
    hospitals = consortium(4)
    number = hospitals.open()
    run_slot(hospitals, number, 1)
    run_slot(hospitals, number, 2, approve=False)
    skipped = hospitals.ledgers[0].slot(number, 2)
    assert (skipped.state, skipped.skip_reason) == (SlotState.SKIPPED, SkipReason.DEGRADED)
    assert skipped.ballot is not None
    assert (skipped.ballot.state, skipped.ballot.no) == (BallotState.REJECTED, 2)
    run_slot(hospitals, number, 3)
    assert hospitals.ledgers[0].model(number, 3).parent == 1
    restored = [e for e in hospitals.ledgers[0].history(number) if e.name == "HeadRestored"]
    assert [(e.arguments["from"], e.arguments["to"]) for e in restored] == [(2, 1)]


def test_an_open_ballot_shows_who_voted_what_and_whom_it_waits_for(consortium: Found) -> None:
    hospitals = consortium(4)
    number = hospitals.open()
    first, second, *others = hospitals.ledgers
    step = {"campaign": number, "slot": 1, "attempt": 1}
    first.request_fetch(**step, request_key_digest=digest("key"))
    second.cast_vote(**of_slot(second, BallotKind.FETCH, **step), approve=False)
    view = others[0].campaign(number)
    assert view.slot is not None
    assert view.slot.request_key_digest == digest("key")
    ballot = view.slot.ballot
    assert ballot is not None
    assert ballot.votes == (
        Vote(hospitals.accounts[0], approve=True),
        Vote(hospitals.accounts[1], approve=False),
    )
    voters = {duty.partner for duty in duties(view) if duty.deed is Deed.VOTE}
    assert voters == set(hospitals.accounts[2:])


def test_evidence_survives_the_fixed_point(consortium: Found) -> None:
    hospitals = consortium(3)
    number = hospitals.open()
    measured = Evidence(0.123456789, 0.999999999, 0.001234567890123456, 17, 4_000_000)
    step = {"campaign": number, "slot": 1, "attempt": 1}
    owner, voter, _ = hospitals.ledgers
    owner.request_fetch(**step, request_key_digest=digest("key"))
    voter.cast_vote(**of_slot(voter, BallotKind.FETCH, **step), approve=True)
    owner.report_opened(**step)
    owner.request_upload(**step, candidate=Candidate(0, digest(1), measured, digest(2), digest(3)))
    voter.cast_vote(**of_slot(voter, BallotKind.UPLOAD, **step), approve=True, evidence=measured)
    slot = owner.slot(number, 1)
    assert slot.candidate is not None
    assert slot.ballot is not None
    assert slot.candidate.evidence == measured
    assert slot.ballot.votes[1].evidence == measured


@pytest.mark.parametrize(
    "evidence",
    [
        Evidence(float("nan"), 0.5, 0.1, 1, 1),
        Evidence(0.5, 1.5, 0.1, 1, 1),
        Evidence(0.5, 0.5, -0.1, 1, 1),
        Evidence(0.5, 0.5, float("inf"), 1, 1),
    ],
)
def test_evidence_that_is_no_measurement_is_not_sent(consortium: Found, evidence: Evidence) -> None:
    ledger = consortium(2).ledgers[0]
    with pytest.raises(DataError):
        ledger.cast_vote(
            ballot=BallotId(BallotKind.UPLOAD, 1, 1, 1, ledger.account or ""),
            subject=bytes(32),
            approve=True,
            evidence=evidence,
        )


def test_a_hash_of_the_wrong_length_is_not_sent(consortium: Found) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    with pytest.raises(UsageError, match="requestFetch"):
        hospitals.ledgers[0].request_fetch(
            campaign=number, slot=1, attempt=1, request_key_digest=bytes(33)
        )


def test_a_ledger_without_an_account_reads_and_does_not_write(consortium: Found) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    reader = EthereumLedger.connect(hospitals.url, hospitals.address, chain_id=31337)
    assert reader.campaign(number) == hospitals.ledgers[0].campaign(number)
    assert reader.account is None
    with pytest.raises(UsageError, match="only be read"):
        reader.close_expired(campaign=number, slot=0)


def _refused(number: int) -> dict[str, Callable[[Consortium], object]]:
    """A call that the contract refuses while slot 1's fetch ballot is open, by its error."""
    step = {"campaign": number, "slot": 1, "attempt": 1}
    record = candidate(1, 0)
    key = digest("key")
    return {
        "NotYourTurn": lambda c: c.ledgers[1].request_fetch(**step, request_key_digest=key),
        "WrongState": lambda c: c.ledgers[0].report_opened(**step),
        "WrongSlot": lambda c: c.ledgers[0].request_fetch(
            campaign=number, slot=2, attempt=1, request_key_digest=key
        ),
        "WrongAttempt": lambda c: c.ledgers[0].request_fetch(
            campaign=number, slot=1, attempt=2, request_key_digest=key
        ),
        "NoCampaign": lambda c: c.ledgers[0].request_fetch(
            campaign=99, slot=1, attempt=1, request_key_digest=key
        ),
        "AlreadyVoted": lambda c: c.ledgers[0].cast_vote(
            **of_slot(c.ledgers[0], BallotKind.FETCH, **step), approve=False, evidence=None
        ),
        "NoBallot": lambda c: c.ledgers[1].cast_vote(
            **of_slot(c.ledgers[1], BallotKind.UPLOAD, **step), approve=True, evidence=None
        ),
        "DeadlineNotPassed": lambda c: c.ledgers[2].close_expired(campaign=number, slot=1),
        "WrongCampaignState": lambda c: c.ledgers[0].enrol(
            campaign=number, cases=5, data_commitment=key, evaluator=True
        ),
        "NoModel": lambda c: c.ledgers[0].model(number, 1),
        "NoSlot": lambda c: c.ledgers[0].slot(number, 77),
        "WrongState ": lambda c: c.ledgers[0].request_upload(**step, candidate=record),
    }


@pytest.mark.parametrize("name", sorted(_refused(1)))
def test_a_refusal_has_its_name_and_changes_nothing(consortium: Found, name: str) -> None:
    hospitals = consortium(3)
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(
        campaign=number, slot=1, attempt=1, request_key_digest=digest("key")
    )
    before = hospitals.ledgers[0].history(number)
    with pytest.raises(LedgerRefusal) as caught:
        _refused(number)[name](hospitals)
    assert caught.value.name == name.strip()
    assert caught.value.hint
    assert "{" not in caught.value.what
    assert hospitals.ledgers[0].history(number) == before


@pytest.mark.parametrize(
    ("name", "account", "applicant"),
    [
        ("DuplicateMember", "", "newcomer"),
        ("DuplicateMember", "0x" + "11" * 20, "hospital-2"),
        ("BadName", "0x" + "11" * 20, "No Name"),
        ("BadAccount", "0x" + "00" * 20, "nobody"),
    ],
)
def test_an_applicant_that_is_none_is_refused_by_name(
    consortium: Found, name: str, account: str, applicant: str
) -> None:
    hospitals = consortium(2)
    with pytest.raises(LedgerRefusal) as caught:
        hospitals.ledgers[0].propose_admission(
            account=account or hospitals.accounts[1], name=applicant
        )
    assert caught.value.name == name
    assert "{" not in caught.value.what


def test_the_last_two_members_stay(consortium: Found) -> None:
    hospitals = consortium(2)
    with pytest.raises(LedgerRefusal) as caught:
        hospitals.ledgers[0].propose_removal(account=hospitals.accounts[1])
    assert caught.value.name == "BadMembers"
    assert "1 members" in caught.value.what


def test_an_outsider_changes_nothing(consortium: Found) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    outsider = EthereumLedger.connect(
        hospitals.url, hospitals.address, chain_id=31337, account=digest("outsider")
    )
    before = hospitals.ledgers[0].campaign(number)
    with pytest.raises(LedgerRefusal) as caught:
        outsider.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest("key"))
    assert caught.value.name in {"NotAMember", "NotAPartner", "NotYourTurn"}
    assert outsider.account is not None
    assert outsider.account in caught.value.what
    assert hospitals.ledgers[0].campaign(number).slot == before.slot


def test_a_repeat_with_other_content_is_refused(consortium: Found) -> None:
    hospitals = consortium(3)
    owner, voter, _ = hospitals.ledgers
    number = hospitals.open()
    step = {"campaign": number, "slot": 1, "attempt": 1}
    owner.request_fetch(**step, request_key_digest=digest("key"))
    with pytest.raises(LedgerRefusal):
        owner.request_fetch(**step, request_key_digest=digest("another key"))
    voter.cast_vote(**of_slot(voter, BallotKind.FETCH, **step), approve=True)
    with pytest.raises(LedgerRefusal):
        voter.cast_vote(**of_slot(voter, BallotKind.FETCH, **step), approve=False, evidence=None)
    owner.report_opened(**step)
    owner.request_upload(**step, candidate=candidate(1, 0))
    with pytest.raises(LedgerRefusal):
        owner.request_upload(**step, candidate=candidate(2, 0))


def test_opening_the_same_spec_again_continues_the_open_campaign(consortium: Found) -> None:
    hospitals = consortium(2)

    def start() -> tuple[int, Receipt]:
        return hospitals.ledgers[0].open_campaign(
            spec_hash=SPEC_HASH,
            genesis_hash=GENESIS_HASH,
            order=hospitals.accounts,
            cycles=1,
            quorum=None,
            mode=Mode.HOLDOUT,
            deadlines=DeadlineSpec(),
        )

    number, first = start()
    assert (start(), first.repeated) == (
        (number, Receipt(first.transaction, first.block, first.gas, first.timestamp, True)),
        False,
    )
    hospitals.open()
    for slot in (1, 2):
        run_slot(hospitals, number, slot, approve=False)
    assert hospitals.ledgers[0].campaign(number).state is CampaignState.FAILED
    assert start()[0] == number + 1


def test_one_account_in_many_threads_votes_once(consortium: Found) -> None:
    hospitals = consortium(4)
    number = hospitals.open()
    step = {"campaign": number, "slot": 1, "attempt": 1}
    hospitals.ledgers[0].request_fetch(**step, request_key_digest=digest("key"))
    with ThreadPoolExecutor(6) as pool:
        votes = [
            pool.submit(ledger.cast_vote, **of_slot(ledger, BallotKind.FETCH, **step), approve=True)
            for ledger in hospitals.ledgers[1:3] * 3
        ]
    receipts = [vote.result() for vote in votes]
    assert sum(not receipt.repeated for receipt in receipts) == 2
    cast = [e for e in hospitals.ledgers[0].history(number) if e.name == "VoteCast"]
    assert len(cast) == 2
    assert open_slot(hospitals, number) is SlotState.FETCH_GRANTED


def test_what_a_block_says_is_read_once_and_anew_after_the_next_or_another_one(
    consortium: Found, devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    reader = hospitals.ledgers[1]
    asked: list[bytes] = []
    ask = reader._node.call

    def counted(to: str, data: bytes, block: BlockRef) -> bytes:
        asked.append(data)
        return ask(to, data, block)

    monkeypatch.setattr(reader._node, "call", counted)
    first = reader.slot(number, 1)
    assert asked
    asked.clear()
    assert reader.slot(number, 1) == first
    assert asked == []

    snapshot = call(devnet.url, "evm_snapshot")
    step = {"campaign": number, "slot": 1, "attempt": 1}
    hospitals.ledgers[0].request_fetch(**step, request_key_digest=digest("key"))
    assert reader.slot(number, 1).state is SlotState.FETCH_REQUESTED
    # Another block takes the place of the one that had the request.
    call(devnet.url, "evm_revert", snapshot)
    call(devnet.url, "evm_increaseTime", 7)
    call(devnet.url, "evm_mine")
    assert reader.slot(number, 1).state is SlotState.WAITING


def test_an_expired_slot_is_closed_by_any_member_and_only_once(
    consortium: Found, devnet: Devnet
) -> None:
    hospitals = consortium(3)
    number = hospitals.open(deadlines=DeadlineSpec(fetch_request=50))
    one, two, three = hospitals.ledgers
    travel(devnet.url, 51)
    assert [duty.deed for duty in duties(one.campaign(number))] == [Deed.CLOSE] * 3
    with pytest.raises(LedgerRefusal) as late:
        one.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest("key"))
    assert late.value.name == "DeadlinePassed"
    closed = two.close_expired(campaign=number, slot=1)
    again = three.close_expired(campaign=number, slot=1)
    assert (again.repeated, again.transaction) == (True, closed.transaction)
    slot = one.slot(number, 1)
    assert (slot.state, slot.skip_reason) == (SlotState.SKIPPED, SkipReason.DEADLINE_PASSED)
    assert open_slot(hospitals, number) is SlotState.WAITING


def test_an_expired_enrolment_is_closed_only_once(consortium: Found, devnet: Devnet) -> None:
    hospitals = consortium(2)
    one, two = hospitals.ledgers
    number, _ = one.open_campaign(
        spec_hash=hashlib.sha256(b"nobody comes").digest(),
        genesis_hash=GENESIS_HASH,
        order=hospitals.accounts,
        cycles=1,
        quorum=2,
        mode=Mode.HOLDOUT,
        deadlines=DeadlineSpec(enrol=10),
    )
    travel(devnet.url, 11)
    assert not one.close_expired(campaign=number, slot=0).repeated
    assert two.close_expired(campaign=number, slot=0).repeated
    assert two.campaign(number).state is CampaignState.FAILED


def test_history_has_sender_cost_and_time_of_every_event(consortium: Found) -> None:
    hospitals = consortium(3)
    number = hospitals.open()
    receipts = run_slot(hospitals, number, 1)
    history = hospitals.ledgers[1].history(number)
    assert [e.name for e in history][:2] == ["CampaignOpened", "Enrolled"]
    assert [(e.block, e.index) for e in history] == sorted((e.block, e.index) for e in history)
    costs = {e.transaction: (e.gas, e.timestamp) for e in history}
    for receipt in receipts:
        assert costs[receipt.transaction] == (receipt.gas, receipt.timestamp)
    votes = [e for e in history if e.name == "VoteCast"]
    assert all(e.sender == e.arguments["account"] for e in votes)
    assert votes[-1].arguments["evidence"] == BETTER
    assert votes[-1].arguments["kind"] is BallotKind.UPLOAD


def test_history_is_the_same_in_pages_of_any_size(
    consortium: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospitals = consortium(3)
    number = hospitals.open()
    run_slot(hospitals, number, 1)
    whole = hospitals.ledgers[0].history(number)
    monkeypatch.setattr("cdistrim.ledger.events._PAGE_BLOCKS", 3)
    fresh = EthereumLedger.connect(hospitals.url, hospitals.address, chain_id=31337)
    assert fresh.history(number) == whole


def test_a_careful_reader_sees_a_block_once_others_are_on_top(
    consortium: Found, devnet: Devnet
) -> None:
    hospitals = consortium(2)
    careful = EthereumLedger.connect(
        hospitals.url, hospitals.address, chain_id=31337, confirmations=2
    )
    call(devnet.url, "anvil_mine", "0x2")
    number = hospitals.open()
    run_slot(hospitals, number, 1, approve=False)
    assert careful.campaign(number).slot == careful.slot(number, 1)
    assert careful.history(number)[-1].name != "SlotOpened"
    call(devnet.url, "anvil_mine", "0x2")
    assert careful.campaign(number).slot == hospitals.ledgers[0].campaign(number).slot
    assert careful.history(number) == hospitals.ledgers[0].history(number)


def test_a_write_waits_for_its_confirmations(consortium: Found, devnet: Devnet) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    owner = EthereumLedger.connect(
        hospitals.url,
        hospitals.address,
        chain_id=31337,
        account=hospitals.keys[0],
        confirmations=2,
        timeout=10,
    )
    with ThreadPoolExecutor(1) as pool:
        write = pool.submit(
            owner.request_fetch,
            campaign=number,
            slot=1,
            attempt=1,
            request_key_digest=digest("key"),
        )
        with pytest.raises(TimeoutError):
            write.result(timeout=0.5)
        call(devnet.url, "anvil_mine", "0x2")
        assert not write.result(timeout=5).repeated
