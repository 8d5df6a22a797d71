"""A site's agent: registered by itself, and started again when its deployment is gone.

What whoever controls the server can not do to it: tests/attacks/test_whoever_controls_prefect.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment

from cdistrim.convening import open_campaign
from cdistrim.iteration import IterationRef
from cdistrim.progress import Silent, listen_with
from cdistrim.protocol import Deed, Duty, duties
from cdistrim.rotation import publish_after_loss
from cdistrim.site import SITE_VARIABLE, Site, site_bound_to
from cdistrim.standing import refused_here, standing_duties
from cdistrim.voting import answer_ballot
from deployments.agent import Outcome, act_once, outcome_of
from deployments.local import LAST_REGISTERED
from flows import dispatch
from flows.cast_votes import cast_votes
from flows.dispatch import DEED_FLOWS, Agents
from tasks.vote import vote
from tests.past import AfterSlots
from tests.prefect_server import PrefectServer
from tests.serving import PATIENCE_S, ApiCaller, agent_of, enrolled, wait_for
from tests.simulated import SimulatedConsortium, tiny_spec
from tests.stepping import Stepper

pytestmark = pytest.mark.slow


def test_an_agent_whose_deployment_is_deleted_ends_to_be_started_again(
    simulate: Callable[..., SimulatedConsortium], prefect_process: PrefectServer
) -> None:
    site, caller = enrolled(simulate(2)).site("hospital-1"), ApiCaller(prefect_process)
    if former := caller.find(LAST_REGISTERED, site.name):
        caller.delete(former)  # Of an agent of another test: this one's is waited for.
    with agent_of(site, prefect_process) as agent:
        wait_for(lambda: bool(caller.find(LAST_REGISTERED, site.name)))
        caller.delete(caller.find("cast_votes", site.name))
        assert agent.wait(PATIENCE_S) == 1


@pytest.mark.usefixtures("prefect_server")
def test_a_site_that_can_not_be_called_stops_nobody_else() -> None:
    agents = Agents({"0x1": "nobody"})

    @flow
    def coordinate() -> None:
        agents.dispatch(Duty(Deed.VOTE, "0x1", 1, 1, 1))

    coordinate()


@pytest.mark.usefixtures("prefect_server")
def test_a_call_without_an_answer_is_repeated_and_becomes_no_second_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast("RunnerDeployment", cast_votes.to_deployment("hard-of-hearing")).apply()
    now = [0.0]
    agents = Agents({"0x1": "hard-of-hearing"}, clock=lambda: now[0])
    made: list[FlowRun] = []

    def lose_the_first_answer(**call: Any) -> FlowRun:  # noqa: ANN401  as run_deployment
        made.append(cast("FlowRun", run_deployment(**call)))
        if len(made) == 1:
            raise httpx.ReadTimeout("no answer")
        return made[-1]

    monkeypatch.setattr(dispatch, "run_deployment", lose_the_first_answer)

    @flow
    def coordinate() -> None:
        for now[0] in (0.0, 1.0, 6.0, 60.0):
            agents.dispatch(Duty(Deed.VOTE, "0x1", 1, 1, 1))

    coordinate()

    # Called at 0, again at 6; at 60 the run is not over.
    first, again = made
    assert first.id == again.id


def test_the_agent_registers_last_what_its_starter_waits_for() -> None:
    assert getattr(list(DEED_FLOWS.values())[-1], "name", "") == LAST_REGISTERED


def test_a_site_without_an_agent_erases_keys_of_evaluations_that_are_over(
    after_slots: AfterSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of it any more, so no turn of its own clears them."""
    steps = after_slots(3)
    evaluator = steps.sites["hospital-3"]
    left = evaluator.work / "evaluation-1-2-1.key"
    left.write_bytes(b"of an evaluator that was not needed")
    monkeypatch.setenv(SITE_VARIABLE, "")

    assert list(act_once(evaluator.directory)) == []

    assert not left.exists()


@pytest.mark.usefixtures("prefect_server")
def test_a_duty_that_is_over_before_its_turn_comes_is_named_and_left(
    simulate: Callable[..., SimulatedConsortium], monkeypatch: pytest.MonkeyPatch
) -> None:
    consortium = simulate(2)
    consortium.found()
    consortium.open_campaign()
    open_campaign(consortium.site("hospital-1"), tiny_spec(consortium.names, name="second"))
    site = consortium.site("hospital-2")
    site.approve_spec(site.ledger.campaign(2).spec_hash)
    monkeypatch.setenv(SITE_VARIABLE, "")

    acts = act_once(site.directory)
    first = next(acts)
    for name in consortium.names:  # The ledger moves on to the first slot meanwhile.
        consortium.site(name).ledger.enrol(
            campaign=1, cases=24, data_commitment=b"\1" * 32, evaluator=True
        )
    rest = list(acts)

    assert (first.outcome, first.what.split(",")[0]) == (Outcome.DONE, "campaign 2: enrol")
    (second,) = rest
    assert (second.outcome, second.failure) == (Outcome.OVER, None)
    assert second.what.startswith("campaign 1: enrol, until ")


