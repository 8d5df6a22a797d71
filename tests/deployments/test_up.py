"""``cdistrim up``: a campaign by agents, from the API's call to the end on the ledger."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from cdistrim.coordinator import Coordinator
from cdistrim.data.cases import SiteData
from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.lease import is_held
from cdistrim.protocol import CampaignState, SlotState
from cdistrim.site import Site
from deployments.local import LocalConsortium
from tests.factories import make_site_data
from tests.simulated import tiny_spec

PATIENCE_S = 600.0
"""Longer than any machine needs: the tests wait for states, never for a time."""


def _data(names: tuple[str, ...]) -> Mapping[str, SiteData]:
    return {name: make_site_data(seed=index + 1) for index, name in enumerate(names)}


def _make(directory: Path, port: int, *, cron: str = "") -> LocalConsortium:
    return LocalConsortium(
        directory, sites=2, port=port, cron=cron, grace=9999, data=_data, spec=tiny_spec
    )


@pytest.fixture(scope="module")
def port() -> int:
    """A free port below those that the system gives to clients: they take what is free again."""
    for candidate in random.sample(range(20000, 30000), 50):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", candidate))
            return candidate
    raise AssertionError("fifty ports, drawn at random, are all in use")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[LocalConsortium]:
    """A consortium that was started once: the tests use it one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        # Seven processes that look at the ledger all the time keep each other from work.
        patch.setenv("CDISTRIM_POLL_SECONDS", "0.5")
        consortium = _make(tmp_path_factory.mktemp("consortium") / "up", port, cron="0 2 1 1 *")
        try:
            consortium.start()
            yield consortium
        finally:
            consortium.stop()
    assert consortium.parts.marked() == []


def _kill_runs_of(consortium: LocalConsortium, part: str) -> None:
    """Kill the processes in which a part runs flows; the part itself goes on."""
    parent = consortium.parts.pids()[part]
    for pid in consortium.parts.marked():
        with suppress(OSError):
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent:
                os.kill(pid, signal.SIGKILL)


