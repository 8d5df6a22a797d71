"""Rules of the replay: what the contract writes passes, what it can't have written does not.

The histories are random games of the contract's reference, which the real contract is compared with
(``tests/contracts/test_differential.py``): removals, joiners, restores, expired steps and signed
votes come in them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdistrim.audit import Replay
from cdistrim.audit.book import Objection
from cdistrim.ledger import LoggedEvent
from cdistrim.ledger.codec import artifact
from tests.cdistrim.audit.histories import game
from tests.contracts.real import abi_of

GAMES = tuple((f"replay/{number}", 2 + number % 5) for number in range(20))
MOVES = 200

Events = tuple[LoggedEvent, ...]


def objection(events: Events | list[LoggedEvent]) -> tuple[int, str]:
    """Number of the first record that a replay objects to, and why; 0 if it does not."""
    replay = Replay()
    try:
        for event in events:
            replay.feed(event)
        replay.finish()
    except Objection as found:
        return replay.number, str(found)
    return 0, ""


@pytest.fixture(scope="module")
def histories() -> list[Events]:
    """What is told in all games."""
    return [game(seed, size, MOVES) for seed, size in GAMES]


def find(histories: list[Events], name: str, **arguments: object) -> tuple[list[LoggedEvent], int]:
    """A history with such an event, and where it stands, from 0."""
    for events in histories:
        for place, event in enumerate(events):
            if event.name == name and event.arguments.items() >= arguments.items():
                return list(events), place
    raise AssertionError(f"no game has {name} {arguments}")


def said(event: LoggedEvent, **arguments: object) -> LoggedEvent:
    """The same event with other arguments."""
    return replace(event, arguments=event.arguments | arguments)


def test_whatever_the_contract_writes_passes(histories: list[Events]) -> None:
    seen: Counter[str] = Counter()
    for events in histories:
        assert objection(events) == (0, "")
        seen.update(event.name for event in events)
    assert set(seen) == set(abi_of("event")), "the games tell every kind of event"


def test_what_a_replay_knows_at_the_end_is_what_was_told(histories: list[Events]) -> None:
    for events in histories:
        replay = Replay()
        for event in events:
            replay.feed(event)
        names = Counter(event.name for event in events)
        assert len(replay.members) == names["MemberAdmitted"]
        assert len(replay.members) - len(replay.active) == names["MemberRemoved"]
        assert len(replay.campaigns) == names["CampaignOpened"]
        told = [(n, e.name) for n, e in enumerate(events, 1) if e.name == "ModelAccepted"]
        assert [one.number for one in replay.accepted] == [number for number, _ in told]


def test_a_consequence_left_out_is_named_where_it_is_missing(histories: list[Events]) -> None:
    """A verdict, a token, an acceptance, a skip: each follows in its transaction, or not at all."""
    consequences = (
        *("BallotClosed", "TokenGranted", "ModelAccepted", "SlotSkipped", "SlotOpened"),
        *("HeadRestored", "SlotRestarted", "CampaignStarted", "VotersAdded", "PartnerJoined"),
        *("AdmissionProposed", "RemovalProposed", "JoinRequested", "FinalModelRequested"),
        *("ModelOpened", "RestoreRequested", "MemberRemoved"),
    )
    for name in consequences:
        events, place = _consequence(histories, name)
        number, why = objection(events[:place] + events[place + 1 :])
        assert number == place + 1, name
        assert name in why, name


def _consequence(histories: list[Events], name: str) -> tuple[list[LoggedEvent], int]:
    """An event that is not the first of its transaction."""
    for events in histories:
        for place, event in enumerate(events):
            if event.name == name and events[place - 1].transaction == event.transaction:
                return list(events), place
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "argument", "value", "word"),
    [
        ("BallotOpened", "quorum", 1, "quorum"),
        ("BallotOpened", "electorate", [0], "electorate"),
        ("BallotOpened", "deadline", 1, "deadline"),
        ("BallotOpened", "head", 77, "head"),
        ("BallotClosed", "yes", 50, "yes"),
        ("TokenGranted", "deadline", 1, "deadline"),
        ("SlotOpened", "owner", "0x" + 40 * "1", "owner"),
        ("SlotOpened", "head", 77, "head"),
        ("SlotSkipped", "reason", "OWNER_REMOVED", "reason"),
        ("CampaignOpened", "campaign", 77, "campaign"),
        ("CampaignOpened", "enrolDeadline", 1, "enrolDeadline"),
        ("CampaignCompleted", "accepted", 77, "accepted"),
        ("ModelAccepted", "weightsHash", "0x" + 64 * "1", "weightsHash"),
        ("CandidateSubmitted", "cases", 1_000_000, "cases"),
        ("HeadRestored", "to", 77, "to"),
        ("KeyRotated", "sealingKeyDigest", "0x" + 64 * "1", "sealingKeyDigest"),
        ("MemberAdmitted", "seat", 77, "seat"),
        ("PartnersRemoved", "seats", [0, 1, 2, 3], "seats"),
    ],
)
def test_what_follows_from_the_rest_can_t_say_anything_else(
    histories: list[Events], name: str, argument: str, value: object, word: str
) -> None:
    events, place = find(histories, name)
    events[place] = said(events[place], **{argument: value})
    number, why = objection(events)
    assert number == place + 1
    assert word in why


def test_a_candidate_whose_parent_is_not_the_head_is_refused(histories: list[Events]) -> None:
    events, place = find(histories, "CandidateSubmitted")
    candidate = events[place].arguments["candidate"]
    assert isinstance(candidate, dict)
    changed = candidate | {"parent": candidate["parent"] + 1}
    events[place] = said(events[place], candidate=changed)
    assert objection(events)[0] == place + 1


def test_nobody_votes_twice_or_without_a_vote(histories: list[Events]) -> None:
    events, place = find(histories, "VoteCast")
    twice = [*events[: place + 1], replace(events[place], index=90)]
    number, why = objection(twice)
    assert number == place + 2
    assert "voted in this ballot before" in why
    events[place] = said(events[place], account="0x" + 40 * "1")
    assert objection(events)[1].endswith("has no vote in this ballot")


def test_a_vote_behind_the_deadline_is_refused(histories: list[Events]) -> None:
    events, place = find(histories, "VoteCast")
    late = [replace(event, timestamp=event.timestamp + 10**8) for event in events[place:]]
    number, why = objection([*events[:place], *late])
    assert number == place + 1
    assert why == "the ballot's time was over"


def test_a_step_that_nobody_could_close_yet_is_refused(histories: list[Events]) -> None:
    """A skip for a deadline is legal only behind it."""
    for events in histories:
        for place, event in enumerate(events):
            first = events[place - 1].transaction != event.transaction
            if event.name == "SlotSkipped" and first:
                soon = events[place - 1].timestamp
                early = [replace(e, timestamp=soon) for e in events[place:]]
                number, why = objection([*events[:place], *early])
                assert number == place + 1
                assert "no deadline was over" in why
                return
    raise AssertionError("no game closes an expired step")


def test_names_and_accounts_are_unique_for_ever(histories: list[Events]) -> None:
    events = list(histories[0])
    one, two = events[0], events[1]
    for argument in ("name", "account"):
        events[1] = said(two, **{argument: one.arguments[argument]})
        number, why = objection(events)
        assert number == 2
        assert "given to a member before" in why


def test_a_history_begins_with_its_founders_and_ends_with_a_whole_transaction() -> None:
    events = game(*GAMES[0], MOVES)
    assert objection(()) == (1, "the history does not begin with two founders or more")
    assert objection(events[1:])[0] == 1
    assert objection(events[:1])[0] == 2
    _, place = find([events], "BallotClosed")
    number, why = objection(events[:place])
    assert number == place + 1
    assert why == "BallotClosed is missing: the history ends within a transaction"


def test_blocks_logs_and_transactions_are_in_order() -> None:
    events = list(game(*GAMES[0], MOVES))
    place = next(n for n in range(1, 99) if events[n].block != events[n - 1].block)
    event, before = events[place], events[place - 1]
    for change, word in (
        ({"block": before.block - 1}, "block"),
        ({"block_hash": before.block_hash}, "hash"),
        ({"timestamp": before.timestamp - 1}, "time"),
        ({"transaction": before.transaction}, "transaction"),
        ({"block": before.block, "block_hash": before.block_hash, "index": 0}, "index"),
    ):
        changed = [*events[:place], replace(event, **change), *events[place + 1 :]]
        number, why = objection(changed)
        assert number == place + 1, change
        assert word in why
    old = replace(events[-1], transaction=events[0].transaction)
    assert objection([*events[:-1], old]) == (len(events), "its transaction was over before")


def test_what_follows_from_an_action_stands_in_its_transaction(histories: list[Events]) -> None:
    events, place = _consequence(histories, "BallotClosed")
    later = [replace(events[place], transaction="0x" + 64 * "8"), *events[place + 1 :]]
    number, why = objection([*events[:place], *later])
    assert number == place + 1
    assert why.startswith("BallotClosed is missing before it")


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=3,
)


@given(place=st.integers(0, 300), draw=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_content_of_an_export_stops_a_replay_in_any_other_way(
    place: int, draw: st.DataObject
) -> None:
    """Whatever a forger writes, the replay objects: it never stumbles."""
    events = list(game(*GAMES[1], MOVES))
    event = events[place % len(events)]
    name = draw.draw(st.sampled_from([*event.arguments, "more"]))
    made = said(event, **{name: draw.draw(ANYTHING)})
    if draw.draw(st.booleans()):
        made = replace(made, name=draw.draw(st.sampled_from([*abi_of("event"), "Nothing"])))
    changed = [*events[: place % len(events)], made, *events[place % len(events) + 1 :]]
    number, why = objection(changed)
    assert (number == 0) == (why == "")
    assert number == 0 or number > place % len(events)


def test_every_event_of_the_contract_is_known_to_the_replay() -> None:
    for name in abi_of("event"):
        assert artifact().event(name) is not None
    event = game(*GAMES[0], MOVES)[0]
    unknown = replace(event, name="Transfer")
    assert objection([unknown]) == (1, "the contract has no event 'Transfer'")


def test_the_digest_of_a_key_is_computed_not_believed() -> None:
    events = game(*GAMES[0], MOVES)
    rotated = next(event for event in events if event.name == "KeyRotated")
    key = bytes.fromhex(str(rotated.arguments["sealingKey"]).removeprefix("0x"))
    assert rotated.arguments["sealingKeyDigest"] == "0x" + hashlib.sha256(key).hexdigest()
