"""The paper's six scenarios: how many patients each partner has, and how ours are dealt out.

Source: Zerka et al. 2020 (doi 10.1109/ACCESS.2020.3029445), section III and table 2; for Fisher's
IRIS appendix A and table 4. Facts and figures only.

All scenarios of one seed have the same patients in the test set, the same hold-out patients (those
that a vote rests on) and the same training patients; scenarios differ in whose they are. So one
central training is the comparison for all of them. The paper has no hold-outs: it says nothing of
the cases that its votes rested on.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.data.split import Split, SplitPlan, deal_out, proportional, split_cases

__all__ = ["HOLDOUT_FRACTION", "IRIS_SCENARIOS", "LUNG_SCENARIOS", "Scenario", "deal"]

HOLDOUT_FRACTION = 0.2
"""Of a partner's patients: kept for votes, and not trained on."""


@dataclass(frozen=True)
class Scenario:
    """One way to distribute patients.

    Attributes:
        number: The paper's, 1 to 6.
        partners: Patients of each partner, test patients not counted, in the order of turns.
    """

    number: int
    partners: tuple[int, ...]

    @property
    def patients(self) -> int:
        """Of all partners."""
        return sum(self.partners)

    def scaled(self, patients: int) -> Scenario:
        """The same proportions for another number of patients, by largest remainder."""
        return Scenario(self.number, proportional(self.partners, patients))


LUNG_SCENARIOS = (
    Scenario(1, (281, 282)),
    Scenario(2, (188, 189, 186)),
    Scenario(3, (141, 140, 141, 141)),
    Scenario(4, (112, 451)),
    Scenario(5, (113, 67, 383)),
    Scenario(6, (57, 355, 113, 38)),
)
"""Of 563 patients (table 2); the test set has 141."""

IRIS_SCENARIOS = (
    Scenario(1, (60, 60)),
    Scenario(2, (40, 40, 40)),
    Scenario(3, (30, 30, 30, 30)),
    Scenario(4, (80, 40)),
    Scenario(5, (24, 57, 39)),
    Scenario(6, (24, 39, 18, 39)),
)
"""Of 120 flowers (table 4); the test set has 30."""


def deal(
    cases: CaseSet,
    scenario: Scenario,
    *,
    test: int,
    seed: int,
    holdout: float = HOLDOUT_FRACTION,
    calibration: int = 0,
) -> Split:
    """Deal patients out to a scenario's partners; every part has the same proportion of classes.

    Args:
        cases: One case a patient; what is left over is not used.
        scenario: Whose patients they are to be.
        test: Patients of the common test set.
        seed: The same seed puts the same patients into test set and hold-outs in all scenarios of
            as many patients.
        holdout: Fraction of each partner's patients that it keeps for votes.
        calibration: Patients that nobody trains on or votes with.

    Raises:
        DataError: There are too few cases, or a partner gets none for one of its sets.
    """
    kept = round(scenario.patients * holdout)
    plan = SplitPlan((scenario.patients - kept,), (kept,), test, validation=calibration)
    pools = split_cases(cases, plan, seed=seed)
    holdouts = proportional(scenario.partners, kept)
    trains = [whole - part for whole, part in zip(scenario.partners, holdouts, strict=True)]
    some = pools.sites[0]
    sites = tuple(
        SiteData(train, held)
        for train, held in zip(
            deal_out(some.train, trains, seed=seed),
            deal_out(some.holdout, holdouts, seed=seed),
            strict=True,
        )
    )
    return Split(sites, pools.test, some.validation)
