"""Input that can't be used is refused, with counts and without values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError

BAD: list[tuple[object, object, str]] = [
    ([], [], "no cases"),
    ([1, 1], [0.1, 0.2], "2 positive and 0 negative"),
    ([0, 0, 0], [0.1, 0.2, 0.3], "0 positive and 3 negative"),
    ([0, 1, 0, 1], [0.1, math.nan, 0.2, 0.3], "1 of 4 scores are not finite"),
    ([0, 1, 0, 1], [0.1, math.inf, -math.inf, 0.3], "2 of 4 scores are not finite"),
    ([0, 1, 0, 1], [0.1, 0.2, 0.3], "4 labels, but 3 scores"),
    ([0, 1, 2, 1], [0.1, 0.2, 0.3, 0.4], "1 of 4 labels"),
    ([0, 1, math.nan, 1], [0.1, 0.2, 0.3, 0.4], "1 of 4 labels"),
    ([0, 1, 0, 1], [[0.1], [0.2], [0.3], [0.4]], "no list of numbers"),
    (["patient-7", "patient-8"], [0.1, 0.2], "no list of numbers"),
    (np.array([0, "patient-7"], dtype=object), [0.1, 0.2], "no list of numbers"),
    ([0, 1, 0, 1], np.array([0.1, 0.2, 0.3, 0.4], dtype=object), "no list of numbers"),
    ([0, 1, 0, 1], [0.1, 0.2j, 0.3, 0.4], "no list of numbers"),
    ([[0], [1, 0]], [0.1, 0.2], "no list of numbers"),
    (
        [0, 0, 1, 1],
        np.ma.array([0.9, 0.2, 0.8, 0.7], mask=[True, False, False, False]),
        "scores are masked",
    ),
    ([0, 0, 1, 1], [2**60 + number for number in range(4)], "beyond 2\\^53"),
]
FIGURES: list[Callable[[object, object], object]] = [
    statistics.auc,  # type: ignore[list-item]
    statistics.auc_interval,  # type: ignore[list-item]
    statistics.roc_curve,  # type: ignore[list-item]
    lambda y, s: statistics.delong_test(y, s, s),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(
    ("bad", "figure"), list(itertools.product(BAD, FIGURES)), ids=lambda _: None
)
def test_bad_input_is_refused_with_counts_and_without_values(
    bad: tuple[object, object, str], figure: Callable[[object, object], object]
) -> None:
    labels, scores, told = bad
    with pytest.raises(DataError, match=told) as caught:
        figure(labels, scores)
    assert "patient" not in str(caught.value)
    assert caught.value.hint


def test_scores_of_classes_are_refused_as_those_of_two_are() -> None:
    rows = np.arange(12).reshape(6, 2)
    for bad, told in ((np.ma.array(rows, mask=rows == 3), "masked"), (rows + 2**60, "2\\^53")):
        with pytest.raises(DataError, match=told):
            statistics.macro_auc([0, 1, 0, 1, 0, 1], bad)


def test_one_case_in_a_class_has_an_auc_but_no_variance() -> None:
    labels, scores = [1, 0, 0], [2, 1, 3]
    assert statistics.auc(labels, scores) == 0.5
    with pytest.raises(DataError, match="at least 2 of each"):
        statistics.auc_interval(labels, scores)
    with pytest.raises(DataError, match="at least 2 of each"):
        statistics.delong_test(labels, scores, scores)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_a_level_outside_0_and_1_is_refused(level: float) -> None:
    with pytest.raises(UsageError):
        statistics.auc_interval([0, 0, 1, 1], [1, 2, 3, 4], level)
