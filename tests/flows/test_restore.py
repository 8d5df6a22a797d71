"""A head that can't be opened is left behind, end to end: flows, contract and store."""

from __future__ import annotations

import pytest

from cdistrim.protocol import CampaignState
from tests.past import AfterSlots

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]


@pytest.mark.parametrize("kind", ["models", pytest.param("capsules", marks=pytest.mark.faults)])
def test_a_campaign_goes_on_from_the_head_before_one_that_can_not_be_opened(
    after_slots: AfterSlots, kind: str
) -> None:
    steps = after_slots(2, cycles=2)
    simulated = steps.simulated
    where = steps.place("hospital-2", kind, "hospital-2-2")
    for path in (simulated.consortium.store / where).iterdir():
        path.unlink()

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    lineage = simulated.lineage()
    assert (lineage[2].state, lineage[2].parent) == ("ACCEPTED", 1)
    slots = simulated.slots()
    assert slots[2].attempt == 2
    undone = slots[1].candidate
    assert undone is not None
    assert undone.undone
    (restored,) = (event for event in steps.any.ledger.history(1) if event.name == "HeadRestored")
    assert (restored.arguments["from"], restored.arguments["to"]) == (2, 1)
    # In the second cycle whoever lost its model has its turn again.
    assert lineage[4].state == "ACCEPTED"
    assert view.accepted == 5
