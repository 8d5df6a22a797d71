"""Answers to ballots. How an opinion is formed is tests/cdistrim/test_policy.py's business."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cdistrim.errors import LeaseHeldError, UnopenableHeadError
from cdistrim.iteration import Trained
from cdistrim.lease import Lease
from cdistrim.measurements import INFERENCE
from cdistrim.protocol import BallotKind, SkipReason, SlotState
from cdistrim.report.wording import short_hash
from cdistrim.voting import answer_ballot
from cdistrim.watch import observe
from cdistrim.weights import Weights
from tests.past import AfterSlots
from tests.reorganising import mine
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def asked_with(steps: Stepper, change: Callable[[Weights], None]) -> None:
    """The owner asks to upload what ``change`` made of the head, and claims that it is good."""
    session = steps.open_head()
    session.train()
    session.evaluate()
    assert session.candidate is not None
    change(session.candidate.weights)
    session.candidate = Trained(session.candidate.weights)
    session.encrypt()
    session.deposit()
    session.request_upload()
    session.release_weights()


def poison(weights: Weights) -> None:
    next(iter(weights.values())).fill_(torch.nan)


def inflate(weights: Weights) -> None:
    for value in weights.values():
        if value.is_floating_point():
            value.mul_(1000.0)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    """One bit, with the file's times put back."""
    times = path.stat()
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def rename(weights: Weights) -> None:
    weights["other"] = weights.pop(next(iter(weights)))


@pytest.mark.parametrize(
    ("change", "why"),
    [(poison, "not finite"), (inflate, "times as large"), (rename, "missing")],
)
def test_a_candidate_that_fails_a_hard_check_is_voted_down(
    simulate: Simulate, change: Callable[[Weights], None], why: str
) -> None:
    steps = Stepper(simulate(size=2))
    asked_with(steps, change)

    (answer,) = steps.vote()

    assert not answer.approve
    assert why in answer.sentence
    slot = steps.simulated.slots()[0]
    assert (slot.state, slot.skip_reason) == (SlotState.SKIPPED, SkipReason.DEGRADED)
    assert steps.view().head == 0


def swap(path: Path) -> None:
    """Another object under its name."""
    path.write_bytes(b"of another model")


@pytest.mark.parametrize(
    ("damage", "how"),
    [
        (Path.unlink, " is missing"),
        (truncate, " has the SHA-256 "),
        (alter, " has the SHA-256 "),
        (swap, " has the SHA-256 "),
    ],
)
@pytest.mark.parametrize("kind", ["models", "capsules"])
def test_a_candidate_with_a_damaged_object_is_voted_down_and_the_object_named(
    simulate: Simulate, damage: Callable[[Path], None], how: str, kind: str
) -> None:
    steps = Stepper(simulate(size=2))
    asked_with(steps, lambda _: None)
    where = steps.place("hospital-1", kind, "hospital-1-1")
    (path,) = (steps.simulated.consortium.store / where).iterdir()
    path.chmod(0o600)
    damage(path)

    (answer,) = steps.vote()

    assert not answer.approve
    named = f"{kind}/hospital-1-1/{short_hash(path.name)}"
    assert "(IntegrityError): 31337-0x…" in answer.sentence
    assert named + how in answer.sentence
    if path.exists():
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        assert f"{short_hash(found)}, not {short_hash(path.name)}." in answer.sentence
    kept = (steps.sites["hospital-2"].directory / "log" / "votes.jsonl").read_text()
    assert answer.sentence in json.loads(kept.splitlines()[-1])["sentence"]
    assert len(answer.sentence) < 240, "a display shows no more"


def test_nothing_is_measured_twice_at_a_site(after_slots: AfterSlots) -> None:
    steps = after_slots(2, size=2)

    for site in steps.sites.values():
        lines = (site.directory / "log" / "steps.jsonl").read_text().splitlines()
        measured = [line for line in lines if json.loads(line)["step"] == INFERENCE]
        # The genesis head and two candidates, each by voter and trainer alike.
        assert len(measured) == 3


def test_a_fetch_is_refused_where_the_spec_is_not_approved(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    steps.session().request_token()
    steps.sites["hospital-2"].refuse_spec(steps.simulated.spec.digest())

    (answer,) = steps.vote()

    assert not answer.approve
    assert "not approved" in answer.sentence
    assert steps.simulated.slots()[0].skip_reason is SkipReason.FETCH_REFUSED


@pytest.mark.parametrize("damage", [Path.unlink, truncate, alter])
def test_a_fetch_is_refused_where_the_head_is_damaged(
    after_slots: AfterSlots, damage: Callable[[Path], None]
) -> None:
    steps = after_slots(size=2)
    where = steps.place("hospital-1", "models", "hospital-1-1")
    (path,) = (steps.simulated.consortium.store / where).iterdir()
    path.chmod(0o600)
    damage(path)
    # The owner's own session would see it and ask for a restore instead.
    with pytest.raises(UnopenableHeadError):
        steps.session().request_token()
    steps.owner().ledger.request_fetch(
        campaign=1, slot=2, attempt=1, request_key_digest=bytes(31) + b"1"
    )

    (answer,) = steps.vote()

    assert not answer.approve
    assert "hash is wrong (31337-0x…" in answer.sentence
    assert f"/models/hospital-1-1/{short_hash(path.name)} " in answer.sentence
    assert steps.simulated.slots()[1].skip_reason is SkipReason.FETCH_REFUSED


def test_nobody_votes_twice_or_where_nobody_asks(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    voter = steps.sites["hospital-2"]
    assert answer_ballot(voter, steps.view()) is None
    steps.session().request_token()

    assert answer_ballot(voter, steps.view()) is not None

    assert answer_ballot(voter, steps.view()) is None
    slot = steps.simulated.slots()[0]
    assert slot.ballot is not None
    assert (slot.ballot.kind, slot.ballot.yes) == (BallotKind.FETCH, 2)


def test_no_candidate_is_opened_while_others_have_weights_of_the_site(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    asked_with(steps, lambda _: None)
    voter = steps.sites["hospital-2"]
    with (
        Lease(voter.work, campaign=9, slot=9, purpose="another process"),
        pytest.raises(LeaseHeldError),
    ):
        answer_ballot(voter, steps.view())
    assert answer_ballot(voter, steps.view()) is not None


def test_a_ballot_that_was_decided_in_a_block_that_does_not_count_yet_is_over(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3))
    session, late = steps.session(), steps.behind("hospital-3")
    session.request_token()
    mine(late.settings.ledger_url)
    assert answer_ballot(steps.sites["hospital-2"], steps.view()) is not None

    seen = observe(late.ledger, steps.campaign)
    assert seen.slot is not None
    assert seen.slot.ballot is not None
    assert seen.slot.ballot.waits_for(late.account)
    assert answer_ballot(late, seen) is None
