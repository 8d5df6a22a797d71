from __future__ import annotations

import pytest

from cdistrim.data.cases import pool
from cdistrim.errors import DataError
from cdistrim.experiment.scenarios import IRIS_SCENARIOS, LUNG_SCENARIOS, Scenario, deal
from tests.factories import make_cases, make_rows


def test_the_papers_numbers_add_up() -> None:
    assert {one.patients for one in LUNG_SCENARIOS} == {563}
    assert [one.number for one in LUNG_SCENARIOS] == [1, 2, 3, 4, 5, 6]
    assert {one.patients for one in IRIS_SCENARIOS} == {120}
    assert [one.number for one in IRIS_SCENARIOS] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("scenario", IRIS_SCENARIOS, ids=lambda one: str(one.number))
def test_each_partner_gets_its_patients_and_nobody_is_at_two_places(scenario: Scenario) -> None:
    split = deal(make_rows((50, 50, 50)), scenario, test=30, seed=7)
    sizes = tuple(len(site.train) + len(site.holdout) for site in split.sites)
    assert sizes == scenario.partners
    parts = [split.test, *(part for site in split.sites for part in (site.train, site.holdout))]
    assert len(pool(parts)) == 150
    for part in parts:
        expected = len(part) / 3
        assert all(abs(count - expected) <= 1 for count in part.counts(3))


def test_all_scenarios_of_a_seed_train_hold_out_and_test_the_same_patients() -> None:
    cases = make_rows((50, 50, 50))

    def patients(scenario: Scenario, seed: int = 7) -> tuple[frozenset[str], ...]:
        split = deal(cases, scenario, test=30, seed=seed)
        train = pool([site.train for site in split.sites])
        holdout = pool([site.holdout for site in split.sites])
        return tuple(frozenset(part.ids) for part in (train, holdout, split.test))

    assert len({patients(scenario) for scenario in IRIS_SCENARIOS}) == 1
    assert patients(IRIS_SCENARIOS[0]) != patients(IRIS_SCENARIOS[0], seed=8)


def test_proportions_are_kept_for_other_numbers_of_patients() -> None:
    small = LUNG_SCENARIOS[5].scaled(60)
    assert small.patients == 60
    assert small.partners == (6, 38, 12, 4)
    with pytest.raises(DataError, match="can't be dealt out"):
        deal(make_cases(20, 20), Scenario(1, (1, 30)), test=5, seed=1)
