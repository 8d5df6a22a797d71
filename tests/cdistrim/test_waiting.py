"""What is asked of whom, in words: names and deadlines instead of accounts and keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cdistrim.names import names_of
from cdistrim.progress import Silent, listen_with
from cdistrim.protocol import BallotKind, Deed, Duty
from cdistrim.report.wording import moment
from cdistrim.waiting import (
    BallotTeller,
    duty_place,
    standing_sentences,
    tell_of_shares,
)
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


class Heard(Silent):
    """Keeps what it is told of waiting."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def waiting(self, slot: int, hospital: str, text: str) -> None:
        """As :class:`~cdistrim.progress.Listener`."""
        self.lines.append(f"{slot} {hospital} {text}")


@pytest.fixture
def heard() -> Iterator[Heard]:
    """This process's listener, for one test."""
    listening = Heard()
    listen_with(listening)
    yield listening
    listen_with(Silent())


def standing(steps: Stepper) -> list[str]:
    """What the campaign waits for."""
    return list(standing_sentences(steps.view(), names_of(steps.any.ledger)))


def test_every_duty_says_what_who_and_until_when(simulate: Simulate) -> None:
    simulated = simulate(size=3)
    simulated.found()
    simulated.open_campaign()
    ledger = simulated.site("hospital-1").ledger
    until = moment(simulated.view().enrol_deadline)
    assert list(standing_sentences(simulated.view(), names_of(ledger))) == [
        f"campaign 1: enrol, until {until}: hospital-1, hospital-2 and hospital-3"
    ]

    steps = Stepper(simulated)
    steps.session().request_token()
    slot = steps.view().slot
    assert slot is not None
    until = moment(slot.deadline)
    others = "hospital-3 and hospital-2"
    assert standing(steps) == [
        f"campaign 1, slot 1: take the turn, until {until}: hospital-1",
        f"campaign 1, slot 1: vote on the fetch of hospital-1, until {until}: {others}",
    ]
    own = steps.sites["hospital-1"].account
    (rest,) = standing_sentences(steps.view(), names_of(ledger), but=own)
    assert rest == standing(steps)[1]
    steps.any.ledger.propose_removal(account=steps.sites["hospital-3"].account)
    steps.decide("hospital-3")
    (former,) = ledger.former_members()
    assert (former.account, former.name) == (steps.sites["hospital-3"].account, "hospital-3")
    removed = f"hospital-3, removed at {moment(former.removed_at)}"
    assert standing(steps) == [f"campaign 1, slot 1: take out {removed}: hospital-1 and hospital-2"]


def test_who_was_removed_is_waited_for_no_more(after_slots: AfterSlots, heard: Heard) -> None:
    steps = after_slots(size=4, cycles=2)
    leaving = steps.sites["hospital-4"]
    steps.any.ledger.propose_removal(account=leaving.account)
    steps.decide("hospital-4")
    steps.any.ledger.apply_removals(campaign=1)
    del steps.sites["hospital-4"]
    session = steps.ask_fetch()

    tell_of_shares(session.site, session.ref)
    lines = [*standing(steps), *heard.lines]

    assert [line for line in lines if "release a share" in line]
    assert [line for line in heard.lines if "from hospital-1 and hospital-3" in line]
    for line in lines:
        assert leaving.account not in line
        assert "hospital-4" not in line


def test_a_duty_keeps_its_own_slot_and_attempt_in_words(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    again = Duty(Deed.ITERATE, steps.any.account, 1, 2, 3)
    assert duty_place(again) == "campaign 1, slot 2, attempt 3"
    request = Duty(Deed.VOTE, steps.any.account, 1, 0, 3, BallotKind.FINAL_FETCH)
    assert duty_place(request) == "campaign 1", "a round is no attempt"


def test_who_waits_says_for_whom_and_says_it_again_when_that_changes(
    simulate: Simulate, heard: Heard
) -> None:
    steps = Stepper(simulate(size=4))
    steps.session().request_token()
    teller = BallotTeller(steps.owner())

    def look() -> None:
        slot = steps.view().slot
        assert slot is not None
        teller.look(slot)

    look()
    look()
    steps.sites["hospital-3"].ledger.cast_vote(**_ballot(steps), approve=True)
    look()

    slot = steps.view().slot
    assert slot is not None
    until = f"until {moment(slot.deadline)}"
    begins = "1 hospital-1 waits for 3 votes on its fetch"
    assert heard.lines == [
        f"{begins}, 1 yes and 0 no so far, not yet hospital-2, hospital-3 and hospital-4; {until}",
        f"{begins}, 2 yes and 0 no so far, not yet hospital-2 and hospital-4; {until}",
    ]


def _ballot(steps: Stepper) -> dict[str, Any]:
    slot = steps.view().slot
    assert slot is not None
    assert slot.ballot is not None
    return {"ballot": slot.ballot.id, "subject": slot.ballot.subject}


def test_shares_are_waited_for_where_the_head_is_closed(simulate: Simulate, heard: Heard) -> None:
    steps = Stepper(simulate(size=3))
    session = steps.grant_fetch()
    tell_of_shares(session.site, session.ref)
    assert heard.lines == [], "genesis is public"
    session.fetch()
    session.lock()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    steps.vote()
    session.confirm()
    session.close()

    session = steps.grant_fetch()
    tell_of_shares(session.site, session.ref)

    (line,) = heard.lines
    assert "hospital-2 waits for shares of the head's key from hospital-1 and hospital-3" in line
