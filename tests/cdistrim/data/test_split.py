from __future__ import annotations

import pytest

from cdistrim.data.split import SplitPlan, split_cases
from cdistrim.errors import DataError
from tests.factories import make_cases, make_rows

PLAN = SplitPlan(train=(40, 20, 11), holdout=(12, 12, 9), test=30, validation=16)


def test_no_patient_is_in_two_parts() -> None:
    split = split_cases(make_cases(95, 75), PLAN, seed=1)
    parts = [split.test]
    for site in split.sites:
        parts += [site.train, site.holdout]
    assert split.sites[0].validation is split.sites[2].validation
    assert split.sites[0].validation is not None
    parts.append(split.sites[0].validation)
    ids = [one for part in parts for one in part.ids]
    assert len(ids) == len(set(ids)) == PLAN.total == 150


def test_parts_have_the_planned_sizes_and_the_proportion_of_classes() -> None:
    split = split_cases(make_cases(95, 75), PLAN, seed=1)
    for site, train, holdout in zip(split.sites, PLAN.train, PLAN.holdout, strict=True):
        assert (len(site.train), len(site.holdout)) == (train, holdout)
        for part in (site.train, site.holdout, split.test):
            assert abs(part.positives - len(part) * 95 / 170) < 1


def test_each_of_several_classes_has_its_proportion_in_each_part() -> None:
    plan = SplitPlan(train=(60, 30), holdout=(15, 15), test=30)
    split = split_cases(make_rows((50, 50, 50)), plan, seed=1)
    assert split.sites[0].train.counts() == (20, 20, 20)
    assert split.sites[1].holdout.counts() == (5, 5, 5)
    assert split.test.counts() == (10, 10, 10)


def test_the_seed_alone_decides() -> None:
    cases = make_cases(95, 75)
    first, again, other = (split_cases(cases, PLAN, seed=seed) for seed in (1, 1, 2))
    assert first.test.digest() == again.test.digest() != other.test.digest()


def test_too_few_cases_or_one_class_are_refused() -> None:
    with pytest.raises(DataError, match="needs 150 cases; of these, 149 are there"):
        split_cases(make_cases(80, 69), PLAN, seed=1)
    with pytest.raises(DataError, match="0 cases of class 0"):
        split_cases(make_cases(170, 0), PLAN, seed=1)


def test_a_plan_without_hospitals_or_with_an_empty_set_is_refused() -> None:
    for train, holdout in (((), ()), ((3,), (3, 3)), ((3, 0), (3, 3))):
        with pytest.raises(DataError, match="make no split"):
            SplitPlan(train, holdout, 5)


def test_fractions_give_the_rounded_counts() -> None:
    plan = SplitPlan.fractions(729, train=(0.2, 0.1), holdout=(0.1, 0.1), test=0.2)
    assert plan == SplitPlan((145, 72), (72, 72), 145)
