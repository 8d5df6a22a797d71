"""Campaigns end to end, on real parts: see tests/simulated.py."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim.protocol import CampaignState
from tests.simulated import SimulatedConsortium

pytestmark = pytest.mark.usefixtures("prefect_server")

Simulate = Callable[..., SimulatedConsortium]


def test_three_hospitals_complete_two_cycles(simulate: Simulate) -> None:
    simulated = simulate(cycles=2)

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    assert view.accepted == 6
    lineage = simulated.lineage()
    assert [slot.name for slot in lineage] == [
        f"hospital-{1 + (number - 1) % 3}-{number}" for number in range(1, 7)
    ]
    assert [slot.parent for slot in lineage] == [0, 1, 2, 3, 4, 5]
    assert len({slot.weights for slot in lineage}) == 6
