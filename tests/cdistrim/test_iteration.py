from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from cdistrim.errors import ConfigurationError, IntegrityError, LeaseHeldError, OutOfOrderError
from cdistrim.iteration import IterationRef, IterationSession
from cdistrim.lease import Lease
from cdistrim.leftovers import clear_ended_slots
from cdistrim.progress import Silent, listen_with
from cdistrim.protocol import SlotState
from tests.past import AfterSlots
from tests.simulated import REPORTED, SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


class Interruption(Exception):
    """Ends a training as a kill does."""


class Counted(Silent):
    """Counts the batches that are trained; interrupts within the one after ``left``."""

    def __init__(self, left: int = 1000) -> None:
        self.left = left
        self.batches = 0

    def training(self, *_state: object) -> None:
        if self.batches == self.left:
            raise Interruption
        self.batches += 1


@pytest.fixture
def listened() -> Iterator[Callable[..., Counted]]:
    """Make a counter this process's listener."""

    def listen(left: int = 1000) -> Counted:
        counted = Counted(left)
        listen_with(counted)
        return counted

    yield listen
    listen_with(Silent())


def at_every_batch(session: IterationSession) -> IterationSession:
    """The same session, at a site that makes a checkpoint after every batch."""
    site = session.site
    site.settings = site.settings.model_copy(update={"checkpoint_seconds": 0})
    return session


def test_a_session_goes_from_the_token_to_the_accepted_model(after_slots: AfterSlots) -> None:
    steps = after_slots(size=2)

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


def test_a_lost_process_goes_on_from_its_last_checkpoint_to_the_same_weights(
    simulate: Simulate, listened: Callable[..., Counted]
) -> None:
    steps = Stepper(simulate(size=2))
    lost = at_every_batch(steps.open_head())
    listened(10)
    with pytest.raises(Interruption):
        lost.train()
    assert lost.candidate is None
    lost.release_weights()
    checkpoint = lost.site.checkpoint(1, 1, 1)
    kept = checkpoint.read_bytes()

    # Trained on, lost again before the upload, trained on; trained without a checkpoint.
    hashes, batches = [], []
    for _ in range(3):
        counted = listened()
        session = steps.open_head()
        session.train()
        assert session.candidate is not None
        hashes.append(session.candidate.digest)
        batches.append(counted.batches)
        session.release_weights()
        if len(hashes) == 2:
            assert checkpoint.read_bytes() != kept
            checkpoint.unlink()
    assert len(set(hashes)) == 1
    assert batches == [8, 1, 18]


def test_a_requested_upload_takes_the_checkpoint_away(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = at_every_batch(steps.open_head())
    session.train()
    assert session.site.checkpoint(1, 1, 1).exists()
    steps.ask_upload(session)
    assert not session.site.checkpoint(1, 1, 1).exists()


def test_in_reported_mode_the_checkpoint_stays_until_the_model_is_deposited(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=2, voting=REPORTED))
    session = at_every_batch(steps.open_head())
    session.train()
    session.evaluate()
    session.request_upload()
    assert session.site.checkpoint(1, 1, 1).exists()

    steps.vote()
    session.encrypt()
    session.deposit()
    session.confirm()
    assert not session.site.checkpoint(1, 1, 1).exists()
    session.close()


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
    killed = at_every_batch(steps.open_head())
    killed.train()
    checkpoint = killed.site.checkpoint(1, 1, 1)
    content = checkpoint.read_bytes()
    killed.encrypt()
    killed.deposit()
    killed.release_weights()
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    site = session.site
    halves = [site.work / f".{name}.abc.part" for name in ("request-1-1-1.key", checkpoint.name)]
    former = site.checkpoint(1, 1, 0)
    for left in (checkpoint, former, *halves):
        left.write_bytes(content)
    steps.vote()
    assert len(site.store.list(steps.place("hospital-1", "models", "hospital-1-1"))) == 2

    # That process was killed, too: nobody closed the slot. The site's next turn comes.
    steps.accept()
    again = IterationSession(site, IterationRef(steps.campaign, 1, 1))
    again.begin()
    again.close()

    record = steps.simulated.slots()[0].candidate
    assert record is not None
    (kept,) = site.store.list(steps.place("hospital-1", "models", "hospital-1-1"))
    assert kept.digest == record.ciphertext_hash
    assert {path.name for path in site.work.iterdir() if path.is_file()} <= {"lease.lock"}


def test_a_checkpoint_goes_with_its_slot_also_where_its_key_is_gone(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=2)
    ended, open_one = steps.sites["hospital-1"], steps.sites["hospital-2"]
    left = [ended.checkpoint(1, 1, 1), open_one.checkpoint(1, 2, 1)]
    for path in left:
        path.write_bytes(b"left")
    clear_ended_slots(ended)
    clear_ended_slots(open_one)
    assert [path.exists() for path in left] == [False, True]
