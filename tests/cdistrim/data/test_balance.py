from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from cdistrim.data.balance import augmentation, augmented_labels, majority_label, zoom_copies
from cdistrim.errors import DataError
from cdistrim.spec import BalanceSpec
from tests.factories import make_cases, make_rows


@pytest.mark.parametrize(("positives", "negatives"), [(20, 7), (5, 19)])
def test_copies_of_the_minority_make_the_classes_equal(positives: int, negatives: int) -> None:
    cases = make_cases(positives, negatives)
    balanced = zoom_copies(cases, BalanceSpec(), seed=3)
    assert balanced.positives == balanced.negatives == max(positives, negatives)
    assert balanced.subset(range(len(cases))).digest() == cases.digest()
    copies = range(len(cases), len(balanced))
    assert set(balanced.labels[list(copies)]) == {int(positives < negatives)}


def test_each_case_of_the_minority_is_copied_before_any_is_copied_twice() -> None:
    cases = make_cases(20, 7)
    balanced = zoom_copies(cases, BalanceSpec(), seed=3)
    counts = Counter(one.split("+")[0] for one in balanced.ids[len(cases) :])
    assert set(counts.values()) == {1, 2}
    assert len(counts) == 7


def test_a_copy_is_scaled_within_the_range() -> None:
    cases = make_cases(12, 6)
    larger = zoom_copies(cases, BalanceSpec(zoom=(1.3, 1.3)), seed=3)
    for copy in range(18, 24):
        original = larger.ids.index(larger.ids[copy].split("+")[0])
        assert larger.volumes[copy].sum() > 1.2 * larger.volumes[original].sum()


def test_the_seed_alone_decides() -> None:
    cases = make_cases(12, 6)
    first, again, other = (zoom_copies(cases, BalanceSpec(), seed=seed) for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()


def test_a_balanced_set_and_a_spec_without_copies_change_nothing() -> None:
    assert (
        zoom_copies(make_cases(9, 9), BalanceSpec(), seed=1).digest() == make_cases(9, 9).digest()
    )
    assert len(zoom_copies(make_cases(9, 4), BalanceSpec(zoom_copies=False), seed=1)) == 13
    assert majority_label(make_cases(9, 9)) is None


def test_all_smaller_classes_of_a_table_get_plain_copies() -> None:
    rows = make_rows((9, 4, 6))
    balanced = zoom_copies(rows, BalanceSpec(), seed=1)
    assert balanced.counts() == (9, 9, 9)
    for copy in range(len(rows), len(balanced)):
        original = balanced.ids.index(balanced.ids[copy].split("+")[0])
        np.testing.assert_array_equal(balanced.volumes[copy], balanced.volumes[original])
    assert augmented_labels(rows, BalanceSpec(augment_minority=True)) == frozenset()


def test_one_class_cannot_be_balanced() -> None:
    with pytest.raises(DataError, match="at least 1 of each"):
        zoom_copies(make_cases(9, 0), BalanceSpec(), seed=1)


@pytest.mark.parametrize("majority", [0, 1])
def test_as_in_the_paper_only_the_majority_is_augmented(majority: int) -> None:
    cases = make_cases(9, 4) if majority else make_cases(4, 9)
    assert augmented_labels(cases, BalanceSpec()) == {majority}
    assert augmented_labels(cases, BalanceSpec(augment_minority=True)) == {0, 1}
    assert augmented_labels(cases, BalanceSpec(augment_majority=False)) == set()
    assert augmented_labels(make_cases(9, 9), BalanceSpec()) == set()


def test_augmentation_only_moves_voxels() -> None:
    volume = torch.from_numpy(make_cases(1, 1).volumes[0].astype(np.float32))
    torch.manual_seed(1)
    results = [augmentation()(volume) for _ in range(8)]
    for result in results:
        assert result.shape == volume.shape
        assert torch.equal(result.flatten().sort().values, volume.flatten().sort().values)
    assert any(not torch.equal(result, volume) for result in results)
