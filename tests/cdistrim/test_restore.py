from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim import custody
from cdistrim.errors import IntegrityError, UnopenableHeadError
from cdistrim.iteration import IterationRef
from cdistrim.policy import RestoreFacts, form_restore_opinion
from cdistrim.protocol import BallotKind, CampaignState, SkipReason, SlotState
from cdistrim.releasing import release_share
from cdistrim.requests import answer_requests
from cdistrim.restore import (
    ask_restore,
    close_if_expired,
    remember_failure,
    restore_facts,
    skip_sentence,
    verify_restored_head,
)
from cdistrim.sealing import SealingKey
from cdistrim.spec import DeadlineSpec
from cdistrim.watch import observe
from tests.past import AfterSlots
from tests.reorganising import mine
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def test_a_slot_is_closed_by_any_member_after_its_deadline_and_not_before(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=2))
    ref, other = steps.session().ref, steps.sites["hospital-2"]
    assert not close_if_expired(other, ref)

    steps.simulated.travel(DeadlineSpec().fetch_request + 1)

    assert close_if_expired(other, ref)
    assert not close_if_expired(steps.any, ref)
    first, second = steps.simulated.slots()
    assert (first.state, first.skip_reason) == (SlotState.SKIPPED, SkipReason.DEADLINE_PASSED)
    assert second.state is SlotState.WAITING


