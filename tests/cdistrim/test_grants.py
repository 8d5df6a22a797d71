"""Evaluate grants: one-time keys that evaluators offer, and what they check before they vote."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim import custody, grants
from cdistrim.capsule import Capsule
from cdistrim.envelope import new_data_key
from cdistrim.errors import NotReleasedError, SealError
from cdistrim.iteration import IterationSession
from cdistrim.leftovers import forget_evaluations
from cdistrim.messages import Grant, OfferedKey
from cdistrim.protocol import SkipReason, SlotState
from cdistrim.sealing import SealingKey
from cdistrim.site import Site
from cdistrim.voting import answer_ballot
from tests.factories import make_cases
from tests.past import AfterSlots
from tests.simulated import REPORTED, SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def trained(steps: Stepper) -> IterationSession:
    """The open slot's candidate is in memory."""
    session = steps.open_head()
    session.train()
    return session


def granted_to(site: Site, session: IterationSession) -> bool:
    """Whether a site could open the candidate now."""
    slot = session.slot()
    assert slot.candidate is not None
    context = custody.record_context(site, 1, slot.candidate)
    envelope = custody.ciphertext(site, 1, slot.candidate)
    try:
        grants.granted_key(site, slot, context, envelope)
    except NotReleasedError:
        return False
    return True


def test_evaluators_offer_a_key_once_and_nobody_else_does(simulate: Simulate) -> None:
    simulated = simulate()
    few = make_cases(9, 9, seed=60, prefix="few")
    simulated.data["hospital-2"] = replace(simulated.data["hospital-2"], holdout=few)
    steps = Stepper(simulated)
    assert steps.offer() == []
    steps.session().request_token()
    assert steps.offer() == ["hospital-3"]
    assert steps.offer() == []
    (path,) = steps.sites["hospital-3"].work.glob("evaluation-*.key")
    assert path.stat().st_mode & 0o077 == 0


def test_a_site_that_has_not_approved_the_campaign_offers_nothing(simulate: Simulate) -> None:
    steps = Stepper(simulate())
    steps.session().request_token()
    steps.sites["hospital-2"].refuse_spec(steps.simulated.spec.digest())
    assert steps.offer() == ["hospital-3"]


def test_in_reported_mode_nobody_is_granted_anything(simulate: Simulate) -> None:
    steps = Stepper(simulate(voting=REPORTED))
    session = trained(steps)
    assert steps.offer() == []
    session.evaluate()
    session.request_upload()
    steps.vote()
    session.encrypt()
    session.deposit()
    session.confirm()
    assert steps.simulated.slots()[0].state is SlotState.ACCEPTED
    store = steps.simulated.consortium.store
    assert not list(store.rglob("grants"))
    assert not list(store.rglob("shares"))
    session.close()


