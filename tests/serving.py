"""A site's agent in a process of its own, and somebody with full access to the server's API."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from cdistrim.site import Site
from tests.prefect_server import PrefectServer
from tests.simulated import SimulatedConsortium

__all__ = ["PATIENCE_S", "ApiCaller", "agent_of", "enrolled", "wait_for"]

PATIENCE_S = 240.0
"""Longer than any machine needs: the tests wait for states, never for a time."""


class ApiCaller:
    """Somebody with full access to the server's API."""

    def __init__(self, server: PrefectServer) -> None:
        self._client = httpx.Client(base_url=server.api_url, timeout=PATIENCE_S)

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


def wait_for(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.3)


@contextmanager
def agent_of(site: Site, server: PrefectServer) -> Iterator[subprocess.Popen[bytes]]:
    """The site's real agent, registered at a server; it does nothing that it is not called for."""
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


def enrolled(consortium: SimulatedConsortium) -> SimulatedConsortium:
    """Its campaign is open and everybody has enrolled: the first slot is hospital-1's."""
    consortium.found()
    number = consortium.open_campaign()
    for name in consortium.names:
        site = consortium.site(name)
        site.ledger.enrol(campaign=number, cases=24, data_commitment=b"\1" * 32, evaluator=True)
    return consortium
