"""Rules of the minder: what nobody called for is done, in time, once, and without any server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from cdistrim.enrolment import enrol
from cdistrim.lease import Lease
from cdistrim.protocol import CampaignState, Deed
from cdistrim.site import Site
from cdistrim.standing import standing_duties
from deployments.minder import CHECKPOINT_S, LONGEST_BACKOFF, Minder
from tests.simulated import SimulatedConsortium

GRACE = 30.0

Simulate = Callable[..., SimulatedConsortium]


@dataclass
class _Helpers:
    """Stands in for the operating system: notes what is started; each command ends at once."""

    now: float = 0.0
    commands: list[list[str]] = field(default_factory=list)

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        self.commands.append(command)
        done = subprocess.Popen(["true"])
        done.wait()
        return done

    def clock(self) -> float:
        return self.now

    def minder(self, site: Site) -> Minder:
        return Minder(site.directory, GRACE, start=self.start, clock=self.clock)


@pytest.fixture
def running(simulate: Simulate) -> SimulatedConsortium:
    """A campaign whose first slot waits for hospital-1."""
    consortium = simulate(2)
    consortium.found()
    number = consortium.open_campaign()
    for name in consortium.names:
        site = consortium.site(name)
        site.ledger.enrol(campaign=number, cases=24, data_commitment=b"\1" * 32, evaluator=True)
    return consortium


def test_a_duty_is_left_to_the_coordinator_for_the_time_of_grace(
    running: SimulatedConsortium,
) -> None:
    helpers = _Helpers()
    minder = helpers.minder(running.site("hospital-1"))
    minder.look()
    helpers.now = GRACE
    minder.look()
    assert helpers.commands == []
    helpers.now = GRACE + 1
    minder.look()
    (command,) = helpers.commands
    assert "1/1/1/iterate/" in command[-1]


def test_what_is_tried_in_vain_is_tried_less_and_less_often(running: SimulatedConsortium) -> None:
    helpers = _Helpers()
    minder = helpers.minder(running.site("hospital-1"))
    for second in range(0, int(20 * GRACE), 5):
        helpers.now = float(second)
        minder.look()
    # After 1, 3, 7 and 15 times the grace.
    assert len(helpers.commands) == 4
    helpers.now += 2 * LONGEST_BACKOFF * GRACE
    minder.look()
    assert len(helpers.commands) == 5


def test_an_iteration_that_is_under_way_is_not_started_again(running: SimulatedConsortium) -> None:
    helpers, site = _Helpers(), running.site("hospital-1")
    minder = helpers.minder(site)
    with Lease(site.turn, campaign=1, slot=1, purpose="test"):
        for second in (0.0, GRACE + 1, 3 * GRACE):
            helpers.now = second
            minder.look()
    assert helpers.commands == []


def test_nobody_acts_for_another_site(running: SimulatedConsortium) -> None:
    helpers = _Helpers()
    minder = helpers.minder(running.site("hospital-2"))
    for second in (0.0, GRACE + 1):
        helpers.now = second
        minder.look()
    assert helpers.commands == []


def test_no_process_is_started_for_what_the_operator_refused(
    running: SimulatedConsortium,
) -> None:
    helpers, site = _Helpers(), running.site("hospital-1")
    site.refuse_spec(running.spec.digest())
    minder = helpers.minder(site)
    for second in (0.0, GRACE + 1):
        helpers.now = second
        minder.look()
    assert helpers.commands == []


def _signed(site: Site) -> int:
    return len(list((site.directory / "checkpoints").glob("*")))


def test_what_is_new_on_the_ledger_is_signed_at_most_every_ten_minutes(
    running: SimulatedConsortium,
) -> None:
    helpers, site = _Helpers(), running.site("hospital-1")
    minder = helpers.minder(site)
    minder.sign()
    assert _signed(site) == 1, "at the start at once"
    owner = site.ledger
    owner.request_fetch(campaign=1, slot=1, attempt=1, request_key_digest=b"\1" * 32)
    helpers.now = CHECKPOINT_S - 1
    minder.sign()
    assert _signed(site) == 1
    helpers.now = CHECKPOINT_S
    minder.sign()
    assert _signed(site) == 2
    helpers.now = 2 * CHECKPOINT_S
    minder.sign()
    assert _signed(site) == 2, "nothing is new"


def test_a_checkpoint_that_fails_keeps_the_minder_from_no_duty(
    running: SimulatedConsortium,
) -> None:
    site = running.site("hospital-1")
    (site.directory / "checkpoints").write_text("in the way")
    helpers = _Helpers()
    minder = helpers.minder(site)
    minder.sign()
    log = (site.directory / "log" / "site.log").read_text()
    assert "The checkpoint of the ledger failed" in log


@pytest.mark.slow
def test_a_site_that_nobody_calls_enrols_without_any_server(simulate: Simulate) -> None:
    consortium = simulate(2)
    consortium.found()
    number = consortium.open_campaign()
    enrol(consortium.site("hospital-1"), number)
    site = consortium.site("hospital-2")
    (duty,) = standing_duties(site)
    assert duty.deed is Deed.ENROL
    act = ["-P", "-m", "cdistrim", "site", "act", str(site.directory), "--duty", duty.key]
    done = subprocess.run([sys.executable, *act], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("done: campaign 1: enrol, until ")
    assert "hospital-2: campaign 1: enrol, until " in done.stderr, "said before it is done"
    assert consortium.view(number).state is CampaignState.RUNNING
    act = act[:6]
    idle = subprocess.run([sys.executable, *act], capture_output=True, text=True, check=False)
    assert idle.returncode == 0, idle.stderr
    assert "Nothing is asked of this site now.\n  campaign 1, slot 1: take the turn" in idle.stdout
    assert idle.stdout.endswith(" UTC: hospital-1\n")
    act[5] = str(consortium.site("hospital-1").directory)
    with subprocess.Popen(
        [sys.executable, *act], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stderr is not None
        said = next((line for line in owner.stderr if "waits for" in line), "")
        owner.kill()
    assert (
        "waits for 2 votes on its fetch, 1 yes and 0 no so far, not yet hospital-2; until" in said
    )
