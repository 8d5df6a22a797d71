from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from cdistrim.errors import DataError, UsageError
from cdistrim.statistics import (
    SeedScores,
    auc,
    auc_interval,
    delong_test,
    hierarchical_bootstrap,
)

SHIFT = 1.5
CORRELATION = 0.8


def draw(random: np.random.Generator, *, spread: float = 0.0, cases: int = 70) -> SeedScores:
    """Two models with correlated scores; model a is better or worse by chance of its seed."""
    labels = np.repeat([0, 1], cases)
    both = random.normal(size=2 * cases) + labels * SHIFT
    own = np.sqrt(1 - CORRELATION) * random.normal(size=(2, 2 * cases))
    a, b = np.sqrt(CORRELATION) * both + own
    return SeedScores(labels, a + labels * random.normal(0, spread), b)


def expected_difference(spread: float) -> float:
    """Of the AUCs of :func:`draw`, over seeds and patients."""
    between = np.sqrt(CORRELATION) * SHIFT / np.sqrt(2)
    # The shift's chance adds its variance to that of a pair's difference.
    mixed = norm.cdf(between / np.sqrt(1 + spread**2 / 2))
    return float(mixed - norm.cdf(between))


def five(spread: float = 0.2, seed: int = 1) -> list[SeedScores]:
    random = np.random.default_rng(seed)
    return [draw(random, spread=spread) for _ in range(5)]


def test_the_estimates_are_the_means_over_the_seeds() -> None:
    seeds = five()
    area, difference = hierarchical_bootstrap(seeds, resamples=200)
    areas = [auc(one.labels, one.scores_a) for one in seeds]
    differences = [delong_test(*one).difference for one in seeds]
    assert area.estimate == pytest.approx(np.mean(areas), abs=1e-12)
    assert difference.estimate == pytest.approx(np.mean(differences), abs=1e-12)
    assert area.low < area.estimate < area.high
    assert (area.resamples, area.level) == (200, 0.95)


def test_with_one_seed_patients_alone_are_drawn_and_delong_agrees() -> None:
    seed = draw(np.random.default_rng(3), cases=200)
    area, difference = hierarchical_bootstrap([seed], resamples=4000)
    test = delong_test(*seed)
    assert difference.error == pytest.approx(np.sqrt(test.variance), rel=0.06)
    delong = auc_interval(seed.labels, seed.scores_a)
    assert area.low == pytest.approx(delong.low, abs=0.006)
    assert area.high == pytest.approx(delong.high, abs=0.006)


@pytest.mark.parametrize("spread", [0.0, 0.2, 1.0])
def test_intervals_of_five_seeds_cover_the_expected_difference(spread: float) -> None:
    random = np.random.default_rng(7)
    truth, runs, covered = expected_difference(spread), 150, 0
    for _ in range(runs):
        seeds = [draw(random, spread=spread) for _ in range(5)]
        _, found = hierarchical_bootstrap(seeds, resamples=200)
        covered += found.low <= truth <= found.high
    # Chance alone is 0.018 (one standard error).
    assert 0.89 <= covered / runs <= 0.99


def test_seeds_that_agree_by_chance_make_no_interval_narrower_than_their_patients_do() -> None:
    seed = draw(np.random.default_rng(3))
    _, alone = hierarchical_bootstrap([seed], resamples=2000)
    _, same = hierarchical_bootstrap([seed] * 5, resamples=2000)
    assert same.error == pytest.approx(alone.error / np.sqrt(5), rel=0.1)
    _, crossed = hierarchical_bootstrap([seed] * 5, resamples=2000, crossed=True)
    assert crossed.error == pytest.approx(alone.error, rel=0.1)


def test_the_same_number_gives_the_same_draws() -> None:
    first, again, other = (
        hierarchical_bootstrap(five(), resamples=200, random=number) for number in (1, 1, 2)
    )
    assert first == again != other


def test_equal_models_differ_by_nothing() -> None:
    seeds = [SeedScores(one.labels, one.scores_b, one.scores_b) for one in five()]
    _, difference = hierarchical_bootstrap(seeds, resamples=200)
    assert (difference.low, difference.estimate, difference.high) == (0, 0, 0)


def test_what_gives_no_interval_is_refused() -> None:
    seeds = five()
    for wrong in ({"level": 1.0}, {"resamples": 99}):
        with pytest.raises(UsageError, match="give no interval"):
            hierarchical_bootstrap(seeds, **wrong)
    with pytest.raises(UsageError, match="0 seeds"):
        hierarchical_bootstrap([])
    shifted = seeds[0]._replace(labels=1 - np.asarray(seeds[0].labels))
    with pytest.raises(UsageError, match="different labels"):
        hierarchical_bootstrap([*seeds, shifted], crossed=True)
    with pytest.raises(DataError, match="at least 2 of each"):
        hierarchical_bootstrap([SeedScores([0, 0, 1], [1, 2, 3], [1, 2, 3])])
    with pytest.raises(DataError, match="not finite"):
        hierarchical_bootstrap([SeedScores([0, 0, 1, 1], [1, 2, 3, np.nan], [1, 2, 3, 4])])
