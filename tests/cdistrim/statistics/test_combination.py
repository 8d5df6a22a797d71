"""Figures of several sites, compared with pooled counts, root finding and simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from cdistrim import statistics
from cdistrim.errors import DataError, UsageError
from cdistrim.statistics import Combination, SiteFigure, combine_aucs, combine_differences
from tests.cdistrim.statistics.drawn import exactly

SITES = (
    SiteFigure("a", 0.8, 0.002, 30, 40),
    SiteFigure("b", 0.9, 0.001, 30, 60),
    SiteFigure("c", 0.7, 0.009, 12, 15),
)


@st.composite
def figures(draw: st.DrawFn) -> list[SiteFigure]:
    """Differences at two to six sites, some without variance."""
    value, variance = st.floats(-0.4, 0.4), st.sampled_from([0.0, 1e-4, 0.001, 0.01])
    cases = st.integers(10, 90)
    return [
        SiteFigure(f"site-{i}", draw(value), draw(variance), draw(cases), draw(cases))
        for i in range(draw(st.integers(2, 6)))
    ]


def paule_mandel(values: np.ndarray, variances: np.ndarray) -> float:
    """The generalised Q's root, by another method of root finding on another scale."""

    def excess(log_tau: float) -> float:
        weights = 1 / (variances + math.exp(log_tau))
        mean = np.average(values, weights=weights)
        return float(np.sum(weights * (values - mean) ** 2)) - (values.size - 1)

    return math.exp(optimize.bisect(excess, -60, 5, xtol=1e-13))


def test_the_combined_figure_is_the_mean_weighted_by_size_with_the_sites_own_variances() -> None:
    made = combine_aucs(SITES, min_cases_per_class=10)
    weights = [30 * 40 / 71, 30 * 60 / 91, 12 * 15 / 28]
    value = np.average([0.8, 0.9, 0.7], weights=weights)
    variance = sum(
        (w / sum(weights)) ** 2 * f.variance for w, f in zip(weights, SITES, strict=True)
    )
    assert made.value == exactly(float(value))
    assert made.variance == exactly(variance)
    deviation = math.sqrt(variance) / (value * (1 - value))
    centre = math.log(value / (1 - value))
    low, high = stats.norm.interval(0.95, loc=centre, scale=deviation)
    assert (made.low, made.high) == (
        exactly(1 / (1 + math.exp(-low))),
        exactly(1 / (1 + math.exp(-high))),
    )
    assert (made.sites, made.positives, made.negatives) == (("a", "b", "c"), 72, 115)


@given(figures())
@settings(deadline=None)
def test_random_effects_agree_with_an_independent_solution(drawn: list[SiteFigure]) -> None:
    made = combine_differences(drawn, min_cases_per_class=10)
    values = np.array([f.value for f in drawn])
    size = np.array([f.positives * f.negatives / (f.positives + f.negatives + 1) for f in drawn])
    variance = float(np.sum(size**2 * [f.variance for f in drawn]) / size.sum() ** 2)
    if variance < 1e-90:  # none
        return
    even = variance * size.sum() / size
    q = float(np.sum((values - np.average(values, weights=size)) ** 2 / even))
    degrees = values.size - 1
    assert made.q == pytest.approx(q, rel=1e-9)
    assert made.p_heterogeneity == pytest.approx(stats.chi2.sf(q, degrees), rel=1e-8, abs=1e-12)
    assert made.i_squared == pytest.approx(max(0.0, (q - degrees) / q) if q else 0.0, abs=1e-9)
    assert made.random is not None
    if q > degrees * 1.001:
        tau_squared = paule_mandel(values, even)
        assert made.random.tau_squared == pytest.approx(tau_squared, rel=1e-7, abs=1e-12)
    elif q <= degrees:
        assert made.random.tau_squared == 0.0
        assert made.random.value == exactly(made.value)
    weights = 1 / (even + made.random.tau_squared)
    mean = np.average(values, weights=weights)
    spread = max(1.0, float(np.sum(weights * (values - mean) ** 2)) / degrees)
    low, high = stats.t.interval(0.95, degrees, loc=mean, scale=math.sqrt(spread / weights.sum()))
    assert made.random.low == pytest.approx(max(-1.0, low), rel=1e-6, abs=1e-8)
    assert made.random.high == pytest.approx(min(1.0, high), rel=1e-6, abs=1e-8)
    assert made.random.high - made.random.low >= made.high - made.low - 1e-9 or made.low == -1


