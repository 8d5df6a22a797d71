from __future__ import annotations

import math

import pytest
import torch

from cdistrim.errors import IntegrityError, ModelRejectedError
from cdistrim.model import initial_weights
from cdistrim.spec import ModelSpec, Norm
from cdistrim.weights import (
    Weights,
    check_weights,
    from_bytes,
    to_bytes,
    update_ratio,
    weights_hash,
)

MODEL = ModelSpec(architecture="resnet18-3d", shape=(8, 8, 8), width=4, norm=Norm.BATCH)
NAME = "blocks.0.conv1.weight"


@pytest.fixture
def weights() -> Weights:
    return initial_weights(MODEL, 1)


def test_weights_survive_the_round_trip_bit_by_bit(weights: Weights) -> None:
    data = to_bytes(weights)
    loaded = from_bytes(data)
    assert weights_hash(loaded) == weights_hash(weights)
    assert to_bytes(dict(reversed(loaded.items()))) == data
    check_weights(loaded, MODEL)


def test_the_hash_sees_values_names_shapes_and_types(weights: Weights) -> None:
    one = weights[NAME]
    changed = one.clone()
    changed.view(-1)[-1] += 1e-6
    others = [
        weights | {NAME: changed},
        weights | {NAME: one.reshape(-1)},
        weights | {NAME: one.view(torch.int32)},
        {("renamed" if name == NAME else name): value for name, value in weights.items()},
    ]
    assert len({weights_hash(other) for other in [weights, *others]}) == 5


@pytest.mark.parametrize("cut", [0, 4, 100, -1])
def test_bytes_that_are_no_safetensors_are_refused(weights: Weights, cut: int) -> None:
    with pytest.raises(IntegrityError, match="not a readable safetensors"):
        from_bytes(to_bytes(weights)[:cut])
    with pytest.raises(IntegrityError, match="not a readable safetensors"):
        from_bytes(b"\x80\x04pickle?" * 50)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(weights: Weights, value: float) -> None:
    weights[NAME].view(-1)[5] = value
    with pytest.raises(ModelRejectedError, match=f"{NAME} holds 1 values"):
        check_weights(weights, MODEL)


def test_another_architecture_is_refused(weights: Weights) -> None:
    with pytest.raises(ModelRejectedError, match="missing"):
        check_weights({k: v for k, v in weights.items() if k != NAME}, MODEL)
    with pytest.raises(ModelRejectedError, match="1 are not its own"):
        check_weights(weights | {"extra": torch.zeros(1)}, MODEL)
    with pytest.raises(ModelRejectedError, match="the architecture has"):
        check_weights(weights, MODEL.model_copy(update={"width": 8}))
    with pytest.raises(ModelRejectedError, match="float64"):
        check_weights(weights | {NAME: weights[NAME].double()}, MODEL)


def test_a_negative_running_variance_is_refused(weights: Weights) -> None:
    weights["blocks.0.norm1.running_var"][0] = -1.0
    with pytest.raises(ModelRejectedError, match="negative variance"):
        check_weights(weights, MODEL)


def test_the_update_ratio_counts_parameters_and_no_running_statistics(weights: Weights) -> None:
    moved = {
        name: value * (1.5 if "running" not in name and value.is_floating_point() else 100)
        for name, value in weights.items()
    }
    assert update_ratio(weights, weights) == 0.0
    assert update_ratio(weights, moved) == pytest.approx(0.5)
    nothing = {name: torch.zeros_like(value) for name, value in weights.items()}
    assert update_ratio(nothing, weights) == math.inf
