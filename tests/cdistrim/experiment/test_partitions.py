from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from cdistrim.data.cases import CaseSet
from cdistrim.errors import UsageError
from cdistrim.experiment.partitions import PARTITIONS, partition
from tests.factories import make_cases

SHAPE = (2, 2, 2)
CASES = make_cases(330, 380, shape=SHAPE)


def ids(sets: list[CaseSet]) -> set[str]:
    return {one for cases in sets for one in cases.ids}


@pytest.mark.parametrize("kind", PARTITIONS)
def test_all_kinds_train_hold_out_and_test_the_same_patients(kind: str) -> None:
    split = partition(CASES, kind, test=141, seed=3)
    equal = partition(CASES, "equal", test=141, seed=3)
    assert split.test.ids == equal.test.ids
    assert ids([site.train for site in split.sites]) == ids([site.train for site in equal.sites])
    assert ids([s.holdout for s in split.sites]) == ids([s.holdout for s in equal.sites])
    assert sum(len(site.train) for site in split.sites) == 450


def test_sizes_are_the_papers_and_reversed() -> None:
    sizes, reverse = (
        [len(s.train) + len(s.holdout) for s in partition(CASES, kind, test=141, seed=3).sites]
        for kind in ("sizes", "sizes-reversed")
    )
    assert sizes == [57, 355, 113, 38]
    assert reverse == sizes[::-1]


def test_classes_differ_from_partner_to_partner_and_all_have_both() -> None:
    sites = partition(CASES, "classes", test=141, seed=3).sites
    shares = [site.train.positives / len(site.train) for site in sites]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert shares[-1] > 0.75
    for site in sites:
        site.train.require_classes(2)
        site.holdout.require_classes(2)


def test_severity_rises_from_partner_to_partner() -> None:
    sites = partition(CASES, "severity", test=141, seed=3).sites
    filled = [site.train.volumes.sum(axis=(1, 2, 3, 4), dtype=float) for site in sites]
    for before, after in pairwise(filled):
        assert before.max() <= after.min()


def test_each_partner_has_its_scanner_and_the_test_set_has_all_of_them() -> None:
    split = partition(CASES, "scanners", test=141, seed=3)
    plain = partition(CASES, "equal", test=141, seed=3)
    for number, (site, before) in enumerate(zip(split.sites, plain.sites, strict=True)):
        assert (site.train.digest() == before.train.digest()) == (number == 0)
    changed = (split.test.volumes != plain.test.volumes).any(axis=(1, 2, 3, 4))
    assert not changed[::4].any()
    for number in (1, 2, 3):
        assert changed[number::4].all()
    assert np.isfinite(split.test.volumes).all()


def test_a_kind_that_there_is_none_of_is_told() -> None:
    with pytest.raises(UsageError, match="no partition 'seasons'"):
        partition(CASES, "seasons", test=141, seed=3)