@pytest.mark.parametrize("variance", [0.0, 5e-324, 1e-200])
def test_what_is_next_to_nothing_is_nothing(variance: float) -> None:
    drawn = [SiteFigure("a", 0.0, variance, 10, 10), SiteFigure("b", 1.3e-157, variance, 10, 10)]
    made = combine_differences(drawn, min_cases_per_class=10)
    assert made.random is not None
    assert (made.value, made.variance, made.random.tau_squared) == (0.0, 0.0, 0.0)
    assert (made.random.low, made.random.high, made.q) == (0.0, 0.0, 0.0)


def test_one_site_combines_to_itself() -> None:
    made = combine_aucs(SITES[:1], min_cases_per_class=10)
    assert (made.value, made.variance, made.random) == (0.8, exactly(0.002), None)
    assert (made.q, made.degrees, made.p_heterogeneity, made.i_squared) == (0.0, 0, 1.0, 0.0)


def test_what_n_equal_sites_say_is_n_times_as_precise_and_not_heterogeneous() -> None:
    made = combine_aucs([replace(SITES[0], site=str(i)) for i in range(8)], min_cases_per_class=10)
    assert (made.value, made.variance) == (exactly(0.8), exactly(0.002 / 8))
    assert (made.q, made.i_squared) == (exactly(0.0), 0.0)
    assert made.random is not None
    assert (made.random.value, made.random.tau_squared) == (exactly(0.8), 0.0)


def test_perfect_aucs_are_no_certainty_and_count_as_any_other() -> None:
    perfect = SiteFigure("p", 1.0, 0.0, 12, 15)
    made = combine_aucs([perfect, replace(perfect, site="q", positives=30)], min_cases_per_class=10)
    assert (made.value, made.high) == (1.0, 1.0)
    assert made.low == exactly(0.025 ** (1 / (12 + 15)))
    mixed = combine_aucs([*SITES, perfect], min_cases_per_class=10)
    shares = [30 * 40 / 71, 30 * 60 / 91, 12 * 15 / 28, 12 * 15 / 28]
    assert mixed.value == exactly(float(np.average([0.8, 0.9, 0.7, 1.0], weights=shares)))
    none = combine_aucs([replace(perfect, value=0.0)], min_cases_per_class=10)
    assert (none.value, none.low, none.high) == (0.0, 0.0, exactly(1 - 0.025 ** (1 / 12)))


def test_sites_without_any_variance_give_a_point_or_differ_for_certain() -> None:
    equal = [SiteFigure(name, 0.0, 0.0, 20, 20) for name in "ab"]
    made = combine_differences(equal, min_cases_per_class=10)
    assert (made.value, made.low, made.high, made.q, made.i_squared) == (0, 0, 0, 0, 0)
    assert made.random is not None
    assert (made.random.low, made.random.high) == (0, 0)
    apart = combine_differences([equal[0], replace(equal[1], value=0.2)], min_cases_per_class=10)
    assert (apart.q, apart.p_heterogeneity, apart.i_squared) == (math.inf, 0.0, 1.0)
    assert apart.random is not None
    assert apart.random.tau_squared == exactly(0.02)


def test_a_small_site_is_named_and_changes_nothing_else() -> None:
    small = SiteFigure("tiny", 0.1, 0.1, 9, 200)
    made = combine_aucs([small, *SITES], min_cases_per_class=10)
    assert made.suppressed == ("tiny",)
    assert replace(made, suppressed=()) == combine_aucs(SITES, min_cases_per_class=10)
    other = replace(small, value=0.7, positives=3, negatives=77)
    assert combine_aucs([other, *SITES], min_cases_per_class=10) == made


