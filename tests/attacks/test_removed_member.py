"""A removed member: opens nothing that is uploaded after its removal, and does not count any more.

It keeps its keys, its whole directory, all that was ever put in the store, and access to both store
and chain. What it opened before stays open to it: nobody can take that back.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim import custody
from cdistrim.enrolment import join
from cdistrim.errors import LedgerRefusal
from cdistrim.grants import has_offered, offer_key
from cdistrim.iteration import IterationSession
from cdistrim.leftovers import clear_when_idle, forget_evaluations
from cdistrim.opening import gather
from cdistrim.protocol import BallotId, BallotKind, SkipReason, SlotState
from cdistrim.releasing import release_share
from cdistrim.site import Site
from tests.attacks.burglars import Burglar, stolen
from tests.factories import make_site_data
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper, junk_release

Simulate = Callable[..., SimulatedConsortium]
LEAVING = "hospital-4"


def remove(steps: Stepper, name: str = LEAVING, *, apply: bool = True) -> Site:
    """One of four members is removed by a majority; its site, which goes on by itself."""
    leaving = steps.sites[name]
    steps.any.ledger.propose_removal(account=leaving.account)
    steps.decide(name)
    assert leaving.account not in {member.account for member in steps.any.ledger.members()}
    if apply:
        steps.any.ledger.apply_removals(campaign=1)
    return steps.sites.pop(name)


def open_head(steps: Stepper) -> IterationSession:
    """To "training", once holders and evaluators have done what they owe."""
    session = steps.open_head()
    session.train()
    return session


def test_it_opens_nothing_that_is_uploaded_after_its_removal_not_even_with_an_accomplice(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=4, cycles=2)
    clear_when_idle(steps.sites[LEAVING])
    first, store = steps.any.ledger.model(1, 1), steps.simulated.consortium.store
    # It evaluated the first model, and kept a copy of its disk from then.
    session = open_head(steps)
    steps.ask_upload(session)
    kept = stolen(steps.sites[LEAVING], "kept")
    steps.vote()
    session.close()
    second = steps.any.ledger.model(1, 2)
    gone = remove(steps)
    offer_key(gone, steps.view())
    steps.accept()
    steps.accept()
    for site in steps.sites.values():
        clear_when_idle(site)
    assert [slot.state for slot in steps.simulated.slots()][:4] == [
        *(SlotState.ACCEPTED, SlotState.ACCEPTED, SlotState.ACCEPTED),
        SlotState.SKIPPED,
    ]

    accepted = [slot.candidate for slot in steps.simulated.slots() if slot.number > 2]
    later = [record for record in accepted if record is not None]
    assert len(later) == 2
    others = list(steps.sites.values())
    for record in later:
        assert not Burglar(store, [gone, kept]).opens(gone, record)
        # With one of those who stay it is what that one is: one of two that are needed.
        for accomplice in others:
            assert not Burglar(store, [gone, kept, accomplice]).opens(gone, record)
        assert Burglar(store, others[:2]).opens(gone, record)
    # What it opened as an evaluator stays open to it, if it kept the key; of a model before, it
    # holds one share of three.
    clear_when_idle(gone)
    assert Burglar(store, [kept]).opens(gone, second)
    assert not Burglar(store, [gone]).opens(gone, first)
    assert Burglar(store, [gone, *others[:2]]).opens(gone, first)


@pytest.mark.parametrize("applied", [False, True], ids=["not yet applied", "applied"])
def test_a_key_that_it_offered_before_is_granted_nothing_afterwards(
    simulate: Simulate, applied: bool
) -> None:
    steps = Stepper(simulate(size=4))
    session = open_head(steps)
    leaving = steps.sites[LEAVING]
    slot = session.slot()
    assert has_offered(leaving, 1, slot.number, slot.attempt)
    remove(steps, apply=applied)
    kept = stolen(leaving, "kept")
    session.evaluate()
    session.encrypt()
    session.deposit()
    if not applied:
        steps.any.ledger.apply_removals(campaign=1)
    session.request_upload()
    session.answer_offers(session.slot())
    session.release_weights()
    candidate = session.slot().candidate
    assert candidate is not None
    store = steps.simulated.consortium.store

    assert not Burglar(store, [leaving, kept]).opens(leaving, candidate)
    assert Burglar(store, [steps.sites["hospital-2"]]).opens(leaving, candidate)
    steps.vote()
    assert session.slot().state is SlotState.ACCEPTED
    session.close()


def test_its_votes_are_refused_whoever_hands_them_in(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=4))
    leaving = steps.sites[LEAVING]
    session = steps.session()
    session.request_token()
    ballot = session.slot().ballot
    assert ballot is not None
    deadline = steps.view().now + 30 * 24 * 3600
    signed = leaving.ledger.sign_vote(
        ballot=ballot.id, subject=ballot.subject, approve=True, deadline=deadline
    )
    gone = remove(steps, apply=False)
    honest = steps.sites["hospital-2"].ledger

    with pytest.raises(LedgerRefusal) as own:
        gone.ledger.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=True)
    assert own.value.name == "NotAMember"
    with pytest.raises(LedgerRefusal) as pending:
        honest.cast_votes(ballot=ballot.id, subject=ballot.subject, votes=[signed])
    assert pending.value.name == "RemovalsPending"
    honest.apply_removals(campaign=1)
    handed_in = honest.cast_votes(ballot=ballot.id, subject=ballot.subject, votes=[signed])
    assert handed_in.repeated  # The ballot is closed, so nothing was sent.
    assert not [event for event in honest.history(1) if event.name == "VoteCast"]

    # Asked anew, the slot has another ballot, in which it has no vote.
    slot = session.slot()
    assert (slot.state, slot.attempt) == (SlotState.WAITING, 2)
    session.close()
    again = steps.session()
    again.request_token()
    asked = again.slot().ballot
    assert asked is not None
    assert gone.account not in asked.electorate
    anew = gone.ledger.sign_vote(
        ballot=asked.id, subject=asked.subject, approve=True, deadline=deadline
    )
    with pytest.raises(LedgerRefusal) as none:
        honest.cast_votes(ballot=asked.id, subject=asked.subject, votes=[anew])
    assert none.value.name == "NoVote"
    mine = honest.sign_vote(ballot=asked.id, subject=asked.subject, approve=True, deadline=deadline)
    honest.cast_votes(ballot=asked.id, subject=asked.subject, votes=[mine])
    assert again.slot().state is SlotState.FETCH_GRANTED
    again.close()


def test_what_it_releases_is_not_counted_once_keys_are_shared_anew(after_slots: AfterSlots) -> None:
    steps = after_slots(size=4, cycles=2)
    gone = remove(steps)
    steps.accept()  # Its owner shares the head's key anew, among those who stay.
    head = steps.any.ledger.model(1, steps.view().head)
    session = steps.ask_fetch()

    assert not release_share(gone, steps.view())
    newest = next(custody.capsules(gone, 1, head))
    assert not newest.holds(gone.account)
    slot = session.slot()
    forged = junk_release(gone, newest, slot)
    where = custody.prefix(gone, gone.account, 1, "releases", f"{slot.number}-{slot.attempt}")
    gone.store.put(where, forged.to_bytes())
    gathered, *_ = gather(session.site, 1, head, slot=slot.number, attempt=slot.attempt)
    assert gone.account.lower() not in {*gathered.good, *gathered.bad, *gathered.missing}
    assert not gathered.enough

    assert steps.release() == [name for name in steps.sites if name != session.site.name]
    assert gather(session.site, 1, head, slot=slot.number, attempt=slot.attempt)[0].enough
    session.close()


@pytest.mark.parametrize("removed", [False, True], ids=["who stays", "who was removed"])
def test_to_a_fetch_that_was_granted_before_the_removal_nothing_is_released(
    after_slots: AfterSlots, removed: bool
) -> None:
    steps = after_slots(size=4)
    session = steps.ask_fetch()
    assert session.slot().state is SlotState.FETCH_GRANTED
    owner = session.site
    head, store = owner.ledger.model(1, 1), steps.simulated.consortium.store
    forget_evaluations(owner)
    if removed:
        remove(steps, owner.name, apply=False)

    assert len(steps.release()) == (0 if removed else 3)
    assert Burglar(store, [owner]).opens(owner, head) is not removed

    if removed:
        steps.any.ledger.apply_removals(campaign=1)
        assert steps.release() == []
        assert not Burglar(store, [owner]).opens(owner, head)
        assert steps.any.ledger.slot(1, 2).skip_reason is SkipReason.OWNER_REMOVED
    session.close()


def test_it_does_not_come_back_by_itself(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=4))
    steps.session().request_token()
    gone = remove(steps)
    with pytest.raises(LedgerRefusal) as refused:
        gone.ledger.propose_admission(account=gone.account, name="again")
    assert refused.value.name == "NotAMember"
    with pytest.raises(LedgerRefusal) as joining:
        join(gone, 1)
    assert joining.value.name == "NotAMember"
    with pytest.raises(LedgerRefusal) as renamed:
        steps.any.ledger.propose_admission(account=gone.account, name="again")
    assert renamed.value.name == "DuplicateMember"
    # Somebody else is admitted all the same.
    steps.admit("hospital-5", make_site_data(seed=41))
    name = BallotId(BallotKind.ADMISSION, 0, 0, 1, steps.any.account)
    assert steps.any.ledger.ballot(name) is not None
