"""An evaluator: sees each candidate that it judges, and nothing else; nobody else sees it that way.

What it may do is said in SECURITY.md: it can open, alone, what it was asked to judge.
"""

from __future__ import annotations

from collections.abc import Callable

from cdistrim import custody, grants
from cdistrim.enrolment import join
from cdistrim.envelope import DataKey
from cdistrim.iteration import IterationSession
from cdistrim.leftovers import clear_when_idle
from cdistrim.messages import Grant, OfferedKey
from cdistrim.protocol import BallotKind, SlotState
from cdistrim.sealing import SealingKey
from cdistrim.site import Site
from tests.attacks.burglars import Burglar
from tests.chain import WORSE
from tests.factories import make_site_data
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def offered(
    session: IterationSession, site: Site, key: SealingKey, *, as_site: Site | None = None
) -> OfferedKey:
    """An offer for the open slot, put where the evaluator's offers lie; signed by ``site``."""
    slot, evaluator = session.slot(), as_site or site
    offer = OfferedKey(
        model=custody.context_of(site, 1, slot.number, slot.attempt, slot.owner),
        evaluator=evaluator.account,
        public=key.public_bytes,
        head=True,
    ).signed(site.keys)
    where = grants.offers_prefix(site, evaluator.account, 1, slot.number, slot.attempt)
    site.store.put(where, offer.to_bytes())
    return offer


def trained(steps: Stepper) -> IterationSession:
    """The open slot's candidate is in memory, and evaluators have offered their keys."""
    session = steps.open_head()
    session.train()
    return session


def test_a_key_that_a_partner_offers_in_an_evaluators_name_opens_nothing(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    session = trained(steps)
    mallory, victim = steps.sites["hospital-1"], steps.sites["hospital-3"]
    thief = SealingKey.generate()
    forged = offered(session, mallory, thief, as_site=victim)
    # It says whom it is for, too, or it would be mallory's own.
    unsigned = forged.model_copy(update={"signature": b""})
    at = grants.offers_prefix(mallory, victim.account, 1, 2, 1)
    mallory.store.put(at, unsigned.to_bytes())

    steps.ask_upload(session)

    store, candidate = steps.simulated.consortium.store, session.slot().candidate
    assert candidate is not None
    assert not Burglar(store, [], [thief]).opens(mallory, candidate)
    log = (session.site.directory / "log" / "site.log").read_text()
    assert f"No grant to a key offered as {victim.account}'s" in log
    assert Burglar(store, [victim]).opens(mallory, candidate)
    session.close()


def test_who_joined_and_has_no_vote_yet_is_granted_no_candidate(after_slots: AfterSlots) -> None:
    steps = after_slots(cycles=2)
    late = steps.admit("hospital-4", make_site_data(seed=40))
    assert join(late, 1)
    steps.answer_requests()
    enrolment = steps.view().enrolment(late.account)
    assert enrolment is not None
    assert enrolment.evaluator
    assert not enrolment.voter
    session = trained(steps)
    key = SealingKey.generate()
    offered(session, late, key)

    steps.ask_upload(session)

    slot, store = session.slot(), steps.simulated.consortium.store
    assert slot.candidate is not None
    assert slot.ballot is not None
    assert late.account not in slot.ballot.electorate
    assert not Burglar(store, [late], [key]).opens(late, slot.candidate)
    head = late.ledger.model(1, 1)
    assert not Burglar(store, [late], [key]).opens(late, head)
    assert Burglar(store, [steps.sites["hospital-3"]]).opens(late, slot.candidate)
    session.close()


def test_a_grant_of_somebodys_own_key_is_not_used(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    mallory, victim = steps.sites["hospital-3"], steps.sites["hospital-2"]
    slot = session.slot()
    at = grants.offers_prefix(mallory, victim.account, 1, 1, 1)
    (offer,) = custody.read_messages(mallory, at, OfferedKey)
    own = DataKey(bytes(32))
    false = Grant.seal(own, offer, offer.model, slot=slot.number, attempt=slot.attempt)
    mallory.store.put(grants.grants_prefix(mallory, slot, victim.account), false.to_bytes())
    steps.ask_upload(session)

    slot = session.slot()
    assert slot.candidate is not None
    context = custody.record_context(victim, 1, slot.candidate)
    envelope = custody.ciphertext(victim, 1, slot.candidate)
    key = grants.granted_key(victim, slot, context, envelope)
    assert key != own
    assert custody.open_with(key, envelope, victim, 1, slot.candidate)
    session.close()


def test_it_cannot_open_after_the_slot_what_it_saw_before(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    steps.ask_upload(session)
    evaluator, store = steps.sites["hospital-2"], steps.simulated.consortium.store
    candidate = session.slot().candidate
    assert candidate is not None
    assert Burglar(store, [evaluator]).opens(evaluator, candidate)
    steps.vote()
    clear_when_idle(evaluator)
    assert not Burglar(store, [evaluator]).opens(evaluator, candidate)
    session.close()


def test_a_lying_evaluator_is_outvoted_and_its_lie_stays_on_the_ledger(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=4))
    session = trained(steps)
    steps.ask_upload(session)
    liar = steps.sites["hospital-4"]
    ballot = session.slot().ballot
    assert ballot is not None
    liar.ledger.cast_vote(ballot=ballot.id, subject=ballot.subject, approve=False, evidence=WORSE)

    steps.vote()

    assert session.slot().state is SlotState.ACCEPTED
    votes = session.slot().ballot
    assert votes is not None
    assert votes.kind is BallotKind.UPLOAD
    (lie,) = [vote for vote in votes.votes if not vote.approve]
    assert (lie.partner, lie.evidence) == (liar.account, WORSE)
    session.close()
