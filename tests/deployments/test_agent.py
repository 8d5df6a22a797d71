"""A site's agent: registered by itself, and started again when its deployment is gone.

What whoever controls the server can not do to it: tests/attacks/test_whoever_controls_prefect.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prefect import flow

from cdistrim.protocol import Deed, Duty
from cdistrim.site import SITE_VARIABLE
from deployments.agent import act_once
from deployments.local import LAST_REGISTERED
from flows.dispatch import DEED_FLOWS, Agents
from tests.prefect_server import PrefectServer
from tests.serving import PATIENCE_S, ApiCaller, agent_of, enrolled, wait_for
from tests.simulated import SimulatedConsortium
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


def test_the_agent_registers_last_what_its_starter_waits_for() -> None:
    assert getattr(list(DEED_FLOWS.values())[-1], "name", "") == LAST_REGISTERED


def test_a_site_without_an_agent_erases_keys_of_evaluations_that_are_over(
    simulate: Callable[..., SimulatedConsortium], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is asked of it any more, so no turn of its own clears them."""
    steps = Stepper(simulate(size=3))
    evaluator = steps.sites["hospital-3"]
    for _ in range(3):
        steps.accept()
    left = evaluator.work / "evaluation-1-2-1.key"
    left.write_bytes(b"of an evaluator that was not needed")
    monkeypatch.setenv(SITE_VARIABLE, "")

    assert list(act_once(evaluator.directory)) == []

    assert not left.exists()
