"""Parameters of flows come from a server that nobody trusts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prefect.exceptions import ParameterTypeError

from cdistrim.protocol import SlotState
from cdistrim.site import site_bound_to
from flows.cast_votes import cast_votes
from flows.dispatch import DEED_FLOWS
from flows.partner_iteration import partner_iteration
from flows.restore_and_skip import restore_and_skip
from tasks.boundary import SiteFailure
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

pytestmark = pytest.mark.usefixtures("prefect_server")

Simulate = Callable[..., SimulatedConsortium]

HOSTILE = (
    "1",
    "1; rm -rf /",
    "../../etc/passwd",
    "{{ prefect.blocks.secret.x }}",
    {"$ref": {"block_document_id": "0"}},
    {"__prefect_kind": "jinja", "template": "{{ 1 }}"},
    -1,
    1.0,
    True,
    None,
    2**40,
    [1],
)


@pytest.mark.parametrize("value", HOSTILE, ids=str)
def test_what_is_no_number_is_refused_by_its_type(value: object) -> None:
    for flow in {id(flow): flow for flow in DEED_FLOWS.values()}.values():
        with pytest.raises(ParameterTypeError):
            flow(value, 1, 1)
        with pytest.raises(ParameterTypeError):
            flow(1, 1, value)


def test_a_site_does_not_work_on_another_ones_slot(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    before = steps.view().slot

    with site_bound_to(steps.sites["hospital-2"].directory):
        with pytest.raises(SiteFailure, match="ConfigurationError"):
            partner_iteration(1, 1, 1)
        # Nothing is due: no ballot, nothing expired.
        assert cast_votes(1, 1, 1) is None
        restore_and_skip(1, 1, 1)

    after = steps.view().slot
    assert after == before
    assert after is not None
    assert after.state is SlotState.WAITING


@pytest.mark.parametrize("numbers", [(9, 1, 1), (1, 9, 1), (1, 1, 9)])
def test_what_is_not_on_the_ledger_is_refused(
    simulate: Simulate, numbers: tuple[int, int, int]
) -> None:
    steps = Stepper(simulate(size=2))
    with (
        site_bound_to(steps.sites["hospital-1"].directory),
        pytest.raises(SiteFailure, match=r"LedgerRefusal|ConfigurationError"),
    ):
        partner_iteration(*numbers)
    slot = steps.view().slot
    assert slot is not None
    assert slot.state is SlotState.WAITING
