"""Specs that can't work: named when a campaign is opened or enrolled in, with the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cdistrim.handwritten import MAX_FILE
from cdistrim.site import Site
from tests.cli.command_line import assert_explained, call, start
from tests.factories import make_site_data
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture
def consortium(simulate: Simulate) -> SimulatedConsortium:
    """Two hospitals without a campaign."""
    simulated = simulate(size=2)
    simulated.found()
    return simulated


@pytest.fixture
def site(consortium: SimulatedConsortium) -> Path:
    """The directory of the site that opens."""
    return consortium.consortium.sites["hospital-1"]


def test_opening_a_campaign_from_a_spec_that_is_none(site: Path, tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    assert_explained(call("campaign", "open", site, path), 2, str(path))
    path.write_text('{"name": "x"}')
    assert_explained(call("campaign", "open", site, path), 3, "spec")
    path.unlink()
    os.mkfifo(path)
    for none in (path, tmp_path, Path("/dev/zero")):
        assert_explained(call("campaign", "open", site, none), 2, str(none), "no regular file")


def test_opening_a_campaign_from_a_spec_that_can_be_read_in_two_ways(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spec.json"
    content = consortium.spec.canonical()
    for written, words in (
        (content.replace(b'"cycles":1', b'"cycles":1,"cycles":2'), ("cycles", "twice")),
        (content.replace(b'"cycles":1', b'"cycles":true'), ("cycles", "true")),
        (content.replace(b'"cycles":1', b'"cycles":"1"'), ("cycles", '"1"')),
        (content.ljust(MAX_FILE + 1), (str(MAX_FILE),)),
    ):
        path.write_bytes(written)
        assert_explained(call("campaign", "open", site, path), 3, "campaign spec", *words)


def test_opening_a_campaign_with_a_first_head_that_the_seed_does_not_give(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spec.json"
    made = consortium.spec.genesis.weights_hash
    path.write_bytes(consortium.spec.canonical().replace(made.encode(), b"0" * 64))

    ended = call("campaign", "open", site, path)

    assert_explained(ended, 7, "0" * 64, made, "genesis.weights_hash", "PyTorch")
    assert Site(site).ledger.campaigns() == 0


def test_opening_a_campaign_with_a_quorum_that_its_partners_can_not_reach(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spec.json"
    fields = consortium.spec.model_dump(mode="json")
    fields["voting"]["quorum"] = 5
    path.write_text(json.dumps(fields))

    ended = call("campaign", "open", site, path)

    assert_explained(ended, 3, "voting.quorum is 5", "2 partners", "at most 2")


def test_opening_a_campaign_with_a_stranger(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    path = tmp_path / "spec.json"
    spec = consortium.spec.model_copy(update={"order": ("hospital-1", "hospital-9")})
    path.write_bytes(spec.canonical())

    assert_explained(call("campaign", "open", site, path), 3, "hospital-9", "hospital-2")


def test_enrolling_in_a_campaign_whose_model_is_for_other_volumes(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.data["hospital-2"] = make_site_data(seed=9, shape=(8, 8, 16))
    simulated.found()
    simulated.open_campaign()

    ended = start("site", "act", simulated.consortium.sites["hospital-2"])

    assert_explained(ended, 3, "(8, 8, 16)", "(8, 8, 8)", "model.shape")
    assert simulated.view().enrolments == ()
