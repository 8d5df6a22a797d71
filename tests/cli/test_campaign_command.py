"""``cdistrim campaign``: where all campaigns stand, and what an operator is told of their odds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cdistrim.odds import outlook
from cdistrim.spec import VotingSpec
from tests.cli.command_line import Ended, call
from tests.simulated import REPORTED, SimulatedConsortium
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


def written(simulated: SimulatedConsortium) -> Path:
    """The spec in a file, as an operator has it."""
    path = simulated.directory / "spec.json"
    path.write_bytes(simulated.spec.canonical())
    return path


def test_who_opens_a_campaign_of_poor_odds_is_told_figures_and_what_to_change(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=4)
    simulated.found()
    site = simulated.site("hospital-1")
    ended = call("campaign", "open", site.directory, written(simulated))

    assert ended.code == 0, ended.err
    foreseen = outlook(simulated.spec)
    assert not foreseen.odds.good
    assert "Campaign 1 is open" in ended.out
    assert "4 partners, 4 evaluate, each on 10 + 10 cases, the fewest" in ended.out
    assert f"lower by 0.10 is accepted in {foreseen.odds.worse:.0%}" in ended.out
    assert "WARNING: these odds are poor" in ended.out
    assert foreseen.remedies
    assert all(remedy in ended.out for remedy in foreseen.remedies)
    assert f"cdistrim campaign refuse {site.directory} 1" in ended.out
    # The schedule's way has no terminal: the site's log has it, too.
    assert "WARNING: these odds are poor" in (site.directory / "log" / "site.log").read_text()


def test_who_opens_a_campaign_of_good_odds_is_not_warned(simulate: Simulate) -> None:
    simulated = simulate(size=4, voting=VotingSpec(min_cases_per_class=50))
    simulated.found()
    site = simulated.site("hospital-1")
    ended = call("campaign", "open", site.directory, written(simulated))

    assert ended.code == 0, ended.err
    assert "each on 50 + 50 cases" in ended.out
    assert "WARNING: these odds" not in ended.out
    # Its own hold-out has fewer than the spec asks for, of which the odds know nothing.
    assert "WARNING: hospital-1: The hold-out has 12 cases" in ended.out
    log = site.directory / "log" / "site.log"
    assert not log.exists() or "odds" not in log.read_text()


def test_an_operator_sees_the_odds_before_the_approval_and_who_will_not_evaluate(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=5, voting=VotingSpec(min_cases_per_class=40))
    simulated.found()
    number = simulated.open_campaign()
    here = simulated.consortium.sites["hospital-1"]
    before = call("campaign", "review", here, number).out
    assert "5 partners, 5 evaluate, each on 40 + 40 cases" in before
    own = (
        "WARNING: hospital-1: The hold-out has 12 cases of a class; an evaluator needs 40 of each."
    )
    assert own in before
    assert own in call("campaign", "approve", here, number).out
    # What is assumed of who has not enrolled gives way to what the ledger says.
    simulated.site("hospital-2").ledger.enrol(
        campaign=number, cases=24, data_commitment=b"\1" * 32, evaluator=False
    )
    after = call("campaign", "review", here, number).out
    view = simulated.view(number)
    assert "5 partners, 4 evaluate, each on 40 + 40 cases" in after
    assert "\n".join(outlook(simulated.spec, view).lines()) in after
    assert after.rstrip().endswith("approved at hospital-1")


def test_in_mode_reported_the_odds_say_that_the_trainer_is_believed(simulate: Simulate) -> None:
    simulated = simulate(size=3, voting=REPORTED)
    simulated.found()
    number = simulated.open_campaign()
    said = call("campaign", "review", simulated.consortium.sites["hospital-2"], number).out
    assert "what the trainer reports of 10 + 10 validation cases" in said
    assert "taken for granted" in said
