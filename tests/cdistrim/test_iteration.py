from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim.errors import ConfigurationError, IntegrityError, LeaseHeldError, OutOfOrderError
from cdistrim.iteration import IterationRef, IterationSession
from cdistrim.lease import Lease
from cdistrim.protocol import SlotState
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def test_a_session_goes_from_the_token_to_the_accepted_model(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    steps.accept()

    first, second = steps.simulated.slots()
    assert first.state is SlotState.ACCEPTED
    assert first.candidate is not None
    assert first.candidate.name == "hospital-1-1"
    assert second.state is SlotState.WAITING


@pytest.mark.parametrize(
    "step", ["decrypt", "train", "evaluate", "encrypt", "deposit", "request_upload"]
)
def test_a_step_before_its_time_is_refused_and_changes_nothing(
    simulate: Simulate, step: str
) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.grant_fetch()
    if step == "request_upload":
        session.fetch()
        session.lock()
        session.decrypt()
    before = steps.view().slot

    with pytest.raises(OutOfOrderError):
        getattr(session, step)()

    assert steps.view().slot == before
    session.close()


def test_an_accepted_model_that_is_not_the_own_one_is_noticed(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    steps.vote()
    session.confirm()
    session._requested = bytes(31) + b"1"

    with pytest.raises(IntegrityError, match="not what was trained here"):
        session.confirm()


def test_another_sites_slot_is_refused(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = IterationSession(steps.sites["hospital-2"], IterationRef(steps.campaign, 1, 1))

    with pytest.raises(ConfigurationError, match="not hospital-2's"):
        session.request_token()

    slot = steps.view().slot
    assert slot is not None
    assert slot.state is SlotState.WAITING


def test_a_spec_that_is_no_longer_approved_is_not_trained(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.open_head()
    session.site.refuse_spec(steps.simulated.spec.digest())

    with pytest.raises(ConfigurationError, match="has not approved"):
        session.train()
    session.close()


def test_a_lost_process_trains_again_to_the_same_weights(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    hashes = []
    for _ in range(2):
        session = steps.open_head()
        session.train()
        assert session.candidate is not None
        hashes.append(session.candidate.digest)
        session.release_weights()  # What the operating system does for a killed process.

    assert hashes[0] == hashes[1]
    assert steps.simulated.slots()[0].state is SlotState.TRAINING


def test_only_one_process_of_a_site_is_at_its_turn(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    first, second = steps.session(), steps.session()
    first.begin()

    with pytest.raises(LeaseHeldError):
        second.begin()
    first.close()
    second.begin()
    second.close()


def test_the_lease_is_held_while_weights_are_in_memory_and_no_longer(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.open_head()
    lease = Lease(session.site.work, campaign=1, slot=1, purpose="test")
    with pytest.raises(LeaseHeldError):
        lease.acquire()
    session.train()
    steps.ask_upload(session)

    with lease:
        assert session.head is None
        assert session.candidate is None


def test_what_killed_processes_left_goes_when_the_slot_is_over(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    killed = steps.open_head()
    killed.train()
    killed.encrypt()
    killed.deposit()
    killed.release_weights()
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    site = session.site
    half = site.work / ".request-1-1-1.key.abc.part"
    half.write_bytes(b"half")
    steps.vote()
    assert len(site.store.list(f"{steps_prefix(steps)}/models/hospital-1-1")) == 2

    # That process was killed, too: nobody closed the slot. The site's next turn comes.
    steps.accept()
    again = IterationSession(site, IterationRef(steps.campaign, 1, 1))
    again.begin()
    again.close()

    record = steps.simulated.slots()[0].candidate
    assert record is not None
    (kept,) = site.store.list(f"{steps_prefix(steps)}/models/hospital-1-1")
    assert kept.digest == record.ciphertext_hash
    assert not half.exists()
    assert not list(site.work.glob("request-*"))


def steps_prefix(steps: Stepper) -> str:
    settings = steps.any.settings
    return f"{settings.chain_id}-{(settings.contract or '').lower()}/campaign-{steps.campaign}"
