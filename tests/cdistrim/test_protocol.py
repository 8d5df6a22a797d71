"""The transition table and the duties that are read off a campaign."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cdistrim.protocol import (
    TRANSITIONS,
    BallotId,
    BallotKind,
    BallotState,
    BallotView,
    CampaignState,
    CampaignView,
    Deed,
    Enrolment,
    IllegalTransition,
    Mode,
    SkipReason,
    SlotEvent,
    SlotState,
    SlotView,
    Vote,
    advance,
    duties,
    quorum_of,
)

ALICE, BOB, CAROL = "0xA", "0xB", "0xC"
ALL_CASES = [(state, event, mode) for state in SlotState for event in SlotEvent for mode in Mode]
LEGAL = {
    (row.source, row.event, mode)
    for row in TRANSITIONS
    for mode in Mode
    if row.mode in (None, mode)
}


def slot_in(state: SlotState, *, waiting: tuple[str, ...] = ()) -> SlotView:
    """Alice's slot; ``waiting`` are the voters that the open ballot waits for."""
    step = BallotKind.UPLOAD if state >= SlotState.TRAINING else BallotKind.FETCH
    voted = tuple(Vote(one, approve=True) for one in (ALICE, BOB, CAROL) if one not in waiting)
    deciding = state in (SlotState.FETCH_REQUESTED, SlotState.UPLOAD_REQUESTED)
    ballot = BallotView(
        id=BallotId(step, 7, 4, 1, ALICE),
        subject=bytes(32),
        model=0,
        state=BallotState.OPEN if deciding else BallotState.PASSED,
        yes=len(voted),
        no=0,
        quorum=2,
        deadline=1000,
        electorate=(ALICE, BOB, CAROL),
        votes=voted,
    )
    return SlotView(
        campaign=7,
        number=4,
        attempt=1,
        owner=ALICE,
        state=state,
        deadline=1000,
        ballot=None if state is SlotState.WAITING else ballot,
    )


def running(slot: SlotView, *, head: int = 3, now: int = 900) -> CampaignView:
    """A running campaign of three partners whose open slot is ``slot``."""
    return CampaignView(
        number=7,
        spec_hash=bytes(32),
        genesis_hash=bytes(32),
        state=CampaignState.RUNNING,
        mode=Mode.HOLDOUT,
        order=(ALICE, BOB, CAROL),
        cycles=2,
        enrolments=(),
        slots=6,
        head=head,
        accepted=head,
        now=now,
        enrol_deadline=500,
        slot=slot,
    )


def asked(view: CampaignView) -> set[tuple[Deed, str]]:
    """Who is asked for what."""
    return {(duty.deed, duty.partner) for duty in duties(view)}


@pytest.mark.parametrize(("state", "event", "mode"), sorted(set(ALL_CASES) - LEGAL, key=str))
def test_an_event_outside_the_table_raises_and_changes_nothing(
    state: SlotState, event: SlotEvent, mode: Mode
) -> None:
    before = TRANSITIONS

    with pytest.raises(IllegalTransition, match=f"{event.name}.*{state.name}.*{mode.name}"):
        advance(state, event, mode)

    assert before == TRANSITIONS


def test_every_event_of_a_state_has_one_target() -> None:
    for state, event, mode in LEGAL:
        rows = [
            row
            for row in TRANSITIONS
            if (row.source, row.event) == (state, event) and row.mode in (None, mode)
        ]
        assert [advance(state, event, mode)] == rows


def test_an_ended_slot_is_left_by_no_event() -> None:
    assert not [row for row in TRANSITIONS if row.source.ended]


def test_a_skip_has_a_reason_and_nothing_else_has() -> None:
    for row in TRANSITIONS:
        assert (row.target is SlotState.SKIPPED) == (row.reason is not SkipReason.NONE), row


def test_every_open_state_can_be_closed_by_its_deadline() -> None:
    closable = {row.source for row in TRANSITIONS if row.event is SlotEvent.DEADLINE_CLOSED}
    assert closable == {state for state in SlotState if not state.ended}


@pytest.mark.parametrize(
    ("mode", "unreachable"),
    [(Mode.HOLDOUT, {SlotState.UPLOAD_GRANTED}), (Mode.REPORTED, set[SlotState]())],
)
def test_only_the_reported_mode_grants_an_upload(mode: Mode, unreachable: set[SlotState]) -> None:
    reached = {SlotState.WAITING}
    for _ in SlotState:
        reached |= {
            advance(source, event, at).target
            for source, event, at in LEGAL
            if source in reached and at is mode
        }
    assert set(SlotState) - reached == unreachable


def test_labels_of_the_diagram_are_unique() -> None:
    # An Enum makes an alias of a second name with the same value, silently.
    assert len(SlotEvent.__members__) == len(list(SlotEvent))
    assert len(Deed.__members__) == len(list(Deed))


@pytest.mark.parametrize("state", [state for state in SlotState if not state.ended])
def test_an_open_slot_asks_its_owner_until_the_deadline_and_then_everybody(
    state: SlotState,
) -> None:
    slot = slot_in(state)

    assert (Deed.ITERATE, ALICE) in asked(running(slot, now=slot.deadline))
    assert asked(running(slot, now=slot.deadline + 1)) == {
        (Deed.CLOSE, one) for one in (ALICE, BOB, CAROL)
    }


def test_a_vote_is_asked_of_those_who_have_not_voted() -> None:
    view = running(slot_in(SlotState.UPLOAD_REQUESTED, waiting=(CAROL,)))
    assert asked(view) == {(Deed.ITERATE, ALICE), (Deed.VOTE, CAROL)}
    assert [duty.kind for duty in duties(view) if duty.deed is Deed.VOTE] == [BallotKind.UPLOAD]