def test_an_evaluator_opens_the_candidate_until_its_slot_is_over_and_never_again(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    steps.ask_upload(session)
    evaluator = steps.sites["hospital-2"]
    assert granted_to(evaluator, session)
    kept = shutil.copytree(evaluator.directory, evaluator.directory.with_name("stolen-before"))
    assert answer_ballot(evaluator, steps.view()) is not None
    assert session.slot().state is SlotState.ACCEPTED

    forget_evaluations(evaluator)

    assert not list(evaluator.work.glob("evaluation-*"))
    assert not granted_to(evaluator, session)
    assert granted_to(Site(kept), session)  # What the erased key could open is still there.
    session.close()


def test_an_evaluator_that_comes_after_the_trainers_crash_is_granted_the_candidate(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    late = steps.sites["hospital-1"]
    shutil.rmtree(late.memory)  # It needs the head, too.
    session = steps.ask_fetch()
    steps.release()
    session.fetch()
    session.lock()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    # The process is lost here, with the candidate's key; nobody has offered anything yet.
    again = steps.session()
    assert grants.offer_key(late, steps.view())
    again.answer_offers(again.slot())

    answer = answer_ballot(late, steps.view())

    assert answer is not None
    assert answer.approve
    kept = list(session.site.work.glob("granting-*"))
    assert len(kept) == 1
    again.close()
    assert not list(session.site.work.glob("granting-*"))


def test_kept_keys_that_were_damaged_are_not_used(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = trained(steps)
    steps.ask_upload(session)
    (path,) = session.site.work.glob("granting-*")
    path.write_bytes(path.read_bytes()[:-1])
    assert grants.Granting.kept(session.site, session.slot(), None) is None
    assert "do not open" in (session.site.directory / "log" / "site.log").read_text()
    session.close()


def test_an_evaluator_that_lost_its_one_time_key_offers_another(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = trained(steps)
    evaluator = steps.sites["hospital-2"]
    (path,) = evaluator.work.glob("evaluation-*")
    path.unlink()
    assert steps.offer() == ["hospital-2"]
    steps.ask_upload(session)
    assert granted_to(evaluator, session)
    session.close()


def test_an_evaluator_without_a_grant_waits_instead_of_voting(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.ask_fetch()
    session.fetch()
    session.lock()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    evaluator = steps.sites["hospital-2"]
    with pytest.raises(NotReleasedError, match="no evaluate grant"):
        answer_ballot(evaluator, steps.view())
    assert session.slot().state is SlotState.UPLOAD_REQUESTED

    # It comes late: the trainer still has the key and grants while the ballot is open.
    assert grants.offer_key(evaluator, steps.view())
    session.answer_offers(session.slot())
    answer = answer_ballot(evaluator, steps.view())
    assert answer is not None
    assert answer.approve
    session.close()


def test_a_key_that_somebody_offers_in_an_evaluators_name_is_granted_nothing(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3))
    session = trained(steps)
    mallory, victim = steps.sites["hospital-3"], steps.sites["hospital-2"]
    thief = SealingKey.generate()
    slot = session.slot()
    context = custody.context_of(mallory, 1, slot.number, slot.attempt, slot.owner)
    unsigned = OfferedKey(
        model=context, evaluator=victim.account, public=thief.public_bytes, head=True
    )
    where = grants.offers_prefix(mallory, victim.account, 1, slot.number, slot.attempt)
    for forged in (unsigned, unsigned.signed(mallory.keys)):
        mallory.store.put(where, forged.to_bytes())
    mallory.store.put(where, b"junk")

    steps.ask_upload(session)

    granted = custody.read_messages(
        mallory, grants.grants_prefix(mallory, slot, victim.account), Grant
    )
    for grant in granted:
        with pytest.raises(SealError):
            grant.open(thief)
    assert granted_to(victim, session)
    session.close()


def test_a_grant_of_another_key_is_passed_over(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = trained(steps)
    evaluator = steps.sites["hospital-2"]
    slot = session.slot()
    (offer,) = custody.read_messages(
        evaluator,
        grants.offers_prefix(evaluator, evaluator.account, 1, slot.number, slot.attempt),
        OfferedKey,
    )
    wrong = Grant.seal(new_data_key(), offer, offer.model, slot=slot.number, attempt=slot.attempt)
    evaluator.store.put(grants.grants_prefix(evaluator, slot, evaluator.account), wrong.to_bytes())
    steps.ask_upload(session)
    assert granted_to(evaluator, session)
    session.close()


def test_before_its_yes_an_evaluator_publishes_the_shares_again(after_slots: AfterSlots) -> None:
    steps = after_slots()
    head = steps.any.ledger.model(1, 1)
    (capsule,) = custody.capsules(steps.any, 1, head)
    published = steps.published_shares(head.name)
    assert len(published) == 1  # One of two evaluators was needed beside the trainer.
    for site in steps.sites.values():
        for each in published:
            share = each.open_share(capsule, site.account, site.keys.opening_keys)
            assert share == custody.own_share(site, 1, head, capsule)


def dealt_badly(steps: Stepper, capsule_of: Callable[[IterationSession, Capsule], Capsule]) -> str:
    """The trainer deposits another capsule than it should; what the first voter says."""
    session = trained(steps)
    session.evaluate()
    session.encrypt()
    assert session._sealed is not None
    honest = Capsule.parse(session._sealed.capsule)
    spoiled = capsule_of(session, honest).to_bytes()
    session._sealed = custody.SealedModel(session._sealed.envelope, spoiled)
    session.deposit()
    session.request_upload()
    session.release_weights()
    (first, *_) = steps.vote()
    assert not first.approve
    assert not list(steps.simulated.consortium.store.rglob("shares"))
    slot = steps.simulated.slots()[0]
    assert (slot.state, slot.skip_reason) == (SlotState.SKIPPED, SkipReason.DEGRADED)
    session.close()
    return first.sentence


def only_for_friends(session: IterationSession, capsule: Capsule) -> Capsule:
    """Nobody but trainer and one friend gets a share."""
    keys = {each.account: each.sealing_key for each in session.site.ledger.members()}
    friends = dict(list(keys.items())[:2])
    return Capsule.seal(new_data_key(), friends, 2, capsule.context)


def of_another_key(session: IterationSession, capsule: Capsule) -> Capsule:
    """Shares that open nothing."""
    keys = {each.account: each.sealing_key for each in session.site.ledger.members()}
    return Capsule.seal(new_data_key(), keys, capsule.threshold, capsule.context)


def junk_to_one(session: IterationSession, capsule: Capsule) -> Capsule:
    """What is sealed to the voter is no share."""
    holders = dict(capsule.holders)
    for account in set(holders) - {session.site.account.lower()}:
        junk = bytes(len(holders[account].sealed))
        holders[account] = holders[account].model_copy(update={"sealed": junk})
    return capsule.model_copy(update={"holders": holders})


@pytest.mark.parametrize("how", [only_for_friends, of_another_key, junk_to_one])
def test_a_bad_dealing_is_voted_down(
    simulate: Simulate, how: Callable[[IterationSession, Capsule], Capsule]
) -> None:
    steps = Stepper(simulate(size=3))
    assert "BadDealingError" in dealt_badly(steps, how)


def test_an_evaluator_that_never_measured_the_head_is_granted_that_too(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    late = steps.sites["hospital-3"]
    shutil.rmtree(late.memory)  # As if it had been away: it remembers no model.
    session = trained(steps)
    offers = custody.read_messages(
        late, grants.offers_prefix(late, late.account, 1, 2, 1), OfferedKey
    )
    assert [offer.head for offer in offers] == [True]
    steps.ask_upload(session)

    answer = answer_ballot(late, steps.view())

    assert answer is not None
    assert answer.approve
    assert answer.evidence.auc_head > 0
    session.close()
