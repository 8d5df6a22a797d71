"""``cdistrim campaign list``: where all campaigns stand."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli.command_line import Ended, call
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def rows(ended: Ended) -> list[list[str]]:
    """Cells of the table's rows, without its head."""
    assert ended.code == 0, ended.err
    lines = [line for line in ended.out.splitlines() if line.strip()]
    return [[cell for cell in line.split("  ") if cell.strip()] for line in lines[2:]]


def test_campaigns_are_listed_with_state_slot_deadline_and_head(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    here = simulated.consortium.sites["hospital-1"]
    none = call("campaign", "list", here)
    assert (none.code, "campaign open" in none.out) == (0, True)

    simulated.open_campaign()
    (enrolling,) = rows(call("campaign", "list", here))
    cells = [cell.strip() for cell in enrolling]
    assert cells[:5] == ["1", "simulated", "enrolling", "0 of 2", "genesis"]
    assert cells[-1] == "approved"
    assert cells[-2].endswith("UTC")

    steps = Stepper(simulated)
    steps.accept()
    steps.sites["hospital-1"].refuse_spec(simulated.spec.digest())
    (here / "passphrase").unlink()  # No key is needed to look.
    (running,) = rows(call("campaign", "list", here))
    cells = [cell.strip() for cell in running]
    assert cells[2:6] == ["running", "1 of 2", "slot 1", "2, hospital-2: waiting"]
    assert cells[-1] == "refused"
    (here / "refused" / simulated.spec.digest().hex()).unlink()
    (unanswered,) = rows(call("campaign", "list", here))
    assert unanswered[-1].strip() == "not approved"


def test_a_campaign_whose_spec_is_missing_is_listed_without_its_name(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    simulated.open_campaign()
    (simulated.consortium.store / "specs" / simulated.spec.digest().hex()).unlink()

    (row,) = rows(call("campaign", "list", simulated.consortium.sites["hospital-1"]))

    assert [cell.strip() for cell in row][1:3] == ["\u2013", "enrolling"]


def test_a_campaign_that_could_not_start_says_why(simulate: Simulate) -> None:
    simulated = simulate(size=3)
    simulated.found()
    number = simulated.open_campaign()
    site = simulated.site("hospital-1")
    site.ledger.enrol(campaign=number, cases=24, data_commitment=b"\1" * 32, evaluator=True)
    simulated.travel(simulated.spec.deadlines.enrol + 1)
    site.ledger.close_expired(campaign=number, slot=0)

    (failed,) = rows(call("campaign", "list", site.directory))
    why = "1 of 3 partners enrolled in time, 1 with a hold-out that suffices"
    assert [cell.strip() for cell in failed][2:6] == ["failed", "\u2013", "genesis", f"none: {why}"]
    assert f"campaign 1: failed, {why}" in call("campaign", "status", site.directory, 1).out
