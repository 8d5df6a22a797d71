from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from cdistrim import custody
from cdistrim.protocol import BallotKind, SlotState, SlotView
from cdistrim.releasing import release_share
from cdistrim.restore import ask_restore
from cdistrim.spec import DeadlineSpec
from cdistrim.voting import answer_ballot
from cdistrim.watch import (
    await_ballot,
    await_grant,
    await_next_fetch,
    await_shares,
    await_token,
    observe,
)
from tests.past import AfterSlots
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


def test_shares_are_waited_for_until_there_are_enough(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=5))
    assert await_shares(steps.any, steps.session().ref, b"")  # The genesis head needs none.
    steps.accept()
    session = steps.ask_fetch()
    envelope = custody.ciphertext(session.site, 1, steps.any.ledger.model(1, 1))
    found: list[bool] = []
    waiting = threading.Thread(
        target=lambda: found.append(await_shares(session.site, session.ref, envelope))
    )
    waiting.start()
    holders = [site for site in steps.sites.values() if site is not session.site]
    for holder in holders[:2]:  # With the owner's own share these are three of five.
        time.sleep(0.3)
        assert waiting.is_alive()
        assert release_share(holder, steps.view())
    waiting.join(10)

    assert found == [True]


def test_shares_are_not_waited_for_beyond_the_deadline(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    envelope = custody.ciphertext(session.site, 1, steps.any.ledger.model(1, 1))
    steps.simulated.travel(DeadlineSpec().opening + 1)

    assert not await_shares(session.site, session.ref, envelope)


def test_an_evaluate_grant_is_waited_for_but_not_for_ever(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    session = steps.session()
    evaluator = steps.sites["hospital-2"]
    assert await_grant(evaluator, session.ref)  # Nothing waits for it yet.
    session.request_token()
    steps.vote()
    session.fetch()
    session.lock()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    steps.offer()

    assert not await_grant(evaluator, session.ref, patience=0.1)
    session.answer_offers(session.slot())
    assert await_grant(evaluator, session.ref, patience=0.1)
    session.close()


def test_who_voted_on_a_fetch_waits_for_the_others_but_not_for_ever(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=4)
    session = steps.session()
    first, last = steps.sites["hospital-1"], steps.sites["hospital-3"]
    assert await_token(first, session.ref)  # Nobody has asked yet.
    session.request_token()
    assert await_token(first, session.ref)  # It has not voted itself.
    assert answer_ballot(first, steps.view()) is not None
    assert not await_token(first, session.ref, patience=0.1)
    found: list[bool] = []
    waiting = threading.Thread(
        target=lambda: found.append(
            await_token(first, session.ref, patience=60) and release_share(first, steps.view())
        )
    )
    waiting.start()
    time.sleep(0.2)
    assert waiting.is_alive()

    assert answer_ballot(last, steps.view()) is not None
    waiting.join(10)

    assert found == [True]
    session.close()


def test_who_voted_on_an_upload_stays_for_the_next_fetch_but_not_for_ever(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=4))
    session = steps.open_head()
    voter, next_owner = steps.sites["hospital-3"], steps.sites["hospital-2"]
    assert await_next_fetch(voter, session.ref, patience=60) is None  # It was no upload.
    session.train()
    steps.ask_upload(session)
    steps.vote()
    assert await_next_fetch(voter, session.ref, patience=0.1) is None
    found: list[SlotView | None] = []
    waiting = threading.Thread(
        target=lambda: found.append(await_next_fetch(voter, session.ref, patience=60))
    )
    waiting.start()
    session.confirm()
    former, session = session, steps.session()
    assert await_next_fetch(next_owner, former.ref, patience=60) is None  # Its own turn.
    time.sleep(0.2)
    assert waiting.is_alive()

    session.request_token()
    waiting.join(10)

    (slot,) = found
    assert slot is not None
    assert (slot.number, slot.owner) == (2, next_owner.account)
    assert answer_ballot(voter, steps.view()) is not None
    assert await_next_fetch(voter, former.ref, patience=60) is None  # It has voted.
    session.close()


def test_who_stays_for_the_next_fetch_leaves_when_a_restore_waits_for_it(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3))
    former = steps.session().ref
    steps.accept()
    voter = steps.sites["hospital-3"]
    assert await_next_fetch(voter, former, patience=0.1) is None
    asking = steps.session()
    began = time.monotonic()
    assert ask_restore(asking.site, asking.ref)

    assert await_next_fetch(voter, former, patience=60) is None

    assert time.monotonic() - began < 30
    assert [request.waits_for(voter.account) for request in steps.view().requests] == [True]


def test_the_clock_of_a_quiet_chain_goes_on(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    assert observe(steps.any.ledger, steps.campaign).now >= int(time.time())
