"""Tables of the training benches from known results; the trainings themselves take hours."""

from __future__ import annotations

from typing import Any

import pytest

from bench import heterogeneity, training_choices
from bench.training_choices import BASE, CHOICES, Run


def made(run: Run, area: float) -> tuple[str, dict[str, Any]]:
    return run.key, {"choice": run.choice, "seed": run.seed, "scenario": run.scenario, "auc": area}


def test_a_choice_is_compared_with_the_central_training_that_is_its_own_or_the_same() -> None:
    carried = "optimiser carried"
    found = dict(
        [
            *(made(Run(BASE.name, seed, 0), 0.80 + seed / 100) for seed in (1, 2)),
            *(made(Run(carried, seed, 3), 0.79 + seed / 100) for seed in (1, 2)),
        ]
    )
    lines = training_choices.table(found, (1, 2))
    row = next(line for line in lines if carried in line and "falls" not in line)
    assert row == f"| {carried} | 2, 0 | 0.815 | -0.010 (-0.010 to -0.010) |  |"
    group = Run("group norm", 1, 0)
    assert group in training_choices.wanted(["group norm"], (1,))
    assert Run(carried, 1, 0) not in training_choices.wanted([carried], (1,))


def test_each_epoch_ends_with_a_batch_of_one_that_is_joined_or_dropped() -> None:
    joined = [len(batch) for batch in training_choices._OneLeft(40, 16, 1, 1)]
    assert joined == [16, 17]
    dropped = list(training_choices._OneDropped(40, 16, 1, 1))
    assert [len(batch) for batch in dropped] == [16, 16]
    taken = {index for batch in dropped for index in batch}
    assert len(taken) == 32
    later = training_choices._OneDropped(40, 16, 1, 1)
    later.set_epoch(1)
    assert taken != {index for batch in later for index in batch} <= set(range(40))


def test_kinds_of_partners_are_compared_with_central_training_on_the_same_images() -> None:
    way = BASE.name
    found = dict(
        [
            made(Run(way, 1, 0), 0.9),
            made(Run(way, 1, "central-scanners"), 0.8),
            made(Run(way, 1, "severity"), 0.85),
            made(Run(way, 1, "scanners"), 0.79),
        ]
    )
    lines = heterogeneity.table(found, [way], (1,))
    assert f"| `severity` | {way} | 0.900 | 0.850 | -0.050 |" in lines
    assert f"| `scanners` | {way} | 0.800 | 0.790 | -0.010 |" in lines


@pytest.mark.parametrize("way", heterogeneity.WAYS)
def test_what_helps_is_a_choice_that_exists(way: str) -> None:
    assert way in CHOICES
