"""A minority of partners (at most n - quorum) opens no model, passes no vote, blocks nothing."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable

import pytest
from eth_account import Account

from cdistrim import custody, grants
from cdistrim.devnet import Devnet
from cdistrim.envelope import belongs
from cdistrim.errors import LedgerRefusal, NotReleasedError, StoreUnavailableError
from cdistrim.iteration import IterationRef, IterationSession
from cdistrim.ledger import EthereumLedger
from cdistrim.leftovers import clear_when_idle
from cdistrim.messages import OfferedKey
from cdistrim.opening import Gathered, gather, open_together
from cdistrim.policy import KEY_REST_S
from cdistrim.protocol import (
    BallotId,
    BallotKind,
    BallotState,
    BallotView,
    CampaignState,
    ModelRecord,
    RestoreReason,
    SkipReason,
    SlotState,
)
from cdistrim.recoverability import stranded
from cdistrim.releasing import release_share
from cdistrim.resharing import due_for_resharing
from cdistrim.restore import close_if_expired
from cdistrim.rotation import publish_after_loss, rotate
from cdistrim.shares import recover
from cdistrim.site import Site
from cdistrim.spec import DeadlineSpec
from cdistrim.voting import answer_ballot
from cdistrim.weights import weights_hash
from tests.attacks.burglars import Burglar
from tests.chain import BETTER, WORSE, Consortium, candidate, digest
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper, false_capsule

Simulate = Callable[..., SimulatedConsortium]
SIZE, QUORUM = 5, 3
MINORITY = SIZE - QUORUM
STRANGER = str(Account.from_key(digest("a stranger's key")).address)


# --- opening a model ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def five(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    """Two models of five partners are accepted, and every site has cleared up; to be looked at."""
    directory = tmp_path_factory.mktemp("five")
    steps = Stepper(SimulatedConsortium(directory, devnet.url, size=SIZE))
    steps.accept()
    steps.accept()
    for site in steps.sites.values():
        clear_when_idle(site)
    return steps


@pytest.mark.parametrize("slot", [1, 2])
def test_fewer_partners_than_the_quorum_open_nothing_with_all_that_was_ever_stored(
    five: Stepper, slot: int
) -> None:
    model, store = five.any.ledger.model(1, slot), five.simulated.consortium.store
    for few in itertools.combinations(five.sites.values(), MINORITY):
        assert not Burglar(store, few).opens(five.any, model)


@pytest.mark.parametrize("slot", [1, 2])
def test_as_many_partners_as_the_quorum_do(five: Stepper, slot: int) -> None:
    model, store = five.any.ledger.model(1, slot), five.simulated.consortium.store
    for enough in itertools.combinations(five.sites.values(), QUORUM):
        assert Burglar(store, enough).opens(five.any, model)


def test_an_accomplice_that_releases_before_the_grant_does_not_open_the_head_for_the_owner(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=SIZE)
    for site in steps.sites.values():
        clear_when_idle(site)
    session, head = steps.session(), steps.any.ledger.model(1, 1)
    store = steps.simulated.consortium.store
    session.request_token()
    owner, accomplice = session.site, steps.sites["hospital-5"]
    assert owner is not accomplice

    # It has a share, too, and is asked for by a request that is on the ledger; nothing is granted.
    assert not Burglar(store, [owner, accomplice]).opens(owner, head)
    assert steps.release() == []

    steps.vote()
    assert steps.release() != []
    assert Burglar(store, [owner]).opens(owner, head)
    session.close()


def test_who_releases_nothing_does_not_keep_the_head_closed(after_slots: AfterSlots) -> None:
    steps = after_slots(size=SIZE)
    session = steps.ask_fetch()
    session.fetch()
    session.lock()
    honest = [site for site in steps.sites.values() if site is not session.site][MINORITY:]
    assert len(honest) == QUORUM - 1
    assert release_share(honest[0], steps.view())
    with pytest.raises(NotReleasedError, match=f"2 good shares .* {QUORUM} are needed"):
        session.decrypt()

    assert release_share(honest[1], steps.view())
    session.decrypt()
    assert session.head is not None
    session.close()


# --- capsules that a partner adds -----------------------------------------------------------------


@pytest.mark.parametrize("whose", ["of all partners", "of itself and the owner"])
def test_a_capsule_of_another_key_does_not_keep_the_head_closed(
    after_slots: AfterSlots, whose: str
) -> None:
    steps = after_slots()
    mallory, head = steps.sites["hospital-3"], steps.any.ledger.model(1, 1)
    session = steps.session()
    everybody = list(steps.sites.values())
    holders = everybody if whose == "of all partners" else [mallory, session.site]
    false = false_capsule(mallory, holders, 2)
    session.request_token()
    steps.vote()
    assert release_share(mallory, steps.view())
    session.fetch()
    session.lock()
    waiting = threading.Thread(target=session.await_shares)
    waiting.start()
    # With the owner's own, the shares of the false capsule are enough: they open nothing.
    time.sleep(0.5)
    enough = next(one for one in gathered(session, head) if one.capsule == false)
    assert enough.enough

    release_share(steps.sites["hospital-1"], steps.view())
    waiting.join(30)
    session.decrypt()

    assert session.head is not None
    log = (session.site.directory / "log" / "site.log").read_text()
    assert f"{mallory.account} dealt badly" in log
    opened = open_together([steps.sites["hospital-1"], mallory], 1, head)
    assert weights_hash(opened) == head.weights_hash
    session.close()


def test_a_capsule_of_another_key_does_not_keep_the_heads_key_from_being_shared_anew(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(cycles=2)
    rotating, mallory = steps.sites["hospital-1"], steps.sites["hospital-3"]
    rotate(rotating)
    steps.sites["hospital-1"] = Site(rotating.directory)
    assert len(due_for_resharing(mallory, steps.view())) == 1
    false = false_capsule(mallory, steps.sites.values(), 2)
    assert due_for_resharing(mallory, steps.view()) == []  # Who has not the key can't tell.

    steps.open_head().close()  # Its owner has the key and can.

    head = mallory.ledger.model(1, 1)
    newest = next(custody.capsules(mallory, 1, head))
    assert newest != false
    assert newest.holders.keys() == false.holders.keys()
    others = [steps.sites[name] for name in ("hospital-1", "hospital-3")]
    shares = [custody.own_share(site, 1, head, newest) for site in others]
    key = recover(shares, 2)
    context = custody.record_context(mallory, 1, head)
    assert belongs(custody.ciphertext(mallory, 1, head), key, context)


def gathered(session: IterationSession, head: ModelRecord) -> list[Gathered]:
    """What was released to the session's slot, by capsule."""
    at = {"slot": session.ref.slot, "attempt": session.ref.attempt}
    return gather(session.site, 1, head, **at)


