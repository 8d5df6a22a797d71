"""Rules of checkpoints: made when something is new, kept for ever, deposited in the store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cdistrim.audit import Source, audit, checkpoints_at, keep_checkpoint
from cdistrim.audit.checkpoint import TRAIL_PIECE, Checkpoint, checkpoints_in, newest
from cdistrim.audit.export import numbered
from cdistrim.errors import (
    IntegrityError,
    LedgerUnavailableError,
    StoreUnavailableError,
    UsageError,
)
from cdistrim.places import checkpoint_place
from cdistrim.site import Site
from tests.cdistrim.audit.played import Played, played
from tests.reorganising import mine


@pytest.fixture
def hospitals(tmp_path: Path) -> Iterator[Played]:
    with played(tmp_path, size=2) as consortium:
        yield consortium


def files(site: Site) -> list[Path]:
    """What it has kept."""
    return sorted((site.directory / "checkpoints").glob("*"))


def test_one_is_made_when_something_is_new_and_not_before(hospitals: Played) -> None:
    site = hospitals.site("hospital-1")
    first, new = keep_checkpoint(site)
    assert new
    mine(hospitals.url, 3)
    assert keep_checkpoint(site) == (first, False), "blocks without an event are nothing new"
    assert len(files(site)) == 1
    hospitals.slot(1)
    second, new = keep_checkpoint(site)
    assert new
    assert second.records > first.records
    assert len(files(site)) == 2
    assert newest(site) == second


def test_a_checkpoint_says_what_an_export_says(hospitals: Played, tmp_path: Path) -> None:
    """It goes on from the one before, without reading what that one covers."""
    site = hospitals.site("hospital-1")
    keep_checkpoint(site)
    hospitals.slot(1)
    made, _ = keep_checkpoint(site)
    source = Source.of_export(hospitals.export(tmp_path / "export"))
    digests = [record.digest for record in source.records()]
    assert made.records == len(digests)
    assert made.digest == digests[-1]
    first = min(made.pieces)
    assert first > 1
    told = [digest[:TRAIL_PIECE] for digest in digests[first - 1 :]]
    assert list(made.pieces.values()) == told
    assert audit(source, held=list(checkpoints_at(files(site)))).first is None


def test_partners_hold_each_others_in_the_store(hospitals: Played) -> None:
    one, two = hospitals.site("hospital-1"), hospitals.site("hospital-2")
    made = {keep_checkpoint(one)[0], keep_checkpoint(two)[0]}
    origin = next(iter(made)).origin
    held, junk = checkpoints_in(one.store, origin)
    assert {each.checkpoint for each in held} == made
    assert not junk
    assert {each.where.split("/")[1] for each in held} == {
        one.account.lower(),
        two.account.lower(),
    }


def test_what_is_not_read_because_it_is_too_much_is_told(
    hospitals: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = hospitals.site("hospital-1"), hospitals.site("hospital-2")
    made = {keep_checkpoint(one)[0], keep_checkpoint(two)[0]}
    origin = next(iter(made)).origin
    place = checkpoint_place(origin.chain_id, origin.contract, one.account)
    for word in (b"junk", b"more junk"):
        one.store.put(place, word)
    monkeypatch.setattr("cdistrim.audit.checkpoint._MOST_IN_STORE", 1)
    held, junk = checkpoints_in(one.store, origin)
    assert len(held) + len(junk) == 4
    assert two.account.lower() in {each.where.split("/")[1] for each in held}

    monkeypatch.setattr("cdistrim.audit.checkpoint._MOST_AUTHORS", 1)
    _, junk = checkpoints_in(one.store, origin)
    last = max(one.account.lower(), two.account.lower())
    assert checkpoint_place(origin.chain_id, origin.contract, last) in junk


def test_what_the_store_did_not_take_is_deposited_later(hospitals: Played) -> None:
    site = hospitals.site("hospital-1")
    settings = site.directory / "site.json"
    good = settings.read_text()
    (site.directory / "file").write_text("in the way")
    url = f"file://{site.directory}/file/store"
    settings.write_text(json.dumps(json.loads(good) | {"store_url": url}))
    with pytest.raises(StoreUnavailableError):
        keep_checkpoint(hospitals.site("hospital-1"))
    assert len(files(site)) == 1, "it is kept all the same"
    settings.write_text(good)
    kept, new = keep_checkpoint(hospitals.site("hospital-1"))
    assert not new
    held, _ = checkpoints_in(site.store, kept.origin)
    assert [each.checkpoint for each in held] == [kept]


def test_a_node_that_is_behind_is_not_taken_for_a_rewritten_chain(hospitals: Played) -> None:
    site = hospitals.site("hospital-1")
    keep_checkpoint(site)
    settings = site.directory / "site.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"confirmations": 2}))
    with pytest.raises(LedgerUnavailableError, match="in sync"):
        keep_checkpoint(hospitals.site("hospital-1"))


def test_a_kept_checkpoint_that_was_altered_is_not_built_on(hospitals: Played) -> None:
    site = hospitals.site("hospital-1")
    made, _ = keep_checkpoint(site)
    (file,) = files(site)
    file.write_bytes(made.model_copy(update={"block": made.block - 1}).to_bytes())
    with pytest.raises(IntegrityError, match=file.name):
        keep_checkpoint(site)


def test_somebody_elses_checkpoint_in_ones_own_folder_is_refused(hospitals: Played) -> None:
    site = hospitals.site("hospital-1")
    keep_checkpoint(site)
    (file,) = files(site)
    other, _ = keep_checkpoint(hospitals.site("hospital-2"))
    file.write_bytes(other.to_bytes())
    with pytest.raises(IntegrityError, match="signed by"):
        keep_checkpoint(site)


def test_checkpoints_are_found_in_files_and_below_folders(
    hospitals: Played, tmp_path: Path
) -> None:
    made, _ = keep_checkpoint(hospitals.site("hospital-1"))
    (tmp_path / "some" / "where").mkdir(parents=True)
    (tmp_path / "some" / "where" / "any name").write_bytes(made.to_bytes())
    (tmp_path / "some" / ".hidden").write_bytes(b"nothing of ours")
    assert [each.checkpoint for each in checkpoints_at([tmp_path / "some"])] == [made]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no checkpoint below"):
        list(checkpoints_at([tmp_path / "empty"]))
    with pytest.raises(UsageError, match="can't be read"):
        list(checkpoints_at([tmp_path / "nothing"]))


@pytest.mark.parametrize(
    "changes",
    [
        {"records": 1},
        {"trail": b"1234567"},
        {"trail": b"12345678" * 999},
        {"digest": bytes(32)},
    ],
    ids=lambda changes: str(next(iter(changes))),
)
def test_one_that_contradicts_itself_is_refused_whoever_signed_it(
    hospitals: Played, changes: dict[str, object]
) -> None:
    site = hospitals.site("hospital-1")
    made, _ = keep_checkpoint(site)
    wrong = made.model_copy(update=changes | {"signature": b""}).signed(site.keys)
    with pytest.raises(IntegrityError, match="canonical"):
        Checkpoint.parse(wrong.to_bytes()).require_sound()


def test_checkpoints_of_another_contract_are_no_evidence(hospitals: Played, tmp_path: Path) -> None:
    site = hospitals.site("hospital-1")
    made, _ = keep_checkpoint(site)
    other = made.model_copy(update={"contract": "0x" + 40 * "5", "signature": b""})
    (tmp_path / "other").write_bytes(other.signed(site.keys).to_bytes())
    held = list(checkpoints_at([tmp_path / "other"]))
    with pytest.raises(IntegrityError, match="of the same consortium"):
        audit(hospitals.chain, held=held)


def test_a_trail_that_was_cut_names_a_range_of_records(hospitals: Played, tmp_path: Path) -> None:
    """Where there was more than a trail takes, two checkpoints of a member bound the change."""
    site = hospitals.site("hospital-1")
    first, _ = keep_checkpoint(site)
    hospitals.slot(1)
    made, _ = keep_checkpoint(site)
    short = made.model_copy(update={"trail": made.trail[-TRAIL_PIECE:], "signature": b""})
    folder = tmp_path / "held"
    folder.mkdir()
    (folder / "first").write_bytes(first.to_bytes())
    (folder / "second").write_bytes(short.signed(site.keys).to_bytes())
    source = hospitals.chain
    events = [record.event for record in source.records()]
    place = first.records + 2
    events[place] = type(events[place])(**vars(events[place]) | {"index": 7})

    changed = Source("changed", source.origin, lambda: numbered(source.origin, events))
    result = audit(changed, held=list(checkpoints_at([folder])))

    (signer,) = result.holding.signers
    assert signer.finding is not None
    assert (signer.finding.earliest, signer.finding.number) == (first.records + 1, made.records)
    assert f"one of the records {first.records + 1} to {made.records}" in str(signer.finding)
