"""Members come and keys change while the flows drive a campaign: keys are shared anew by them."""

from __future__ import annotations

import pytest

from cdistrim import custody
from cdistrim.enrolment import join
from cdistrim.opening import open_together
from cdistrim.policy import KEY_REST_S
from cdistrim.protocol import CampaignState
from cdistrim.recoverability import recoverability_of
from cdistrim.rotation import publish_after_loss
from cdistrim.weights import weights_hash
from tests.factories import make_site_data
from tests.past import AfterSlots

pytestmark = [pytest.mark.usefixtures("prefect_server"), pytest.mark.slow]


def test_a_joiner_is_let_in_gets_shares_and_has_its_turn_and_a_lost_key_is_made_good(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    simulated = steps.simulated
    late = steps.admit("hospital-4", make_site_data(seed=40))
    join(late, 1)  # Nobody has answered yet: the flows will.
    (steps.sites["hospital-2"].directory / "keys" / "sealing.key").unlink()
    publish_after_loss(simulated.site("hospital-2"))
    simulated.travel(KEY_REST_S + 1)
    steps.sites["hospital-2"] = simulated.site("hospital-2")

    view = simulated.run()

    assert view.state is CampaignState.COMPLETED
    lineage = simulated.lineage()
    assert [(slot.owner, slot.state) for slot in lineage] == [
        (f"hospital-{number}", "ACCEPTED") for number in range(1, 5)
    ]
    enrolment = view.enrolment(late.account)
    assert enrolment is not None
    assert enrolment.voter
    for each in recoverability_of(late, view):
        assert len(each.able) == 4, each
        assert each.threshold == 3
    # Those who had no share of the first model when it was sealed open it now.
    first = late.ledger.model(1, 1)
    trio = [late, simulated.site("hospital-2"), simulated.site("hospital-3")]
    assert weights_hash(open_together(trio, 1, first)) == first.weights_hash
    added = late.ledger.added_capsules(1, 1)
    assert added
    assert len(list(custody.capsules(late, 1, first))) == 1 + len(added)