def test_a_capsule_of_another_key_does_not_make_a_removal_look_harmless(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=4)
    lost, leaving = steps.sites["hospital-3"], steps.sites["hospital-4"]
    (lost.directory / "keys" / "sealing.key").unlink()
    publish_after_loss(Site(lost.directory))
    steps.sites["hospital-3"] = Site(lost.directory)
    steps.any.ledger.propose_removal(account=leaving.account)
    honest, mallory = steps.sites["hospital-1"], steps.sites["hospital-2"]
    assert [one.model for one in stranded(honest, leaving.account)] == ["hospital-1-1"]

    false_capsule(mallory, [site for site in steps.sites.values() if site is not leaving], 2)

    assert [one.model for one in stranded(honest, leaving.account)] == ["hospital-1-1"]


@pytest.mark.usefixtures("rights_by_prefix")
def test_junk_wherever_a_partner_may_write_keeps_nobody_from_anything(
    after_slots: AfterSlots,
) -> None:
    """A site reads of each author the first thousand objects of a kind; names are the author's."""
    steps = after_slots(size=4)
    mallory, holder = steps.sites["hospital-4"], steps.sites["hospital-1"]
    session = steps.ask_fetch()
    places = {
        *("releases/2-1", "offers/2-1", "openings/2-1", "requests/2-1"),
        *(f"grants/2-1/{site.account.lower()}" for site in steps.sites.values()),
        *(f"{kind}/hospital-{n}-{n}" for kind in ("models", "capsules", "shares") for n in (1, 2)),
    }
    for place in places:
        folder = steps.simulated.consortium.store / steps.place("hospital-4", place)
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(custody.MOST_MESSAGES + 1):
            (folder / f"{number:064x}").write_bytes(b"junk")
    elsewhere = steps.place("hospital-1", "releases", "2-1")
    with pytest.raises(StoreUnavailableError, match="PermissionError"):
        mallory.store.put(elsewhere, b"junk")

    assert release_share(holder, steps.view())
    steps.release()
    steps.offer()
    session.fetch()
    session.lock()
    session.await_shares()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    for name in ("hospital-1", "hospital-3"):
        answer_ballot(steps.sites[name], steps.view())
    assert session.slot().state is SlotState.ACCEPTED
    session.close()


