"""A site's agent against whoever controls the Prefect server: nothing of theirs is run here.

Shown by attack on a real server and a real agent process; nothing is patched.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import flow

from cdistrim.protocol import Deed, Duty, SlotState
from cdistrim.site import Site
from deployments.local import LAST_REGISTERED
from flows.dispatch import DEED_FLOWS, Agents
from tests.prefect_server import PrefectServer
from tests.simulated import SimulatedConsortium

pytestmark = pytest.mark.slow

PATIENCE_S = 240.0
"""Longer than any machine needs: the tests wait for states, never for a time."""

SLOT_1 = {"campaign": 1, "slot": 1, "attempt": 1}


class _Attacker:
    """Somebody with full access to the server's API."""

    def __init__(self, server: PrefectServer) -> None:
        self._client = httpx.Client(base_url=server.api_url, timeout=30)

    def _ask(self, method: str, path: str, document: object = None) -> httpx.Response:
        """The answer; asked again where SQLite was busy."""
        for pause in (0.5, 1, 2, 4, 8, 0):
            answer = self._client.request(method, path, json=document)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
        return answer

    def find(self, flow_name: str, site: str) -> dict[str, Any]:
        answer = self._ask("GET", f"/deployments/name/{flow_name}/{site}")
        found: dict[str, Any] = answer.json() if answer.is_success else {}
        return found

    def rewrite(self, deployment: dict[str, Any], **changes: object) -> None:
        """Replace the deployment at the server by one that would run the attacker's code."""
        document = {"name": deployment["name"], "flow_id": deployment["flow_id"], **changes}
        self._ask("POST", "/deployments/", document).raise_for_status()

    def run(self, deployment: dict[str, Any], **document: object) -> str:
        answer = self._client.post(
            f"/deployments/{deployment['id']}/create_flow_run", json=document
        )
        answer.raise_for_status()
        return str(answer.json()["id"])

    def delete(self, deployment: dict[str, Any]) -> None:
        self._ask("DELETE", f"/deployments/{deployment['id']}").raise_for_status()

    def state(self, run: str) -> dict[str, Any]:
        state: dict[str, Any] = self._ask("GET", f"/flow_runs/{run}").json()["state"]
        return state


def _wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.3)


@contextmanager
def _agent(site: Site, server: PrefectServer) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | server.environment()
    environment |= {
        "CDISTRIM_POLL_SECONDS": "0.5",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "CDISTRIM_REGISTRATION_CHECK_SECONDS": "1",
    }
    command = ["-P", "-m", "cdistrim", "site", "serve", str(site.directory), "--grace", "9999"]
    with (site.directory.parent / "agent.log").open("wb") as log:
        agent = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=log, stderr=log
        )
    try:
        yield agent
    finally:
        agent.kill()
        agent.wait()


@pytest.fixture
def victim(simulate: Callable[..., SimulatedConsortium]) -> SimulatedConsortium:
    """A campaign whose first slot is hospital-1's; hospital-2 is attacked."""
    consortium = simulate(2)
    consortium.found()
    number = consortium.open_campaign()
    for name in consortium.names:
        site = consortium.site(name)
        site.ledger.enrol(campaign=number, cases=24, data_commitment=b"\1" * 32, evaluator=True)
    return consortium


def test_a_hostile_server_runs_nothing_and_learns_nothing(
    victim: SimulatedConsortium, prefect_process: PrefectServer, tmp_path: Path
) -> None:
    site, other = victim.site("hospital-2"), victim.site("hospital-1")
    attacker, marker = _Attacker(prefect_process), tmp_path / "was-here"
    evil = tmp_path / "evil.py"
    evil.write_text(
        "from pathlib import Path\nfrom prefect import flow\n\n\n@flow\ndef run(**_):\n"
        f"    Path({str(marker)!r}).touch()\n"
    )
    touch = {"script": f"touch {marker}"}
    variables = {
        "command": f"touch {marker}",
        "env": {"CDISTRIM_SITE": str(other.directory), "PYTHONPATH": str(tmp_path)},
    }
    with _agent(site, prefect_process) as agent:
        _wait_for(lambda: bool(attacker.find(LAST_REGISTERED, site.name)))
        iteration = attacker.find("partner_iteration", site.name)
        assert iteration["entrypoint"] == "flows.partner_iteration.partner_iteration"
        attacker.rewrite(
            iteration,
            entrypoint=f"{evil}:run",
            path=str(tmp_path),
            pull_steps=[{"prefect.deployments.steps.run_shell_script": touch}],
            job_variables=variables,
            enforce_parameter_schema=False,
        )
        assert attacker.find("partner_iteration", site.name)["entrypoint"] == f"{evil}:run"
        # Another site's slot, with the other site's directory in the environment.
        foreign = attacker.run(iteration, parameters=SLOT_1, job_variables=variables)
        # A number that only looks like one, and a template.
        loose = attacker.run(iteration, parameters=SLOT_1 | {"slot": "1"})
        template = {"__prefect_kind": "jinja", "template": "{{ 1 }}"}
        rendered = attacker.run(iteration, parameters=SLOT_1 | {"slot": template})
        runs = (foreign, loose, rendered)
        _wait_for(lambda: all(attacker.state(run)["type"] in ("FAILED", "CRASHED") for run in runs))
        assert agent.poll() is None
    assert not marker.exists()
    assert victim.slots()[0].state is SlotState.WAITING
    assert "ConfigurationError in" in attacker.state(foreign)["message"]
    for run in (loose, rendered):
        assert "Validation of flow parameters failed" in attacker.state(run)["message"]
    _compare_with_the_logs(site, prefect_process)


def _compare_with_the_logs(site: Site, server: PrefectServer) -> None:
    """The full text is in the site's log; neither it nor any secret is in the server's database."""
    sentence = f"Slot 1 of campaign 1 is not {site.name}'s"
    assert sentence in (site.directory / "log" / "site.log").read_text()
    known = b"".join(path.read_bytes() for path in server.home.glob("prefect.db*"))
    assert site.name.encode() in known
    secrets = {
        "a full error text": sentence.encode(),
        "the passphrase": (site.directory / "passphrase").read_bytes().strip(),
        "the account's key": bytes(site.keys.private_key),
        "the account's key in hex": bytes(site.keys.private_key).hex().encode(),
        "a case": site.data.train.ids[0].encode(),
        "a path": str(site.directory).encode(),
    }
    assert [what for what, secret in secrets.items() if secret in known] == []


def test_an_agent_whose_deployment_is_deleted_ends_to_be_started_again(
    victim: SimulatedConsortium, prefect_process: PrefectServer
) -> None:
    site, attacker = victim.site("hospital-1"), _Attacker(prefect_process)
    if former := attacker.find(LAST_REGISTERED, site.name):
        attacker.delete(former)  # Of an agent of another test: this one's is waited for.
    with _agent(site, prefect_process) as agent:
        _wait_for(lambda: bool(attacker.find(LAST_REGISTERED, site.name)))
        attacker.delete(attacker.find("cast_votes", site.name))
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
