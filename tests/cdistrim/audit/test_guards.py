"""Whatever the contract refuses, the replay refuses, too, as far as events can show it.

Random players make wrong moves. Where the contract's reference refuses one, the guards that did are
taken out of a copy of it, and what that one tells is a history that never can have been.
"""

from __future__ import annotations

import copy
from collections import Counter

import pytest

from cdistrim.audit import Replay
from cdistrim.audit.book import Objection
from tests.cdistrim.audit.histories import logged, moves_of
from tests.cdistrim.audit.lenient import Guard, told_without_guards

GAMES = 25
MOVES = 200

NOT_IN_EVENTS: frozenset[Guard] = frozenset(
    {
        ("_require_member", "NotAMember"),  # who closes, applies a removal, hands in votes
        ("_votable", "WrongSubject"),  # what a vote said that it was about
        ("_require_in_time", "DeadlinePassed"),  # until when a signed vote may be handed in
        ("cast_votes", "BadSignature"),
        ("confirm_upload", "RecordMismatch"),  # a confirmation's parent and evidence
    }
)
"""Guards about what no event tells; docs/audit.md says so. Of the third, most is in them."""

SENDERLESS = ("closeExpired", "applyRemovals", "castVotes")


@pytest.mark.slow
def test_a_move_that_the_contract_refuses_is_refused_by_the_replay() -> None:
    caught: Counter[Guard] = Counter()
    for number in range(GAMES):
        replay, block = Replay(), 0
        for contract, move, events, now in moves_of(f"guards/{number}", 2 + number % 5, MOVES):
            for event in events:
                replay.feed(event)
            block += bool(events)
            if events or move is None or move.arguments[:1] == (0,):  # Python's list has a -1
                continue
            told, guards = told_without_guards(contract, move, now)
            try:
                made = logged(told, block + 1, now)
            except (TypeError, ValueError, OverflowError):
                continue  # no event can say that
            if not made or not guards:
                continue
            known, tried = replay.number, copy.deepcopy(replay)
            try:
                for event in made:
                    tried.feed(event)
                tried.finish()
            except Objection:
                assert tried.number > known
                caught[guards[0]] += 1
                continue
            assert set(guards) <= NOT_IN_EVENTS, (move, guards)
            if ("_require_member", "NotAMember") in guards:
                assert move.function in SENDERLESS
            if ("_require_in_time", "DeadlinePassed") in guards:
                assert move.function == "castVotes"
    print(f"{caught.total()} impossible moves of {len(caught)} kinds")  # noqa: T201
    assert len(caught) >= 35, sorted(caught)
    for guard in (
        ("_own_turn", "NotYourTurn"),
        ("_require_member", "NotAMember"),
        ("_require_in_time", "DeadlinePassed"),
        ("_settled", "RemovalsPending"),
        ("cast_vote", "AlreadyVoted"),
        ("cast_votes", "NoVote"),
        ("close_expired", "DeadlineNotPassed"),
        ("request_upload", "WrongParent"),
        ("request_restore", "NotAnAncestor"),
        ("_require_applicant", "DuplicateMember"),
    ):
        assert caught[guard], guard
