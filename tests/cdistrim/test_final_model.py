"""The final model leaves a consortium by a majority's grant only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cdistrim import custody
from cdistrim.errors import LeaseHeldError, LedgerRefusal, NotReleasedError, UsageError
from cdistrim.final_model import fetch_final_model
from cdistrim.lease import Lease
from cdistrim.leftovers import clear_when_idle
from cdistrim.membership import answer_proposal, open_proposal
from cdistrim.protocol import CampaignState, Deed, FinalFetchState, duties
from cdistrim.report.wording import moment
from cdistrim.site import Site
from cdistrim.weights import from_bytes, weights_hash
from tests.awake import awake
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

pytestmark = pytest.mark.usefixtures("rights_by_prefix")

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture
def completed(after_slots: AfterSlots) -> Stepper:
    """A campaign of three slots that has ended."""
    steps = after_slots(3)
    assert steps.view().state is CampaignState.COMPLETED
    return steps


def fetch(site: Site, file: Path, patience: float = 60) -> None:
    """As the command does."""
    fetch_final_model(site, 1, file, patience=patience)


def test_a_majority_grants_it_and_its_shares_open_it(completed: Stepper, tmp_path: Path) -> None:
    asking, *others = completed.sites.values()
    file = tmp_path / "model.safetensors"
    with awake(*others):
        fetch(asking, file)

    head = asking.ledger.model(1, 3)
    assert weights_hash(from_bytes(file.read_bytes())) == head.weights_hash
    assert file.stat().st_mode & 0o077 == 0
    assert asking.ledger.final_fetch(1, asking.account).state is FinalFetchState.OPENED
    assert not list(asking.work.glob("request-*"))
    opened = [each for each in asking.ledger.history(1) if each.name == "ModelOpened"][-1]
    assert opened.arguments["good"] in (2, 3)
    with pytest.raises(UsageError, match="already"):
        fetch(asking, file)


def test_who_is_waited_for_is_said_by_name_and_once(completed: Stepper, tmp_path: Path) -> None:
    asking, first, second = completed.sites.values()
    said: list[str] = []

    def ask(patience: float) -> None:
        fetch_final_model(asking, 1, tmp_path / "model", patience=patience, say=said.append)

    with pytest.raises(NotReleasedError):
        ask(0.3)
    (ballot,) = completed.view().requests
    until = moment(ballot.deadline)
    votes = "Waits for 2 votes, 1 yes and 0 no so far, not yet hospital-2 and hospital-3"
    assert said[1:] == [f"{votes}; until {until}."]

    said.clear()
    with awake(second, release=False), pytest.raises(NotReleasedError):
        ask(3)
    until = moment(asking.ledger.final_fetch(1, asking.account).deadline)
    assert said[-1] == (
        f"Has 1 of the 2 shares needed, nothing yet from hospital-2 and hospital-3; until {until}."
    )
    assert len(said) == len(set(said))
    with awake(first):
        ask(60)


def test_it_can_be_had_after_a_member_was_removed(completed: Stepper, tmp_path: Path) -> None:
    """Nobody has taken the member out of the campaign: in one that is over nothing is due."""
    asking, staying, leaving = completed.sites.values()
    asking.ledger.propose_removal(account=leaving.account)
    proposal = open_proposal(staying, leaving.name)
    answer_proposal(staying, proposal, approve=True, anyway=True)
    assert completed.view().removals_pending
    file = tmp_path / "model.safetensors"

    with awake(staying):
        fetch(asking, file)

    head = asking.ledger.model(1, 3)
    assert weights_hash(from_bytes(file.read_bytes())) == head.weights_hash
    assert not completed.view().removals_pending


def test_without_a_grant_no_share_is_released(completed: Stepper, tmp_path: Path) -> None:
    asking, first, second = completed.sites.values()
    second.refuse_spec(completed.simulated.spec.digest())
    first.refuse_spec(completed.simulated.spec.digest())
    with awake(first, second), pytest.raises(LedgerRefusal, match="refused"):
        fetch(asking, tmp_path / "model")
    assert not (tmp_path / "model").exists()
    assert not list((completed.simulated.consortium.store).rglob("releases/final-*"))


def test_the_key_of_a_request_goes_once_nothing_can_come_of_it(
    completed: Stepper, tmp_path: Path
) -> None:
    asking = completed.any
    with pytest.raises(NotReleasedError, match="not granted"):
        fetch(asking, tmp_path / "model", patience=0.2)
    clear_when_idle(asking)
    (key,) = asking.work.glob("request-1-0-1.key")  # It may still be granted.
    about_to_ask = asking.work / "request-1-0-2.key"
    about_to_ask.write_bytes(b"another process is at it")

    completed.simulated.travel(completed.simulated.spec.deadlines.fetch_ballot + 1)
    clear_when_idle(asking)

    assert not key.exists()
    assert about_to_ask.exists()


def test_one_that_waits_in_vain_goes_on_later(completed: Stepper, tmp_path: Path) -> None:
    asking, first, second = completed.sites.values()
    with pytest.raises(NotReleasedError, match="not granted"):
        fetch(asking, tmp_path / "model", patience=0.2)
    with (
        awake(first, second, release=False),
        pytest.raises(NotReleasedError, match="1 good share "),
    ):
        fetch(asking, tmp_path / "model", patience=3)
    asked = {(duty.deed, duty.partner) for duty in duties(completed.view())}
    assert {(Deed.RELEASE, first.account), (Deed.RELEASE, second.account)} <= asked

    with awake(second):
        fetch(Site(asking.directory), tmp_path / "model")

    assert asking.ledger.final_fetch(1, asking.account).round == 1
    assert not list(duties(completed.view()))


def test_a_token_that_ran_out_is_asked_for_again(completed: Stepper, tmp_path: Path) -> None:
    asking, *others = completed.sites.values()
    with awake(*others, release=False), pytest.raises(NotReleasedError):
        fetch(asking, tmp_path / "model", patience=2)
    completed.simulated.travel(2 * 3600)
    assert not completed.view().granted_fetches()
    with awake(*others):
        fetch(asking, tmp_path / "model")
    assert asking.ledger.final_fetch(1, asking.account).round == 2


def test_nothing_else_of_the_site_has_weights_meanwhile(completed: Stepper, tmp_path: Path) -> None:
    asking, *others = completed.sites.values()
    with (
        Lease(asking.work, campaign=9, slot=9, purpose="another process"),
        awake(*others),
        pytest.raises(LeaseHeldError, match="another process"),
    ):
        fetch(asking, tmp_path / "model")


def test_a_campaign_that_runs_has_no_final_model(simulate: Simulate, tmp_path: Path) -> None:
    steps = Stepper(simulate(size=2))
    with pytest.raises(UsageError, match="running"):
        fetch(steps.any, tmp_path / "model")


def test_a_share_for_a_slot_does_not_open_the_final_model(completed: Stepper) -> None:
    """Messages of both kinds lie at different places and are bound to different grants."""
    places = {path.name for path in completed.simulated.consortium.store.rglob("releases/*")}
    assert places == {"2-1", "3-1"}
    head = completed.any.ledger.model(1, 3)
    (capsule,) = custody.capsules(completed.any, 1, head)
    assert capsule.threshold == 2


def test_of_a_campaign_without_an_accepted_model_there_is_none(
    simulate: Simulate, tmp_path: Path
) -> None:
    steps = Stepper(simulate(size=2))
    with pytest.raises(UsageError, match="it is running"):
        fetch(steps.any, tmp_path / "model")
