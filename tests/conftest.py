"""Fixtures that several parts share: the chain, a Prefect server, simulated consortia."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cdistrim.devnet import Devnet
from tests.chain import consortium, devnet
from tests.prefect_server import PrefectServer

if TYPE_CHECKING:
    from tests.past import AfterSlots, Past
    from tests.simulated import SimulatedConsortium
    from tests.stepping import Stepper

__all__ = [
    "after_slots",
    "consortium",
    "devnet",
    "past",
    "prefect_process",
    "prefect_server",
    "rights_by_prefix",
    "simulate",
]

# Looks at the ledger are cheap on a chain of our own, waiting is not.
os.environ.setdefault("CDISTRIM_POLL_SECONDS", "0.1")
# As many tests as cores run beside each other: more threads would only get in their way.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Where a spec asks for several all the same, they must not spin while they wait for a busy core.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: at the end, nobody waits for somebody's long file."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def prefect_process(tmp_path_factory: pytest.TempPathFactory) -> PrefectServer:
    """One Prefect server for the whole session: it takes longer to start than a campaign."""
    server = PrefectServer(tmp_path_factory.mktemp("prefect"))
    server.start()
    return server


@pytest.fixture
def prefect_server(prefect_process: PrefectServer) -> Iterator[PrefectServer]:
    """Flows of this test run against the session's server."""
    with prefect_process.used_here():
        yield prefect_process


@pytest.fixture
def simulate(tmp_path: Path, devnet: Devnet) -> Callable[..., SimulatedConsortium]:
    """Make a simulated consortium on the session's chain; see its class for the knobs."""
    from tests.simulated import SimulatedConsortium

    def make(size: int = 3, **changes: object) -> SimulatedConsortium:
        return SimulatedConsortium(tmp_path / "consortium", devnet.url, size=size, **changes)

    return make


@pytest.fixture(scope="session")
def past(tmp_path_factory: pytest.TempPathFactory) -> Past:
    """What tests of this session have gone through already."""
    from tests.past import Past

    return Past(tmp_path_factory.mktemp("past"))


@pytest.fixture
def after_slots(tmp_path: Path, past: Past) -> Iterator[AfterSlots]:
    """Make a consortium, on a chain of its own, whose first slots are accepted; see ``Past``."""
    with ExitStack() as at_the_end:

        def make(accepted: int = 1, **terms: Any) -> Stepper:  # noqa: ANN401
            return at_the_end.enter_context(past.resumed(tmp_path, accepted, **terms))

        yield make


@pytest.fixture
def rights_by_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    """All sites of the test may write below their own account only, and delete nothing."""
    from cdistrim.site import Site
    from tests.rights import store_with_rights

    monkeypatch.setattr(Site, "store", property(store_with_rights))