def test_what_the_store_says_is_done_is_not_done_again(
    after_slots: AfterSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger knows nothing of released shares and offered keys."""
    steps = after_slots()
    steps.grant_fetch()
    holder = steps.sites["hospital-1"]
    assert {duty.deed for duty in standing_duties(holder)} == {Deed.RELEASE, Deed.OFFER}
    monkeypatch.setenv(SITE_VARIABLE, "")

    assert list(act_once(holder.directory)) == []


@pytest.mark.usefixtures("prefect_server")
def test_a_share_that_does_not_open_is_not_said_to_be_released(
    after_slots: AfterSlots, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = after_slots()
    steps.ask_fetch()
    unlucky = steps.sites["hospital-3"].directory
    (unlucky / "keys" / "sealing.key").unlink()
    publish_after_loss(Site(unlucky))
    monkeypatch.setenv(SITE_VARIABLE, "")

    acts = {act.duty.deed: act for act in act_once(unlucky)}

    assert acts[Deed.RELEASE].outcome is Outcome.LEFT
    holder = steps.sites["hospital-1"].directory
    acts = {act.duty.deed: act for act in act_once(holder)}
    assert acts[Deed.RELEASE].outcome is Outcome.DONE


def test_a_vote_that_others_have_decided_is_not_said_to_be_cast(
    simulate: Callable[..., SimulatedConsortium],
) -> None:
    steps = Stepper(simulate(3))
    steps.session().request_token()
    view = steps.view()
    voter, late = steps.sites["hospital-2"], steps.sites["hospital-3"]
    duty, late_duty = (
        next(each for each in duties(view) if each.partner == site.account)
        for site in (voter, late)
    )

    assert answer_ballot(voter, view) is not None

    assert outcome_of(voter, view, duty) is Outcome.DONE
    assert outcome_of(late, view, late_duty) is Outcome.OVER


def test_of_a_refused_campaign_votes_and_shares_are_left_to_do(
    simulate: Callable[..., SimulatedConsortium],
) -> None:
    """Whoever says nothing is asked on; who says no is asked for what a no leaves due."""
    consortium = simulate(3)
    consortium.found()
    consortium.open_campaign()
    digest = consortium.spec.digest()
    owner, voter = consortium.site("hospital-1"), consortium.site("hospital-2")
    (voter.directory / "approved" / digest.hex()).unlink()
    assert [duty.deed for duty in standing_duties(voter)] == [Deed.ENROL]
    voter.refuse_spec(digest)
    assert list(standing_duties(voter)) == []
    assert list(refused_here(voter)) == ["campaign 1: refused here; hospital-2 does not enrol"]
    voter.approve_spec(digest)
    assert list(refused_here(voter)) == []

    steps = Stepper(consortium)
    steps.accept()
    steps.accept()
    owner, voter = steps.owner(), steps.sites["hospital-2"]
    owner.refuse_spec(digest)
    voter.refuse_spec(digest)
    assert list(standing_duties(owner)) == []
    assert list(refused_here(owner)) == [
        "campaign 1: refused here; hospital-3 votes no, and its turns pass at their deadlines"
    ]
    owner.approve_spec(digest)
    steps.session().request_token()
    assert [duty.deed for duty in standing_duties(voter)] == [Deed.VOTE]
    assert answer_ballot(steps.sites["hospital-1"], steps.view()) is not None
    assert [duty.deed for duty in standing_duties(voter)] == [Deed.RELEASE], "no offer"


def test_the_slot_that_is_told_is_the_one_that_was_voted_on(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=2)
    steps.session().request_token()
    told: list[tuple[int, str]] = []

    class Heard(Silent):
        def vote(self, slot: int, voter: str, approve: bool, sentence: str) -> None:
            told.append((slot, f"{voter} {approve} {sentence}"))

    listen_with(Heard())
    try:
        with site_bound_to(steps.sites["hospital-1"].directory):
            vote.fn(IterationRef(1, 1, 1))  # Called for a slot that is over by now.
    finally:
        listen_with(Silent())

    assert told == [(2, "hospital-1 True Granted: nothing speaks against it.")]