def test_an_expired_slot_of_another_number_is_left_alone(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    steps.simulated.travel(DeadlineSpec().fetch_request + 1)
    assert not close_if_expired(steps.any, IterationRef(1, 2, 1))


def test_enrolment_that_nobody_else_joins_is_closed_after_its_deadline(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    simulated.open_campaign()
    site = simulated.site("hospital-2")
    assert not close_if_expired(site, IterationRef(1, 0, 0))

    simulated.travel(DeadlineSpec().enrol + 1)

    assert close_if_expired(site, IterationRef(1, 0, 0))
    assert simulated.view().state is not CampaignState.ENROLLING


def test_the_restored_head_is_named_and_seen_to_be_whole(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    assert verify_restored_head(steps.any, IterationRef(1, 1, 1)) == "genesis"
    steps.accept()
    ref = steps.session().ref
    steps.simulated.travel(DeadlineSpec().fetch_request + 1)
    close_if_expired(steps.any, ref)
    assert verify_restored_head(steps.any, ref) == "hospital-1-1"

    where = steps.place("hospital-1", "models", "hospital-1-1")
    (path,) = (steps.simulated.consortium.store / where).iterdir()
    path.unlink()

    with pytest.raises(IntegrityError, match="missing"):
        verify_restored_head(steps.any, ref)


def test_every_reason_for_a_skip_has_a_sentence(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    slot = steps.simulated.slots()[0]
    for reason in SkipReason:
        object.__setattr__(slot, "skip_reason", reason)
        assert skip_sentence(slot)


# --- a head that can't be opened ------------------------------------------------------------------


def damaged(steps: Stepper, kind: str = "models") -> None:
    """Somebody deletes the head's object, or its capsule."""
    head = steps.any.ledger.model(1, steps.view().head)
    where = custody.prefix(steps.any, head.partner, 1, kind, head.name)
    for path in (steps.simulated.consortium.store / where).iterdir():
        path.unlink()


def answers(steps: Stepper) -> dict[str, bool]:
    """What every site but the opener votes on the open requests."""
    said = {}
    for name, site in steps.sites.items():
        for _, opinion in answer_requests(site, steps.view()):
            said[name] = opinion.approve
    return said


@pytest.mark.parametrize("kind", ["models", "capsules"])
def test_a_head_that_is_gone_is_left_by_a_majority_that_sees_it_itself(
    after_slots: AfterSlots, kind: str
) -> None:
    steps = after_slots(2)
    damaged(steps, kind)
    session = steps.session()
    assert ask_restore(session.site, session.ref)
    assert ask_restore(session.site, session.ref)  # Said again, it is the same ballot.
    (ballot,) = steps.view().requests
    assert (ballot.kind, ballot.model, ballot.id.opener) == (
        BallotKind.RESTORE,
        1,
        session.site.account,
    )

    assert True in answers(steps).values()

    view = steps.view()
    assert view.slot is not None
    assert (view.head, view.slot.number, view.slot.attempt) == (1, 3, 2)
    assert view.requests == ()
    steps.accept()  # The slot goes on from the restored head.
    assert steps.simulated.lineage()[2].parent == 1


def test_nobody_leaves_a_head_that_is_all_right(after_slots: AfterSlots) -> None:
    steps = after_slots(2)
    session = steps.session()
    ask_restore(session.site, session.ref)

    assert not any(answers(steps).values())

    assert steps.view().head == 2
    assert steps.view().requests == ()


def test_a_site_that_failed_itself_approves_whatever_others_see(after_slots: AfterSlots) -> None:
    steps = after_slots(2)
    session = steps.session()
    failed = steps.sites["hospital-1"]
    assert failed is not session.site
    error = UnopenableHeadError("The shares don't open it.", reproducible=False)
    remember_failure(failed, 1, 2, error)

    facts = restore_facts(failed, steps.view())

    assert facts.failed_itself
    assert form_restore_opinion(facts).approve
    assert not restore_facts(steps.sites["hospital-2"], steps.view()).failed_itself


def test_a_failure_at_one_head_is_no_ground_against_another(after_slots: AfterSlots) -> None:
    steps = after_slots(size=2)
    site = steps.any
    remember_failure(site, 1, 1, UnopenableHeadError("It does not open."))
    assert restore_facts(site, steps.view()).failed_itself
    steps.accept()
    assert not restore_facts(site, steps.view()).failed_itself


def test_a_share_that_does_not_open_is_a_ground(after_slots: AfterSlots) -> None:
    steps = after_slots()
    site = steps.sites["hospital-3"]
    assert not restore_facts(site, steps.view()).own_share_bad
    # Its sealing key is lost, and there is no backup; what evaluators published is sealed to it.
    lost = replace(site.keys, sealing_key=SealingKey.generate())
    site.__dict__["keys"] = lost
    assert restore_facts(site, steps.view()).own_share_bad


def test_too_few_releases_are_a_ground_once_half_of_the_time_is_over(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    release_share(steps.sites["hospital-3"], steps.view())
    voter = steps.sites["hospital-4"]
    assert not restore_facts(voter, steps.view()).too_few_released
    session.fetch()
    session.lock()

    steps.simulated.travel(DeadlineSpec().opening // 2 + 5)

    assert restore_facts(voter, steps.view()).too_few_released
    with pytest.raises(UnopenableHeadError, match="Too few holders"):
        session.await_shares()
    assert restore_facts(session.site, steps.view()).failed_itself
    release_share(steps.sites["hospital-5"], steps.view())
    assert not restore_facts(voter, steps.view()).too_few_released
    session.close()


def test_genesis_is_never_restored(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.session()
    assert not ask_restore(session.site, session.ref)


def test_where_the_spec_is_not_approved_nothing_is_approved() -> None:
    everything = RestoreFacts(
        spec_approved=False,
        head_fault="models/x is missing",
        own_share_bad=True,
        failed_itself=True,
        too_few_released=True,
    )
    assert not form_restore_opinion(everything).approve
    assert form_restore_opinion(replace(everything, spec_approved=True)).approve


def test_a_restore_that_was_decided_in_a_block_that_does_not_count_yet_is_over(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(2)
    damaged(steps, "models")
    session, late = steps.session(), steps.behind("hospital-1")
    assert ask_restore(session.site, session.ref)
    mine(late.settings.ledger_url)
    assert len(list(answer_requests(steps.sites["hospital-2"], steps.view()))) == 1

    seen = observe(late.ledger, steps.campaign)
    assert [ballot.waits_for(late.account) for ballot in seen.requests] == [True]
    assert list(answer_requests(late, seen)) == []
