from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from cdistrim.classifier import Turn, learning_rate_factor, loss_of, turn_of
from cdistrim.spec import Schedule
from tests.simulated import tiny_spec


def test_the_learning_rate_rises_to_the_specs_and_falls_to_nothing() -> None:
    factors = [learning_rate_factor(step, 40) for step in range(40)]
    peak = factors.index(1.0)
    assert 0 < peak < 8
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert 0 < factors[-1] < 0.01
    assert 0 < learning_rate_factor(0, 1) <= 1


def test_over_a_campaign_each_cycle_goes_on_where_the_one_before_ended() -> None:
    def cycle(number: int) -> list[float]:
        turn = Turn(1, cycle=number, cycles=4)
        return [
            learning_rate_factor(step, 40, schedule=Schedule.CAMPAIGN, turn=turn)
            for step in range(40)
        ]

    cycles = [cycle(number) for number in range(4)]
    for before, after in pairwise(cycles):
        assert after[4] < before[-1]
        assert after[0] < after[4] / 2  # Warmed up in each slot: the optimiser is new.
    assert cycles[0][4] > 0.99
    assert 0 < cycles[3][-1] < 0.01


def test_central_training_has_one_cycle_and_falls_alike_in_both_schedules() -> None:
    turn = Turn(0)
    for step in range(10, 100, 10):
        slot = learning_rate_factor(step, 100)
        campaign = learning_rate_factor(step, 100, schedule=Schedule.CAMPAIGN, turn=turn)
        assert slot == pytest.approx(campaign, abs=0.1)


def test_slots_are_in_their_cycle_also_where_members_joined() -> None:
    spec = tiny_spec(("hospital-1", "hospital-2", "hospital-3"), cycles=4)
    partners = len(spec.order)
    assert [turn_of(spec, slot, spec.slots).cycle for slot in range(1, spec.slots + 1)] == [
        cycle for cycle in range(4) for _ in range(partners)
    ]
    late = [turn_of(spec, slot, spec.slots + 2).cycle for slot in range(1, spec.slots + 3)]
    assert late == sorted(late)
    assert late[-1] == 3


def test_the_loss_of_two_classes_is_the_same_by_one_logit_or_two() -> None:
    logits = torch.linspace(-3, 3, 7)
    labels = torch.tensor([0, 1, 0, 1, 1, 0, 1])
    both = torch.stack([torch.zeros(7), logits], dim=1)
    assert float(loss_of(logits, labels)) == pytest.approx(float(loss_of(both, labels)))
