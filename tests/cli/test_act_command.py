"""``cdistrim site act``: what is said of refusals and of failures, and the exit code then.

How duties are done is tests/deployments/test_agent.py's and test_minder.py's business.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim.convening import open_campaign
from cdistrim.site import Site
from tests.cli.command_line import assert_explained, call, start
from tests.simulated import SimulatedConsortium, tiny_spec
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]

pytestmark = pytest.mark.slow


@pytest.fixture
def two(simulate: Simulate) -> SimulatedConsortium:
    """Two hospitals; campaign 1 is approved at both, campaign 2 was opened by hospital-1."""
    consortium = simulate(2)
    consortium.found()
    consortium.open_campaign()
    second = tiny_spec(consortium.names, name="second")
    assert open_campaign(consortium.site("hospital-1"), second) == 2
    return consortium


def _answers_forgotten(site: Site) -> None:
    for path in (site.directory / "approved").iterdir():
        path.unlink()


def test_a_refused_campaign_is_no_failure_and_the_others_go_on(two: SimulatedConsortium) -> None:
    directory = two.consortium.sites["hospital-2"]
    refused = call("campaign", "refuse", directory, 2)
    assert (refused.code, "refused at hospital-2" in refused.out) == (0, True)
    assert "second" in call("campaign", "list", directory).out

    ended = start("site", "act", directory)

    assert ended.code == 0, ended.err
    assert "done: campaign 1: enrol, until " in ended.out
    assert "campaign 2: refused here; hospital-2 does not enrol\n" in ended.out
    assert "cdistrim: " not in ended.err
    site = Site(directory)
    assert site.ledger.campaign(1).enrolment(site.account) is not None
    assert site.ledger.campaign(2).enrolment(site.account) is None


def test_why_is_said_of_every_duty_that_fails_and_the_first_gives_the_code(
    two: SimulatedConsortium,
) -> None:
    site = two.site("hospital-2")
    _answers_forgotten(site)
    # The newest campaign comes first, and its spec is gone: 7. The other waits for an answer: 3.
    (two.consortium.store / "specs" / site.ledger.campaign(2).spec_hash.hex()).unlink()

    ended = start("site", "act", site.directory)

    assert_explained(ended, 7, "has not approved spec")
    lines = [line for line in ended.err.splitlines() if line.startswith("cdistrim: ")]
    assert len(lines) == 2, ended.err
    assert lines[0].startswith("cdistrim: campaign 2: specs/")
    assert lines[1].startswith("cdistrim: campaign 1: hospital-2 has not approved spec")
    assert ended.out.count("failed: campaign ") == 2
    assert f"cdistrim campaign review {site.directory} 1" in ended.err


def test_a_site_that_was_removed_is_told_so(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3))
    leaving = steps.sites["hospital-3"]
    steps.any.ledger.propose_removal(account=leaving.account)
    steps.decide("hospital-3")
    (former,) = steps.any.ledger.former_members()

    for ended in (
        call("site", "check", leaving.directory),
        start("site", "act", leaving.directory),
    ):
        assert_explained(
            ended, 3, f"hospital-3 ({leaving.account}) was removed", "UTC", "stop its agent"
        )
        assert "admit it" not in ended.err
    assert former.removed_at > 0
    left = start("site", "act", steps.any.directory)
    assert "take out hospital-3, removed at " in left.out
    assert leaving.account not in left.out


def test_a_duty_that_is_over_is_said_to_be(two: SimulatedConsortium) -> None:
    site = two.site("hospital-2")

    ended = start("site", "act", site.directory, "--duty", f"9/1/1/iterate/{site.account}")

    assert ended.code == 0, ended.err
    assert "9/1/1/iterate" in ended.out
    assert "is over" in ended.out