# --- passing a vote -------------------------------------------------------------------------------


def asked_upload(five: Consortium) -> int:
    """The first slot's candidate waits for votes."""
    number = five.open()
    owner, at = five.ledgers[0], {"campaign": number, "slot": 1, "attempt": 1}
    owner.request_fetch(**at, request_key_digest=digest("request"))
    for voter in five.ledgers[1:QUORUM]:
        cast(five, voter, BallotKind.FETCH, yes=True)
    owner.report_opened(**at)
    owner.request_upload(**at, candidate=candidate(1, 0))
    return number


def open_ballot(five: Consortium, kind: BallotKind) -> BallotView:
    """The ballot of this kind, the first slot's or among members."""
    ledger = five.ledgers[0]
    for proposal in ledger.proposals():
        if proposal.ballot.kind is kind:
            return proposal.ballot
    found = ledger.ballot(BallotId(kind, 1, 1, 1, five.accounts[0]))
    assert found is not None
    return found


def cast(five: Consortium, voter: EthereumLedger, kind: BallotKind, *, yes: bool) -> None:
    """One vote in it."""
    ballot = open_ballot(five, kind)
    evidence = (BETTER if yes else WORSE) if kind is BallotKind.UPLOAD else None
    voter.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=yes, evidence=evidence)


def ask(five: Consortium, kind: BallotKind) -> None:
    """The first member asks for something; that is its yes."""
    first = five.ledgers[0]
    if kind is BallotKind.FETCH:
        number = five.open()
        first.request_fetch(
            campaign=number, slot=1, attempt=1, request_key_digest=digest("request")
        )
    elif kind is BallotKind.UPLOAD:
        asked_upload(five)
    elif kind is BallotKind.ADMISSION:
        first.propose_admission(account=STRANGER, name="stranger")
    else:
        first.propose_removal(account=five.accounts[-1])


def happened(five: Consortium, kind: BallotKind) -> bool:
    """Whether what was asked for is so."""
    ledger = five.ledgers[0]
    members = {member.account for member in ledger.members()}
    if kind is BallotKind.ADMISSION:
        return STRANGER in members
    if kind is BallotKind.REMOVAL:
        return five.accounts[-1] not in members
    return ledger.slot(1, 1).state in (SlotState.FETCH_GRANTED, SlotState.ACCEPTED)


@pytest.mark.parametrize(
    "kind", [BallotKind.FETCH, BallotKind.UPLOAD, BallotKind.ADMISSION, BallotKind.REMOVAL]
)
def test_a_minority_passes_no_ballot_however_often_it_votes(
    consortium: Callable[[int], Consortium], kind: BallotKind
) -> None:
    five = consortium(SIZE)
    ask(five, kind)
    accomplice = five.ledgers[1]
    cast(five, accomplice, kind, yes=True)
    ballot = open_ballot(five, kind)
    with pytest.raises(LedgerRefusal):
        accomplice.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=False)
    evidence = BETTER if kind is BallotKind.UPLOAD else None
    again = [
        ledger.sign_vote(
            ballot=ballot.id,
            subject=ballot.subject,
            approve=True,
            deadline=ledger.now() + 3600,
            evidence=evidence,
        )
        for ledger in five.ledgers[:MINORITY]
    ]
    accomplice.cast_votes(ballot=ballot.id, subject=ballot.subject, votes=again)

    assert open_ballot(five, kind).yes == MINORITY
    assert not happened(five, kind)

    cast(five, five.ledgers[2], kind, yes=True)
    assert happened(five, kind)


