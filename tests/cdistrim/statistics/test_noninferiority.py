"""Non-inferiority is read off an interval, and off nothing else."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError
from cdistrim.statistics import DifferenceInterval, judge_difference


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.019, 0.03, (True, True, False)),
        (-0.02, 0.03, (True, False, False)),
        (-0.05, 0.03, (False, False, False)),
        (-0.2, -0.05, (False, False, False)),
        (-0.2, -0.051, (False, False, True)),
        (0.01, 0.03, (True, True, False)),
    ],
)
def test_the_whole_interval_has_to_lie_above_the_margin(
    low: float, high: float, verdict: tuple[bool, bool, bool]
) -> None:
    made = judge_difference(DifferenceInterval((low + high) / 2, low, high, 0.95))
    assert (made.shown, made.aim_shown, made.inferior) == verdict
    assert (made.margin, made.aim) == (0.05, 0.02)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0.1, 0.2, 0.8, 0.9], [0.4, 0.3, 0.6, 0.7]),  # both without a mistake
        ([0.1, 0.2, 0.8, 0.9], [0.5, 0.5, 0.5, 0.5]),
        ([0.5, 0.5, 0.5, 0.5], [0.1, 0.2, 0.8, 0.9]),
        ([0.1, 0.8, 0.2, 0.9], [0.1, 0.8, 0.2, 0.9]),  # the same model
    ],
)
def test_where_nothing_varies_nothing_is_shown(a: list[float], b: list[float]) -> None:
    test = statistics.delong_test([0, 0, 1, 1], a, b)
    assert test.variance == 0
    made = judge_difference(test.interval())
    assert [made.shown, made.aim_shown, made.inferior] == [False] * 3
    assert not statistics.non_inferiority(test, 0.05)


@given(st.floats(-0.3, 0.3), st.floats(1e-6, 0.01), st.floats(0.0, 0.2))
def test_on_delongs_interval_it_is_the_test_at_half_the_level(
    difference: float, variance: float, margin: float
) -> None:
    test = statistics.DeLongTest(0.7 + difference, 0.7, difference, variance, 0.0, 1.0)
    made = judge_difference(test.interval(0.95), margin=margin, aim=0.0)
    bound = difference - 1.959963984540054 * math.sqrt(variance)
    if abs(bound + margin) > 1e-9:
        assert made.shown == statistics.non_inferiority(test, margin, 0.025)


@pytest.mark.parametrize(
    ("margin", "aim", "named"),
    [
        (0.02, 0.05, "An aim of 0.05"),
        (-0.1, 0.02, "A margin of -0.1"),
        (math.nan, 0.0, "A margin of nan"),
        (0.05, math.nan, "An aim of nan"),
        (1.5, 0.1, "A margin of 1.5"),
    ],
)
def test_impossible_margins_are_refused(margin: float, aim: float, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        judge_difference(DifferenceInterval(0.0, -0.1, 0.1, 0.95), margin=margin, aim=aim)


@pytest.mark.parametrize(
    ("difference", "low", "high"),
    [(0.2, -0.1, 0.1), (0.0, math.nan, 0.1), (0.0, -math.inf, 0.1), (0.0, 0.1, -0.1)],
)
def test_what_is_no_interval_is_refused(difference: float, low: float, high: float) -> None:
    with pytest.raises(DataError):
        judge_difference(DifferenceInterval(difference, low, high, 0.95))
