"""Campaigns end to end, on real parts: see tests/simulated.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from cdistrim.devnet import Devnet
from cdistrim.errors import IntegrityError, NotReleasedError
from cdistrim.iteration import IterationRef, IterationSession, Trained
from cdistrim.lease import Lease
from cdistrim.protocol import BallotKind, CampaignState, SlotState
from cdistrim.site import Site, site_bound_to
from cdistrim.watch import await_ballot
from cdistrim.weights import Weights, from_bytes
from tasks.boundary import SiteFailure
from tests.prefect_server import PrefectServer
from tests.simulated import REPORTED, SimulatedConsortium, flipped

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture(scope="module")
def finished(
    devnet: Devnet, prefect_process: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> SimulatedConsortium:
    """Three hospitals after two cycles in mode holdout; to be looked at only."""
    simulated = SimulatedConsortium(tmp_path_factory.mktemp("finished"), devnet.url, cycles=2)
    with prefect_process.used_here():
        simulated.run()
    return simulated


def sentences(simulated: SimulatedConsortium, slot: int) -> list[str]:
    """What voters said of a slot's candidate, from their own logs."""
    return [
        line["sentence"]
        # A site that others outvoted before its turn came has no such file.
        for log in simulated.directory.glob("*/log/votes.jsonl")
        for line in map(json.loads, log.read_text().splitlines())
        if (line["slot"], line["step"]) == (slot, "upload")
    ]


# --- what honest hospitals get --------------------------------------------------------------------


def test_three_hospitals_complete_two_cycles(finished: SimulatedConsortium) -> None:
    view, lineage = finished.view(), finished.lineage()

    assert view.state is CampaignState.COMPLETED
    assert (view.accepted, view.head) == (6, 6)
    assert [slot.name for slot in lineage] == [
        f"hospital-{1 + (number - 1) % 3}-{number}" for number in range(1, 7)
    ]
    assert [slot.parent for slot in lineage] == [0, 1, 2, 3, 4, 5]
    assert len({slot.weights for slot in lineage}) == 6


def test_nothing_decrypted_and_no_key_of_a_slot_stays_on_a_disk(
    finished: SimulatedConsortium,
) -> None:
    for path in finished.directory.rglob("*"):
        if path.is_file():
            with suppress(IntegrityError):
                from_bytes(path.read_bytes())
                pytest.fail(f"{path} holds weights in plaintext")
    for site in finished.consortium.sites.values():
        left = {path.name for path in (site / "work").rglob("*") if path.is_file()}
        assert left <= {"lease.lock"}, left


def test_every_lease_is_free_after_a_campaign(finished: SimulatedConsortium) -> None:
    for path in finished.consortium.sites.values():
        site = Site(path)
        for directory in (site.work, site.turn):
            with Lease(directory, campaign=1, slot=1, purpose="test"):
                pass


def test_the_store_keeps_one_candidate_and_one_capsule_a_slot(
    finished: SimulatedConsortium,
) -> None:
    for kind in ("models", "capsules"):
        found = finished.consortium.store.glob(f"*/*/campaign-1/{kind}/*/*")
        assert len(list(found)) == 6


def test_a_campaign_in_the_papers_way_completes(simulate: Simulate) -> None:
    simulated = simulate(voting=REPORTED)

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    assert view.accepted == 3
    assert all(slot.candidate and any(slot.candidate.capsule_hash) for slot in simulated.slots())


def test_a_site_that_fails_to_measure_asks_for_no_vote_and_goes_on_from_there(
    simulate: Simulate,
) -> None:
    """It encrypts and deposits at the same time: that is no reason to ask."""
    simulated = simulate()
    simulated.found()
    number = simulated.open_campaign()
    site = simulated.site("hospital-1")
    in_the_way = site.memory / "measured"
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_bytes(b"")

    with pytest.raises(SiteFailure, match="evaluate of slot 1"):
        simulated.run()

    slot = site.ledger.slot(number, 1)
    assert slot.state is SlotState.TRAINING
    assert len(list(simulated.consortium.store.glob("*/*/campaign-1/models/*/*"))) == 1
    for directory in (site.work, site.turn):
        with Lease(directory, campaign=1, slot=1, purpose="test"):
            pass

    in_the_way.unlink()
    assert simulated.run().accepted == 3


# --- what damaging, malicious and absent ones get -------------------------------------------------


def test_a_hospital_with_wrong_labels_is_skipped_and_the_head_restored(simulate: Simulate) -> None:
    simulated = simulate()
    simulated.data["hospital-2"] = flipped(simulated.data["hospital-2"])

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    first, second, third = simulated.lineage()
    assert (second.state, second.reason) == ("SKIPPED", "DEGRADED")
    assert (first.state, third.state, third.parent) == ("ACCEPTED", "ACCEPTED", 1)
    assert all("worse" in sentence for sentence in sentences(simulated, 2))