def test_a_minority_restores_no_head_that_is_all_right(after_slots: AfterSlots) -> None:
    steps = after_slots(size=SIZE)
    session = steps.session()
    number, attempt = session.slot().number, session.slot().attempt
    liars = [session.site, steps.sites["hospital-5"]]
    liars[0].ledger.request_restore(
        campaign=1, slot=number, attempt=attempt, target=0, reason=RestoreReason.UNOPENABLE
    )
    (ballot,) = steps.view().requests
    liars[1].ledger.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=True)

    steps.answer_requests()

    assert steps.view().head == 1
    now = steps.any.ledger.ballot(ballot.id)
    assert now is not None
    assert (now.yes, now.no, now.state) == (MINORITY, QUORUM, BallotState.REJECTED)
    session.close()


# --- blocking a campaign --------------------------------------------------------------------------


def test_a_silent_and_a_naysaying_partner_do_not_keep_a_campaign_from_completing(
    simulate: Simulate,
) -> None:
    """Of five partners one does nothing at all, one says no to everything and releases nothing."""
    steps = Stepper(simulate(size=SIZE))
    silent, naysayer = steps.sites.pop("hospital-2"), steps.sites.pop("hospital-4")
    absent = {silent.account, naysayer.account}
    began = steps.view().now

    while (view := steps.view()).state is CampaignState.RUNNING:
        assert view.slot is not None
        if view.slot.owner in absent:
            steps.simulated.travel(DeadlineSpec().fetch_request + 1)
            ref = IterationRef(1, view.slot.number, view.slot.attempt)
            assert close_if_expired(steps.any, ref)
            continue
        session = steps.session()
        session.request_token()
        say_no(steps, naysayer)
        steps.vote()
        steps.release()
        steps.offer()
        session.fetch()
        session.lock()
        session.decrypt()
        session.train()
        steps.ask_upload(session)
        say_no(steps, naysayer)
        steps.vote()
        assert session.slot().state is SlotState.ACCEPTED
        session.close()

    assert view.state is CampaignState.COMPLETED
    assert view.accepted == QUORUM
    reasons = [slot.skip_reason for slot in steps.simulated.slots()]
    assert reasons.count(SkipReason.DEADLINE_PASSED) == MINORITY
    # Nothing but the two deadlines was waited for; the rest is what this test itself took.
    assert view.now - began < MINORITY * DeadlineSpec().fetch_request + 600


def say_no(steps: Stepper, naysayer: Site) -> None:
    """A vote against whatever is asked."""
    slot = steps.view().slot
    assert slot is not None
    assert slot.ballot is not None
    evidence = WORSE if slot.ballot.kind is BallotKind.UPLOAD else None
    naysayer.ledger.cast_vote(
        ballot=slot.ballot.id, subject=slot.ballot.subject, approve=False, evidence=evidence
    )


def test_more_than_a_minority_can_refuse_a_fetch(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=SIZE))
    session = steps.session()
    session.request_token()
    for name in ("hospital-2", "hospital-3"):
        say_no(steps, steps.sites[name])
    assert session.slot().state is SlotState.FETCH_REQUESTED
    say_no(steps, steps.sites["hospital-4"])
    assert session.slot().skip_reason is SkipReason.FETCH_REFUSED
    session.close()


def test_keys_that_are_none_keep_nobody_from_sealing_or_granting(simulate: Simulate) -> None:
    """What a partner publishes and offers only it has to be able to use."""
    steps = Stepper(simulate(size=4))
    mallory = steps.sites["hospital-4"]
    mallory.ledger.publish_key(sealing_key=b"this is no key")
    steps.simulated.travel(KEY_REST_S + 1)
    session = steps.open_head()
    session.train()
    slot = session.slot()
    where = grants.offers_prefix(mallory, mallory.account, 1, 1, 1)
    for public in (bytes(1216), b"\xff" * 1216):
        offer = OfferedKey(
            model=custody.context_of(mallory, 1, slot.number, slot.attempt, slot.owner),
            evaluator=mallory.account,
            public=public,
            head=True,
        )
        mallory.store.put(where, offer.signed(mallory.keys).to_bytes())
    del steps.sites["hospital-4"]

    steps.ask_upload(session)
    steps.vote()

    assert session.slot().state is SlotState.ACCEPTED
    session.close()
    steps.accept()
    head = steps.any.ledger.model(1, 2)
    trio = list(steps.sites.values())
    assert weights_hash(open_together(trio, 1, head)) == head.weights_hash
