from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim import custody
from cdistrim.errors import IntegrityError
from cdistrim.iteration import IterationRef
from cdistrim.protocol import CampaignState, SkipReason, SlotState
from cdistrim.restore import close_if_expired, skip_sentence, verify_restored_head
from cdistrim.spec import DeadlineSpec
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

    where = custody.prefix(steps.any, 1, "models", "hospital-1-1")
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
