from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from cdistrim.protocol import BallotKind, SlotState
from cdistrim.spec import DeadlineSpec
from cdistrim.watch import await_ballot, await_release, observe
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDISTRIM_POLL_SECONDS", "0.01")


def test_a_ballot_is_waited_for_until_it_is_decided(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.session()
    session.request_token()
    found: list[SlotState] = []
    waiting = threading.Thread(
        target=lambda: found.append(await_ballot(session.site, session.ref, BallotKind.FETCH).state)
    )
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()

    steps.vote()
    waiting.join(10)

    assert found == [SlotState.FETCH_GRANTED]


def test_nobody_waits_beyond_the_deadline_of_the_chain(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.session()
    session.request_token()
    steps.simulated.travel(DeadlineSpec().fetch_ballot + 1)

    slot = await_ballot(session.site, session.ref, BallotKind.FETCH)

    assert slot.state is SlotState.FETCH_REQUESTED


def test_a_release_is_waited_for_until_it_is_there_or_time_is_over(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    await_release(steps.any, steps.session().ref)  # The genesis head needs none.
    steps.accept()
    session = steps.session()
    session.request_token()
    steps.vote()
    waiting = threading.Thread(target=await_release, args=(session.site, session.ref))
    waiting.start()
    time.sleep(0.1)
    assert waiting.is_alive()

    assert "hospital-1" in steps.release()
    waiting.join(10)

    assert not waiting.is_alive()


def test_the_clock_of_a_quiet_chain_goes_on(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    assert observe(steps.any.ledger, steps.campaign).now >= int(time.time())
