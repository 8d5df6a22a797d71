"""Nobody rewrites history without ``cdistrim verify`` naming the first altered record.

A real campaign is played on a chain of its own while the hospitals sign checkpoints; then its
export is forged, with every hash computed anew, or the chain itself goes back and takes another
course, as a majority of a private chain's validators can have it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdistrim.audit import (
    Source,
    audit,
    keep_checkpoint,
    read_export,
)
from cdistrim.audit.export import numbered
from cdistrim.devnet.directory import call as rpc
from cdistrim.ledger import LoggedEvent
from cdistrim.places import checkpoint_place
from cdistrim.protocol import BallotKind
from tests.cdistrim.audit.played import (
    Played,
    altered,
    first_difference,
    forged,
    played,
)
from tests.chain import BETTER, WORSE, candidate, digest
from tests.cli.command_line import assert_explained, call
from tests.reorganising import mine, reorganise

Change = Callable[[list[LoggedEvent]], list[LoggedEvent]]


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Three slots, of which the second was refused; checkpoints on the way.

    hospital-1 has signed after each slot, hospital-2 after the first and the last, hospital-3
    after the first only.
    """
    with played(tmp_path_factory.mktemp("campaign")) as hospitals:
        hospitals.slot(1)
        hospitals.sign("hospital-1", "hospital-2", "hospital-3")
        hospitals.slot(2, approve=False)
        hospitals.sign("hospital-1")
        hospitals.slot(3)
        hospitals.sign("hospital-1", "hospital-2")
        yield hospitals


