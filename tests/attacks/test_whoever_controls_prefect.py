"""Whoever controls the Prefect server, or its API key: runs nothing at a site, and learns nothing.

Shown by attack on a real server and a real agent process; nothing is patched. It may start runs of
a site's own flows, with any parameters: a site then does what the ledger asks of it, and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from cdistrim.devnet import Devnet
from cdistrim.leftovers import clear_when_idle
from cdistrim.protocol import BallotKind, SlotState
from cdistrim.site import Site, site_bound_to
from deployments.local import LAST_REGISTERED
from flows.cast_votes import cast_votes
from flows.dispatch import DEED_FLOWS
from flows.partner_iteration import partner_iteration
from tasks.boundary import SiteFailure
from tests.attacks.outlaws import storage_of
from tests.past import AfterSlots
from tests.prefect_server import PrefectServer
from tests.serving import ApiCaller, agent_of, enrolled, wait_for
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

pytestmark = pytest.mark.slow

Simulate = Callable[..., SimulatedConsortium]

NOTHING_ASKED = {"campaign": 1, "slot": 1, "attempt": 1}
"""The first slot waits for hospital-1's request: nobody else owes it anything."""


# --- by the server's API, to a real agent ---------------------------------------------------------


def test_a_hostile_server_runs_nothing_and_learns_nothing(
    simulate: Simulate, prefect_process: PrefectServer, tmp_path: Path
) -> None:
    victim = enrolled(simulate(2))
    site, other = victim.site("hospital-2"), victim.site("hospital-1")
    attacker, marker = ApiCaller(prefect_process), tmp_path / "was-here"
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
    with agent_of(site, prefect_process) as agent:
        wait_for(lambda: bool(attacker.find(LAST_REGISTERED, site.name)))
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
        foreign = attacker.run(iteration, parameters=NOTHING_ASKED, job_variables=variables)
        # A number that only looks like one, and a template.
        loose = attacker.run(iteration, parameters=NOTHING_ASKED | {"slot": "1"})
        template = {"__prefect_kind": "jinja", "template": "{{ 1 }}"}
        rendered = attacker.run(iteration, parameters=NOTHING_ASKED | {"slot": template})
        # A vote, and a share, that nobody on the ledger asked for; as often as one likes.
        votes = attacker.find("cast_votes", site.name)
        uncalled = [attacker.run(votes, parameters=NOTHING_ASKED) for _ in range(2)]
        runs = (foreign, loose, rendered)
        wait_for(lambda: all(attacker.state(run)["type"] in ("FAILED", "CRASHED") for run in runs))
        wait_for(lambda: all(attacker.state(run)["type"] == "COMPLETED" for run in uncalled))
        assert agent.poll() is None
    assert not marker.exists()
    assert not [event for event in site.ledger.history(1) if event.name == "VoteCast"]
    assert {path.name for path in victim.consortium.store.iterdir()} == {"specs"}
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


# --- with a site's own flows ----------------------------------------------------------------------

FLOWS = sorted(set(DEED_FLOWS.values()), key=lambda flow: str(getattr(flow, "name", "")))
OWN_LATER, FOREIGN = (1, 3, 1), (1, 2, 1)
NUMBERS = (FOREIGN, OWN_LATER, (1, 3, 9), (1, 1, 1), (7, 1, 1), (1, 99, 1))
"""Campaign, slot, attempt: the open slot of another site; an own one whose turn has not come, also
by an attempt that there is not; one that is over; and what does not exist."""


@pytest.fixture
def without_heartbeats() -> Iterator[None]:
    """Flows that share this process need none, and each costs a second."""
    with temporary_settings(updates={PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        yield


@pytest.fixture(scope="module")
def waiting(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    """The first model is accepted, the second slot's owner has asked for nothing yet."""
    steps = Stepper(SimulatedConsortium(tmp_path_factory.mktemp("waiting"), devnet.url, size=3))
    steps.accept()
    for site in steps.sites.values():
        clear_when_idle(site)
    return steps


def traces(steps: Stepper, site: Site) -> tuple[str, int, set[Path]]:
    """Whatever a site could have done: on the ledger, in the store, and keys on its own disk."""
    store = steps.simulated.consortium.store
    written = {path for path in store.rglob("*") if path.is_file()}
    keys = set(site.work.glob("*.key"))
    return (
        storage_of(steps.simulated.ledger_url, site.contract),
        len(site.ledger.history(1)),
        written | keys,
    )


@pytest.mark.usefixtures("prefect_server", "without_heartbeats")
@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_flows_that_nobody_on_the_ledger_asks_for_do_nothing(
    waiting: Stepper, numbers: tuple[int, int, int]
) -> None:
    site = waiting.sites["hospital-3"]
    before = traces(waiting, site)
    for flow in FLOWS:
        with site_bound_to(site.directory), suppress(SiteFailure):
            flow(*numbers)
        assert traces(waiting, site) == before, getattr(flow, "name", "")


@pytest.mark.usefixtures("prefect_server", "without_heartbeats")
def test_the_same_flow_votes_and_releases_once_the_ledger_asks_for_it(
    after_slots: AfterSlots,
) -> None:
    """The control: it is the ledger that was missing."""
    steps = after_slots()
    site = steps.sites["hospital-3"]
    session = steps.session()
    session.request_token()

    with site_bound_to(site.directory):
        assert cast_votes(1, 2, 1) is True

    assert session.slot().state is SlotState.FETCH_GRANTED
    ballot = session.slot().ballot
    assert ballot is not None
    assert ballot.kind is BallotKind.FETCH
    assert [vote.partner for vote in ballot.votes] == [session.site.account, site.account]
    (released,) = steps.simulated.consortium.store.rglob("releases/2-1/*")
    assert site.account.lower() in released.parts
    # Somebody else's turn is not run by a call, now either.
    clear_when_idle(site)
    before = traces(steps, site)
    with site_bound_to(site.directory), pytest.raises(SiteFailure, match="ConfigurationError"):
        partner_iteration(1, 2, 1)
    assert traces(steps, site) == before
    session.close()