def test_where_totals_are_known_a_single_small_site_is_not_left_alone() -> None:
    small = SiteFigure("tiny", 0.1, 0.1, 9, 200)
    made = combine_aucs([small, *SITES], min_cases_per_class=10, totals_known=True)
    assert (made.suppressed, made.sites) == (("tiny", "c"), ("a", "b"))
    two = [small, replace(small, site="tiny-2"), *SITES]
    assert combine_aucs(two, min_cases_per_class=10, totals_known=True).suppressed == (
        "tiny",
        "tiny-2",
    )
    assert not combine_aucs(SITES, min_cases_per_class=10, totals_known=True).suppressed


def test_that_no_site_is_large_enough_is_an_error_and_names_no_figure() -> None:
    with pytest.raises(DataError, match="None of 3 sites has 100 cases") as caught:
        combine_aucs(SITES, min_cases_per_class=100)
    assert "0.8" not in str(caught.value)
    with pytest.raises(DataError, match="None of 0 sites"):
        combine_aucs([], min_cases_per_class=1)
    small = replace(SITES[0], positives=1)
    with pytest.raises(DataError, match="None of 2 sites"):
        combine_aucs([small, SITES[1]], min_cases_per_class=2, totals_known=True)


@pytest.mark.parametrize(
    "bad", [{"value": 1.01}, {"value": math.nan}, {"variance": -1e-9}, {"variance": math.inf}]
)
def test_impossible_figures_are_refused(bad: dict[str, float]) -> None:
    broken = replace(SITES[1], **bad)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="b gives the figure"):
        combine_aucs([SITES[0], broken], min_cases_per_class=10)
    with pytest.raises(DataError, match="b gives the figure"):
        combine_differences([SITES[0], broken], min_cases_per_class=10)


def test_negative_values_are_differences_and_no_aucs() -> None:
    worse = [replace(figure, value=-0.1) for figure in SITES]
    assert combine_differences(worse, min_cases_per_class=10).value == exactly(-0.1)
    with pytest.raises(DataError):
        combine_aucs(worse, min_cases_per_class=10)


def test_a_site_counts_once() -> None:
    with pytest.raises(DataError, match="1 of 4 figures"):
        combine_aucs([*SITES, SITES[0]], min_cases_per_class=10)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(UsageError):
        combine_aucs(SITES, min_cases_per_class=0)
    for level in (0.0, 1.0, math.nan):
        with pytest.raises(UsageError):
            combine_aucs(SITES, min_cases_per_class=10, level=level)
        with pytest.raises(UsageError):
            combine_differences(SITES, min_cases_per_class=10, level=level)


def held(make: str, truth: float, spread: float, rounds: int) -> tuple[float, float]:
    """How often intervals over these sites, and over any such site, hold the truth."""
    rng = np.random.default_rng(11)
    these = any_such = 0
    shift = math.sqrt(2) * float(stats.norm.ppf(truth))
    for _ in range(rounds):
        figures, own = [], []
        for i, (m, n) in enumerate([(12, 15), (30, 40), (15, 12), (20, 60), (25, 25)]):
            here = shift + spread * rng.normal()
            labels = np.repeat([1, 0], [m, n])
            a = here * labels + rng.normal(size=m + n)
            b = here * labels + rng.normal(size=m + n)
            test = statistics.delong_test(labels, a, b if make == "difference" else np.zeros(m + n))
            value = test.auc_a if make == "auc" else test.difference
            figures.append(SiteFigure(str(i), value, test.variance, m, n))
            own.append(float(stats.norm.cdf(here / math.sqrt(2))) if make == "auc" else 0.0)
        combine = combine_aucs if make == "auc" else combine_differences
        found: Combination = combine(figures, min_cases_per_class=10)
        weights = [f.positives * f.negatives / (f.positives + f.negatives + 1) for f in figures]
        these += int(found.low <= float(np.average(own, weights=weights)) <= found.high)
        assert found.random is not None
        any_such += found.random.low <= (truth if make == "auc" else 0.0) <= found.random.high
    return these / rounds, any_such / rounds


@pytest.mark.parametrize(("make", "spread"), [("auc", 0.0), ("auc", 0.3), ("difference", 0.0)])
def test_intervals_hold_the_truth_as_often_as_they_say(make: str, spread: float) -> None:
    these, any_such = held(make, 0.8, spread, 800)
    assert these == pytest.approx(0.95, abs=0.025)
    assert any_such > 0.925