@pytest.mark.parametrize("state", [SlotState.FETCH_REQUESTED, SlotState.UPLOAD_REQUESTED])
def test_whose_turn_is_next_is_asked_last_and_is_spare_while_the_others_suffice(
    state: SlotState,
) -> None:
    view = running(slot_in(state, waiting=(BOB, CAROL)))
    votes = [duty for duty in duties(view) if duty.deed is Deed.VOTE]
    assert [(duty.partner, duty.spare) for duty in votes] == [(CAROL, False), (BOB, True)]


def test_a_voter_is_no_longer_spare_once_another_said_no() -> None:
    slot = slot_in(SlotState.UPLOAD_REQUESTED, waiting=(BOB,))
    assert slot.ballot is not None
    votes = (Vote(ALICE, approve=True), Vote(CAROL, approve=False))
    view = running(replace(slot, ballot=replace(slot.ballot, yes=1, no=1, votes=votes)))
    (vote,) = (duty for duty in duties(view) if duty.deed is Deed.VOTE)
    assert (vote.partner, vote.spare) == (BOB, False)


def test_a_decided_ballot_asks_nobody() -> None:
    slot = slot_in(SlotState.TRAINING, waiting=(CAROL,))
    assert asked(running(slot)) == {(Deed.ITERATE, ALICE)}


def test_a_share_is_asked_of_everybody_but_the_requester_and_only_once_granted() -> None:
    for state in SlotState:
        released = {one for deed, one in asked(running(slot_in(state))) if deed is Deed.RELEASE}
        assert released == ({BOB, CAROL} if state is SlotState.FETCH_GRANTED else set())


@pytest.mark.parametrize("mode", Mode)
def test_evaluators_are_asked_to_offer_a_key_before_there_is_a_candidate(mode: Mode) -> None:
    enrolled = tuple(
        Enrolment(one, one[-4:], 10, bytes(32), evaluator=one != CAROL)
        for one in (ALICE, BOB, CAROL)
    )
    early = (SlotState.FETCH_GRANTED, SlotState.TRAINING)
    for state in SlotState:
        view = replace(running(slot_in(state)), enrolments=enrolled, mode=mode)
        offered = {one for deed, one in asked(view) if deed is Deed.OFFER}
        assert offered == ({BOB} if state in early and mode is Mode.HOLDOUT else set())


def test_the_public_genesis_head_needs_no_key() -> None:
    view = running(slot_in(SlotState.FETCH_GRANTED), head=0)
    assert asked(view) == {(Deed.ITERATE, ALICE)}


def test_enrolment_is_asked_of_the_missing_and_closed_by_anybody_when_it_is_over() -> None:
    enrolled = Enrolment(BOB, "bob", 10, bytes(32), evaluator=True)
    view = replace(
        running(slot_in(SlotState.WAITING)),
        state=CampaignState.ENROLLING,
        enrolments=(enrolled,),
        slot=None,
        now=500,
    )

    assert asked(view) == {(Deed.ENROL, ALICE), (Deed.ENROL, CAROL)}
    assert asked(replace(view, now=501)) == {(Deed.CLOSE, one) for one in (ALICE, BOB, CAROL)}


@pytest.mark.parametrize("state", [CampaignState.COMPLETED, CampaignState.FAILED])
def test_a_campaign_that_has_ended_asks_nothing(state: CampaignState) -> None:
    assert asked(replace(running(slot_in(SlotState.ACCEPTED)), state=state, slot=None)) == set()


def test_a_duty_has_the_same_key_whoever_computes_it_and_no_other_duty_has_it() -> None:
    views = [
        running(slot_in(state, waiting=(BOB, CAROL)), now=now)
        for state in SlotState
        if not state.ended
        for now in (900, 1001)
    ]
    found = {duty.key: duty for view in views for duty in duties(view)}
    assert all(found[duty.key] == duty for view in views for duty in duties(view))
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("voters", range(1, 51))
def test_two_quorums_always_share_a_voter(voters: int) -> None:
    for asked_for in range(voters + 2):
        quorum = quorum_of(voters, asked_for)
        assert 2 * quorum > voters
        assert quorum <= voters


@pytest.mark.parametrize(
    ("mode", "events", "states"),
    [
        (
            Mode.HOLDOUT,
            "FETCH_REQUESTED FETCH_APPROVED OPENED UPLOAD_REQUESTED UPLOAD_APPROVED",
            "FETCH_REQUESTED FETCH_GRANTED TRAINING UPLOAD_REQUESTED ACCEPTED",
        ),
        (
            Mode.REPORTED,
            "FETCH_REQUESTED FETCH_APPROVED OPENED UPLOAD_REQUESTED UPLOAD_APPROVED CONFIRMED",
            "FETCH_REQUESTED FETCH_GRANTED TRAINING UPLOAD_REQUESTED UPLOAD_GRANTED ACCEPTED",
        ),
        (
            Mode.HOLDOUT,
            "FETCH_REQUESTED FETCH_APPROVED OPENED UPLOAD_REQUESTED UPLOAD_OUT_OF_REACH",
            "FETCH_REQUESTED FETCH_GRANTED TRAINING UPLOAD_REQUESTED SKIPPED",
        ),
        (Mode.HOLDOUT, "FETCH_REQUESTED FETCH_OUT_OF_REACH", "FETCH_REQUESTED SKIPPED"),
        (Mode.HOLDOUT, "UNENROLLED", "SKIPPED"),
    ],
)
def test_a_slot_goes_the_way_of_the_protocol(mode: Mode, events: str, states: str) -> None:
    state, passed = SlotState.WAITING, []
    for event in events.split():
        state = advance(state, SlotEvent[event], mode).target
        passed.append(state.name)
    assert passed == states.split()