def _wait_for(consortium: LocalConsortium, what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        consortium.watch_once()
        time.sleep(0.3)


class _Api:
    """What the Prefect UI asks of the server."""

    def __init__(self, consortium: LocalConsortium) -> None:
        self._client = httpx.Client(base_url=consortium.api_url, timeout=PATIENCE_S)

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  JSON
        """The answer; asked again where SQLite was busy, as Prefect's own client does.

        It waits a minute for SQLite's lock, and the answer may be late besides.
        """
        for pause in (0.5, 1, 2, 4, 8, 0):
            answer = self._client.request(method, path, json=body)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(pause)
        return answer.raise_for_status().json()

    def campaign(self) -> dict[str, Any]:
        found: dict[str, Any] = self._ask("GET", "/deployments/name/campaign/coordinator")
        return found

    def start_campaign(self) -> str:
        path = f"/deployments/{self.campaign()['id']}/create_flow_run"
        return str(self._ask("POST", path, {})["id"])

    def state(self, run: str) -> str:
        return str(self._ask("GET", f"/flow_runs/{run}")["state_type"])

    def retry(self, run: str) -> None:
        """What the button "Retry" of a flow run's page sends."""
        state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
        self._ask("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": True})

    def completed(self) -> Counter[str]:
        """Completed runs by deployment, ``flow/site``."""
        flows = {one["id"]: one["name"] for one in self._list("flows")}
        sites = {one["id"]: one["name"] for one in self._list("deployments")}
        return Counter(
            f"{flows[run['flow_id']]}/{sites[run['deployment_id']]}"
            for run in self._list("flow_runs")
            if run["state_type"] == "COMPLETED" and run["deployment_id"]
        )

    def artifacts(self) -> set[str]:
        return {artifact["key"] for artifact in self._list("artifacts")}

    def _list(self, what: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._ask("POST", f"/{what}/filter", {})
        return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_campaign_is_started_at_the_server_and_ends_on_the_ledger(up: LocalConsortium) -> None:
    api = _Api(up)
    (schedule,) = api.campaign()["schedules"]
    assert schedule["schedule"]["cron"] == "0 2 1 1 *"
    run = api.start_campaign()
    ledger = Coordinator(up.directory / "coordinator").ledger
    _wait_for(up, lambda: ledger.campaigns() == 1)
    _wait_for(up, lambda: is_held(Site(up.directory / "hospital-1").turn))
    # A campaign's process is killed; somebody presses "Retry" in the UI.
    _kill_runs_of(up, "coordinator")
    _wait_for(up, lambda: api.state(run) == "CRASHED")
    api.retry(run)
    # An agent that is killed in the middle is started again, and its slot goes on.
    os.kill(up.parts.pids()["hospital-1"], signal.SIGKILL)
    _wait_for(up, lambda: ledger.campaign(1).state.ended)
    _wait_for(up, lambda: api.state(run) == "COMPLETED")

    view = ledger.campaign(1)
    assert view.state is CampaignState.COMPLETED
    slots = [ledger.slot(1, number) for number in (1, 2)]
    assert [view.name_of(slot.owner) for slot in slots] == ["hospital-1", "hospital-2"]
    assert all(slot.state in (SlotState.ACCEPTED, SlotState.SKIPPED) for slot in slots)
    assert view.accepted == sum(slot.state is SlotState.ACCEPTED for slot in slots) > 0

    # The ledger is ahead of the server: the last runs are still ending.
    runs = {"campaign/coordinator", "convene/hospital-1"}
    for name in ("hospital-1", "hospital-2"):
        runs |= {f"enrol/{name}", f"cast_votes/{name}", f"partner_iteration/{name}"}
    _wait_for(up, lambda: runs <= set(api.completed()))
    artifacts = {"campaign-1-report", "campaign-1-slot-1", "campaign-1-slot-2"}
    _wait_for(up, lambda: artifacts <= api.artifacts())
    # Pressed once more after the end, the same run opens no other campaign.
    api.retry(run)
    _wait_for(up, lambda: api.state(run) == "COMPLETED")
    assert ledger.campaigns() == 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_second_start_continues_and_clears_what_a_killed_one_left(
    up: LocalConsortium, port: int
) -> None:
    """Last, since it replaces the consortium by another one."""
    before = Coordinator(up.directory / "coordinator")
    contract, campaigns = before.settings.contract, before.ledger.campaigns()
    left = up.parts.pids()["hospital-1"]
    # As if `up` had been killed: its chain ends with it, all else goes on.
    up._chain.stop()
    said: list[str] = []
    second = LocalConsortium(
        up.directory,
        sites=2,
        port=port,
        cron="* * * * *",
        say=said.append,
        data=_data,
        spec=tiny_spec,
    )
    try:
        second.start()
        assert any("of an earlier run" in line for line in said)
        assert left not in second.parts.marked()
        coordinator = Coordinator(up.directory / "coordinator")
        assert coordinator.settings.contract == contract
        # Nobody asks for a campaign but the schedule, which has its minute.
        _wait_for(second, lambda: coordinator.ledger.campaigns() == campaigns + 1)
    finally:
        second.stop()
        for pid in up.parts.pids().values():
            os.waitpid(pid, 0)
    assert second.parts.marked() == []


def test_a_port_in_use_is_refused_and_nothing_stays_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        consortium = _make(tmp_path / "up", port)
        with pytest.raises(ConfigurationError, match=f"Port {port} is in use"):
            consortium.start()
        consortium.stop()
    assert consortium.parts.marked() == []
    assert not (tmp_path / "up" / "consortium.json").exists()


def test_a_schedule_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, port: int
) -> None:
    with pytest.raises(UsageError, match="every other day"):
        _make(tmp_path / "up", port, cron="every other day").start()
    assert not (tmp_path / "up").exists()