def push(change: Callable[[Weights], Weights]) -> Callable[[Site, IterationRef], None]:
    """A trainer that uploads what ``change`` makes of the head, and claims its record is better."""

    def deed(site: Site, ref: IterationRef) -> None:
        session = IterationSession(site, ref)
        session.begin()
        session.request_token()
        await_ballot(site, ref, BallotKind.FETCH)
        session.fetch()
        session.lock()
        deadline = time.monotonic() + 60
        while session.head is None and time.monotonic() < deadline:
            time.sleep(0.2)
            with suppress(NotReleasedError):
                session.decrypt()
        assert session.head is not None
        weights = {name: value.clone() for name, value in session.head.items()}
        session.candidate = Trained(weights)
        session.evaluate()
        session.candidate = Trained(change(weights))
        session.encrypt()
        session.deposit()
        session.candidate = Trained(weights)
        session.request_upload()
        # It grants to late evaluators, too: it wants its model to be measured, and accepted.
        await_ballot(site, ref, BallotKind.UPLOAD, session.while_waiting)
        session.close()

    return deed


def nan(weights: Weights) -> Weights:
    """Poison both what is sealed and what is recorded."""
    for value in weights.values():
        if value.is_floating_point():
            value.fill_(torch.nan)
    return weights


def negated(weights: Weights) -> Weights:
    """Turn every score round: an AUC of 1 becomes 0."""
    (last,) = (value for value in weights.values() if value.dim() == 2)
    last.neg_()
    return weights


def switched(weights: Weights) -> Weights:
    """Record the harmless head, seal something else."""
    return {name: torch.zeros_like(value) for name, value in weights.items()}


def test_poisoned_switched_and_turned_models_are_voted_down(simulate: Simulate) -> None:
    simulated = simulate(cycles=2)
    simulated.malice = {2: push(nan), 3: push(switched), 5: push(negated)}

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    assert [slot.state for slot in simulated.lineage()] == [
        *("ACCEPTED", "SKIPPED", "SKIPPED"),
        *("ACCEPTED", "SKIPPED", "ACCEPTED"),
    ]
    assert [slot.parent for slot in simulated.lineage() if slot.name] == [0, 1, 4]
    assert all("not finite" in one for one in sentences(simulated, 2))
    assert all("IntegrityError" in one for one in sentences(simulated, 3))
    assert all("worse" in one for one in sentences(simulated, 5))


def test_a_silent_hospital_is_skipped_at_its_deadline(simulate: Simulate) -> None:
    simulated = simulate()
    simulated.silent = {"hospital-2": 1}

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    first, second, third = simulated.lineage()
    assert (second.state, second.reason) == ("SKIPPED", "DEADLINE_PASSED")
    assert (first.state, third.state, third.parent) == ("ACCEPTED", "ACCEPTED", 1)


def test_a_hospital_that_never_enrols_is_skipped(simulate: Simulate) -> None:
    simulated = simulate()
    simulated.silent = {"hospital-3": 0}

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    reasons = [slot.reason for slot in simulated.lineage()]
    assert reasons == ["NONE", "NONE", "NOT_ENROLLED"]


# --- what the server gets to know -----------------------------------------------------------------


def test_the_server_learns_a_failures_code_and_nothing_else(
    simulate: Simulate, prefect_server: PrefectServer
) -> None:

    simulated = simulate()
    simulated.found()
    number = simulated.open_campaign()
    path = simulated.consortium.sites["hospital-2"]
    (path / "data" / "train.npz").write_bytes(b"no archive")
    from flows.enrol import enrol

    with site_bound_to(path), pytest.raises(SiteFailure) as caught:
        enrol(number)

    assert "DataError" in str(caught.value)
    assert "train.npz" in (path / "log" / "site.log").read_text()
    stored = _stored_by(prefect_server, b"DataError in enrol")
    for secret in (
        str(simulated.directory),
        "train.npz",
        "not a readable set",
        (path / "passphrase").read_text(),
        simulated.site("hospital-2").keys.private_key.hex(),
    ):
        assert secret.encode() not in stored


def _stored_by(server: PrefectServer, expected: bytes) -> bytes:
    """All bytes of the server's database, once ``expected`` has arrived there."""
    end = time.monotonic() + 30
    while True:
        files: list[Path] = sorted(server.home.glob("prefect.db*"))
        stored = b"".join(path.read_bytes() for path in files)
        if expected in stored:
            return stored
        assert time.monotonic() < end, "the failure has not arrived"
        time.sleep(0.5)