@pytest.fixture(scope="module")
def honest(campaign: Played, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of that chain."""
    return campaign.export(tmp_path_factory.mktemp("export") / "honest.jsonl")


def _events(file: Path) -> list[LoggedEvent]:
    return [record.event for record in read_export(file)[1]]


def _place(events: list[LoggedEvent], name: str, which: int = 0, **arguments: object) -> int:
    """Where an event stands, from 0."""
    places = [
        place
        for place, event in enumerate(events)
        if event.name == name and event.arguments.items() >= arguments.items()
    ]
    return places[which]


# --- the history that happened --------------------------------------------------------------------


def test_the_history_that_happened_is_verified_against_what_everybody_signed(
    campaign: Played, honest: Path
) -> None:
    result = audit(Source.of_export(honest), held=campaign.checkpoints())

    assert result.first is None
    assert result.confirmed == result.history.records
    confirmed = {signer.name: signer.confirmed for signer in result.holding.signers}
    assert confirmed["hospital-1"] == confirmed["hospital-2"] == result.history.records
    assert 0 < confirmed["hospital-3"] < result.history.records


def test_a_sites_chain_its_store_and_everybodys_checkpoints_there_are_verified(
    campaign: Played,
) -> None:
    ended = call("verify", campaign.site("hospital-3").directory)

    assert ended.code == 0, ended.err
    assert re.search(
        r"signed by hospital-1 +ok +agrees up to record \d+ \(3 checkpoints\)", ended.out
    )
    assert re.search(
        r"signed by hospital-3 +ok +agrees up to record \d+ \(1 checkpoint\)", ended.out
    )
    assert re.search(r"accepted models +ok +2 of 2 lie whole", ended.out)
    assert "VERIFIED: all records are as hospital-1 and hospital-2 signed them." in ended.out


def test_without_any_checkpoint_verify_says_that_only_consistency_was_checked(
    honest: Path,
) -> None:
    ended = call("verify", "--export", honest)

    assert ended.code == 0, ended.err
    assert "CONSISTENT, and no more" in ended.out
    assert "VERIFIED" not in ended.out
    assert ended.out.count("no checkpoint") == 3


def test_records_behind_the_newest_checkpoint_are_said_to_be_confirmed_by_nobody(
    campaign: Played, honest: Path
) -> None:
    third = campaign.site("hospital-3").directory / "checkpoints"

    ended = call("verify", "--export", honest, "--checkpoint", third)

    assert ended.code == 0, ended.err
    found = re.search(r"records 1 to (\d+) are as hospital-3\s+signed them", ended.out)
    assert found is not None
    left = len(_events(honest)) - int(found.group(1))
    assert f"The {left} behind them are newer than every checkpoint" in " ".join(ended.out.split())


# --- a forged export ------------------------------------------------------------------------------


def _another_vote(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """The vote that refused slot 2 becomes a yes."""
    place = _place(events, "VoteCast", approve=False)
    return [*events[:place], altered(events[place], approve=True), *events[place + 1 :]]


def _other_cases(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """A hospital claims more cases: nothing that follows from its enrolment is overlooked."""
    account = events[1].arguments["account"]
    return [
        altered(event, cases=9_999)
        if "cases" in event.arguments and event.arguments["account"] == account
        else event
        for event in events
    ]


def _other_weights(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """Another model was accepted in slot 3, whichever record tells."""
    changed = "0x" + digest("other weights").hex()
    places = (_place(events, "CandidateSubmitted", slot=3), _place(events, "ModelAccepted", slot=3))
    found = list(events)
    submitted = events[places[0]]
    record = submitted.arguments["candidate"]
    assert isinstance(record, dict)
    found[places[0]] = altered(submitted, candidate=record | {"weightsHash": changed})
    found[places[1]] = altered(events[places[1]], weightsHash=changed)
    return found


def _dropped(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """A key's publication never happened."""
    place = _place(events, "KeyRotated", 2)
    return [*events[:place], *events[place + 1 :]]


def _inserted(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """Another hospital publishes a key once more, in a transaction and a log that are free."""
    place = _place(events, "KeyRotated", 0)
    event = events[place]
    twin = altered(
        event,
        formerDigest=event.arguments["sealingKeyDigest"],
        sealingKeyDigest="0x" + hashlib.sha256(b"\1").hexdigest(),
        sealingKey="0x01",
    )
    twin = type(twin)(**vars(twin) | {"transaction": "0x" + 64 * "7", "index": event.index + 1})
    return [*events[: place + 1], twin, *events[place + 1 :]]


def _reordered(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """Two hospitals enrolled in the other order: each takes over the other's place."""
    one, two = _place(events, "Enrolled", 0), _place(events, "Enrolled", 1)
    found = list(events)
    found[one] = type(events[one])(**vars(events[one]) | {"arguments": events[two].arguments})
    found[two] = type(events[two])(**vars(events[two]) | {"arguments": events[one].arguments})
    return found


def _truncated(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """The last slot did not happen."""
    return events[: _place(events, "SlotOpened", slot=3) + 1]


def _torn(events: list[LoggedEvent]) -> list[LoggedEvent]:
    """The end is missing, in the middle of a transaction."""
    return events[:-1]


FORGERIES: tuple[tuple[Change, bool], ...] = (
    (_another_vote, False),
    (_other_cases, True),
    (_other_weights, True),
    (_dropped, False),
    (_inserted, True),
    (_reordered, True),
    (_truncated, True),
    (_torn, False),
)
"""What a forger does, and whether the rules alone allow it."""


@pytest.mark.parametrize(
    ("change", "possible"), FORGERIES, ids=[change.__name__[1:] for change, _ in FORGERIES]
)
def test_a_forged_export_is_refused_and_the_first_altered_record_named(
    campaign: Played, honest: Path, tmp_path: Path, change: Change, possible: bool
) -> None:
    file = forged(honest, tmp_path / "forged.jsonl", change)
    real, made = _events(honest), _events(file)
    expected = first_difference(Source.of_export(honest).origin, real, made)
    what = f"record {expected}"

    result = audit(Source.of_export(file), held=campaign.checkpoints("hospital-1"))

    first = result.first
    assert first is not None
    assert (first.earliest, first.number) == (expected, expected)
    assert first.where.startswith(f"{what} (")
    assert (result.history.objection is None) == possible

    folder = campaign.site("hospital-1").directory / "checkpoints"
    ended = call("verify", "--export", file, "--checkpoint", folder)
    assert_explained(ended, 7, what)
    if expected <= len(made):
        event = made[expected - 1]
        assert f"block {event.block}, {event.name}" in ended.err

    against = call("verify", "--export", file, "--against", honest)
    assert_explained(against, 7, what)

    alone = call("verify", "--export", file)
    assert alone.code == (0 if possible else 7)


def test_a_line_that_was_altered_without_the_hashes_is_named_by_its_number(
    honest: Path, tmp_path: Path
) -> None:
    lines = honest.read_bytes().splitlines(keepends=True)
    for number in (1, len(lines) // 2, len(lines) - 1):
        line = json.loads(lines[number])
        line["timestamp"] += 1
        content = json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n"
        file = tmp_path / f"altered-{number}.jsonl"
        file.write_bytes(b"".join([*lines[:number], content, *lines[number + 1 :]]))

        assert_explained(call("verify", "--export", file), 7, f"record {number}", "altered")


def test_a_member_left_out_does_not_make_its_checkpoint_nobodys(
    campaign: Played, honest: Path, tmp_path: Path
) -> None:
    """Who has hospital-1 away from the founders would be rid of its checkpoints as well."""
    account = str(_events(honest)[0].arguments["account"])
    other = "0x" + "1" * 40

    def impostor(events: list[LoggedEvent]) -> list[LoggedEvent]:
        return [
            type(event)(
                **vars(event)
                | {"arguments": json.loads(json.dumps(event.arguments).replace(account, other))}
            )
            for event in events
        ]

    file = forged(honest, tmp_path / "forged.jsonl", impostor)
    assert audit(Source.of_export(file)).first is None, "the rules allow another founder"

    result = audit(Source.of_export(file), held=campaign.checkpoints("hospital-1"))

    assert result.first is not None
    assert (result.first.earliest, result.first.number) == (1, 1)
    assert "was no member then" in result.first.why


def test_a_checkpoint_in_a_members_name_that_it_did_not_sign_is_refused(
    campaign: Played, honest: Path, tmp_path: Path
) -> None:
    held = campaign.checkpoints("hospital-1")[-1].checkpoint
    for name, made in {
        "unsigned": held.model_copy(update={"signature": b""}),
        "later": held.model_copy(update={"records": held.records + 1}),
        "by another": held.signed(campaign.site("hospital-2").keys),
    }.items():
        file = tmp_path / name
        file.write_bytes(made.to_bytes())

        assert_explained(call("verify", "--export", honest, "--checkpoint", file), 7, str(file))


# --- any single change ----------------------------------------------------------------------------


def _mutations(events: list[LoggedEvent], draw: st.DataObject) -> list[LoggedEvent]:
    """One record is dropped, doubled, moved, cut off with all behind it, or says something else."""
    place = draw.draw(st.integers(0, len(events) - 1), label="place")
    what = draw.draw(st.sampled_from(("drop", "double", "swap", "cut", "alter", "where")))
    event = events[place]
    if what == "drop":
        return [*events[:place], *events[place + 1 :]]
    if what == "double":
        return [*events[:place], event, *events[place:]]
    if what == "swap":
        other = draw.draw(st.integers(0, len(events) - 1), label="other")
        found = list(events)
        found[place], found[other] = found[other], found[place]
        return found
    if what == "cut":
        return events[:place]
    if what == "where":
        part = draw.draw(st.sampled_from(("block", "timestamp", "index")))
        changed = getattr(event, part) + draw.draw(st.integers(1, 3))
        made = type(event)(**vars(event) | {part: changed})
    else:
        name = draw.draw(st.sampled_from(sorted(event.arguments)))
        made = altered(event, **{name: _other(event.arguments[name], draw)})
    return [*events[:place], made, *events[place + 1 :]]


def _other(value: object, draw: st.DataObject) -> object:
    """Another value of the same form, or of none."""
    if type(value) is bool:
        return not value
    if isinstance(value, int):
        return value + draw.draw(st.integers(1, 9))
    if isinstance(value, dict):
        name = draw.draw(st.sampled_from(sorted(value)))
        return value | {name: _other(value[name], draw)}
    if isinstance(value, list):
        return value[:-1]
    text = str(value)
    if text.startswith("0x"):
        return text[:-1] + ("1" if text[-1] != "1" else "2")
    return draw.draw(st.sampled_from([*BallotKind.__members__, "hospital-9"]))


@given(draw=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_single_change_is_refused_with_the_right_number(
    campaign: Played, honest: Path, draw: st.DataObject
) -> None:
    real = _events(honest)
    made = _mutations(real, draw)
    source = Source.of_export(honest)
    expected = first_difference(source.origin, real, made)
    if expected == 0:
        return
    changed = Source("changed", source.origin, lambda: numbered(source.origin, made))

    alone = audit(changed)
    # The rules can't object before the change; whether they do, is up to what was changed.
    assert alone.first is None or alone.first.number >= expected

    for held in (campaign.checkpoints("hospital-1"), campaign.checkpoints("hospital-2")):
        first = audit(changed, held=held).first
        assert first is not None
        assert (first.earliest, first.number) == (expected, expected)


# --- a rewritten chain ----------------------------------------------------------------------------


@pytest.fixture
def rewritten(tmp_path: Path) -> Iterator[tuple[Played, Path, int]]:
    """A chain on which one vote of the second slot was made undone, and cast the other way.

    The partners had signed before. With it: an export of what was, and how many records are left.
    """
    with played(tmp_path) as hospitals:
        hospitals.slot(1)
        hospitals.sign("hospital-2")
        _to_the_vote(hospitals)
        left = len(_events(hospitals.export(tmp_path / "left.jsonl")))
        snapshot = rpc(hospitals.url, "evm_snapshot")
        _vote(hospitals, approve=True)
        hospitals.slot(3)
        hospitals.sign("hospital-1", "hospital-2", "hospital-3")
        real = hospitals.export(tmp_path / "real.jsonl")

        assert rpc(hospitals.url, "evm_revert", snapshot) is True
        _vote(hospitals, approve=False)
        hospitals.slot(3)
        mine(hospitals.url, 20)
        yield hospitals, real, left


def _to_the_vote(hospitals: Played) -> None:
    """The second slot's owner has asked for its upload, the others have not voted."""
    seen = hospitals.hospitals
    view = seen.ledgers[0].campaign(1)
    owner = seen.ledgers[1]
    owner.request_fetch(campaign=1, slot=2, attempt=1, request_key_digest=digest("request", 2))
    _vote(hospitals, approve=True)
    owner.report_opened(campaign=1, slot=2, attempt=1)
    made = candidate(2, view.head)
    owner.request_upload(campaign=1, slot=2, attempt=1, candidate=made)


def _vote(hospitals: Played, *, approve: bool) -> None:
    """Votes in the open ballot until it is decided."""
    seen = hospitals.hospitals
    for voter in (seen.ledgers[0], seen.ledgers[2]):
        slot = voter.campaign(1).slot
        if slot is None or slot.ballot is None or not slot.ballot.waits_for(str(voter.account)):
            continue
        ballot = slot.ballot
        evidence = BETTER if approve else WORSE
        measured = evidence if ballot.kind is BallotKind.UPLOAD else None
        voter.cast_vote(
            ballot=ballot.id, subject=ballot.subject, approve=approve, evidence=measured
        )


@pytest.mark.slow
def test_a_rewritten_chain_is_told_by_what_the_partners_signed(
    rewritten: tuple[Played, Path, int], tmp_path: Path
) -> None:
    hospitals, real, left = rewritten
    expected = left + 1

    # A newcomer, to whom nobody has given anything, sees a chain that is in order.
    export = hospitals.export(tmp_path / "rewritten.jsonl")
    alone = call("verify", "--export", export)
    assert alone.code == 0, alone.err
    assert "CONSISTENT, and no more" in alone.out

    # Whoever has a partner's checkpoints is told which record is the first that was altered.
    folder = hospitals.site("hospital-2").directory / "checkpoints"
    told = call("verify", "--export", export, "--checkpoint", folder)
    assert_explained(told, 7, f"record {expected} (", "VoteCast, campaign 1, slot 2", "hospital-2")

    # So is every site, whose store has everybody's.
    for name in hospitals.names:
        ended = call("verify", hospitals.site(name).directory)
        assert_explained(ended, 7, f"First altered: record {expected} (", "VoteCast")

    # With an export of before it is told what was altered there, too.
    against = call("verify", "--export", export, "--against", real)
    assert_explained(against, 7, f"record {expected} (", "approve")

    # And no site signs what contradicts what it has signed.
    for name in hospitals.names:
        site = hospitals.site(name)
        kept = sorted((site.directory / "checkpoints").iterdir())
        signed = call("site", "checkpoint", site.directory)
        assert_explained(signed, 7, "does not have block", "verify")
        assert sorted((site.directory / "checkpoints").iterdir()) == kept


@pytest.mark.slow
def test_blocks_that_were_undone_below_a_checkpoint_leave_a_first_record_missing(
    tmp_path: Path,
) -> None:
    with played(tmp_path) as hospitals:
        hospitals.slot(1)
        left = len(_events(hospitals.export(tmp_path / "left.jsonl")))
        fourth = int(str(rpc(hospitals.url, "eth_blockNumber")), 16)
        hospitals.slot(2)
        hospitals.sign("hospital-1")
        depth = int(str(rpc(hospitals.url, "eth_blockNumber")), 16) - fourth
        reorganise(hospitals.url, depth)

        ended = call("verify", hospitals.site("hospital-3").directory)

        assert_explained(ended, 7, f"record {left + 1} (missing)", "hospital-1")


def test_only_final_blocks_are_signed(tmp_path: Path) -> None:
    with played(tmp_path) as hospitals:
        site = hospitals.site("hospital-1")
        file = site.directory / "site.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"confirmations": 3}))
        tip = int(str(rpc(hospitals.url, "eth_blockNumber")), 16)

        kept, new = keep_checkpoint(hospitals.site("hospital-1"))

        assert new
        assert kept.block == tip - 3


# --- the store ------------------------------------------------------------------------------------


def test_a_model_that_the_store_lost_or_altered_is_named_by_its_record(
    campaign: Played, honest: Path, tmp_path: Path
) -> None:
    site = campaign.site("hospital-1")
    store = tmp_path / "store"
    shutil.copytree(site.settings.store_url.removeprefix("file://"), store)
    accepted = [place + 1 for place, e in enumerate(_events(honest)) if e.name == "ModelAccepted"]
    (model,) = (store / campaign.place("models", 3)).iterdir()
    model.chmod(0o644)
    model.write_bytes(b"another model")

    ended = call("verify", "--export", honest, "--store", f"file://{store}")

    assert_explained(ended, 7, f"record {accepted[1]} (", "ModelAccepted", model.name)
    assert "1 of 2 lie whole" in ended.out


def test_junk_among_the_checkpoints_of_the_store_is_passed_over_and_said(
    campaign: Played, honest: Path, tmp_path: Path
) -> None:
    site = campaign.site("hospital-1")
    store = tmp_path / "store"
    shutil.copytree(site.settings.store_url.removeprefix("file://"), store)
    place = checkpoint_place(site.settings.chain_id, site.contract, "0x" + 40 * "e")
    (store / place).mkdir(parents=True)
    (store / place / hashlib.sha256(b"junk").hexdigest()).write_bytes(b"junk")

    ended = call("verify", "--export", honest, "--store", f"file://{store}")

    assert ended.code == 0, ended.err
    assert "no member signed them: 1 object" in " ".join(ended.out.split())
    assert "VERIFIED" in ended.out
