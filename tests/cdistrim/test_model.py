from __future__ import annotations

import pytest
import torch
from torch import nn

from cdistrim.model import build_model, initial_weights, parameter_count
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import ModelSpec
from cdistrim.weights import weights_hash

PAPER = PRESETS[PresetName.PAPER].model
SMALL_PAPER = ModelSpec(architecture="paper-3d", shape=(8, 8, 8), width=4)
SMALL_RESNET = ModelSpec(architecture="resnet18-3d", shape=(8, 8, 8), width=4)


@pytest.mark.parametrize("spec", [SMALL_PAPER, SMALL_RESNET, PRESETS[PresetName.SMALL].model])
def test_a_network_gives_one_logit_a_volume_and_every_parameter_learns(spec: ModelSpec) -> None:
    network = build_model(spec)
    logits = network(torch.rand(3, 1, *spec.shape))
    assert logits.shape == (3,)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_paper_preset_is_what_the_text_says() -> None:
    with torch.device("meta"):
        network = build_model(PAPER)
    layers = list(network.modules())
    convolutions = [layer for layer in layers if isinstance(layer, nn.Conv3d)]
    assert PAPER.shape == (120, 160, 16)
    assert len(convolutions) == 18
    assert {layer.kernel_size for layer in convolutions} == {(3, 3, 3)}
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.Conv3d):
            assert isinstance(layers[number + 1], nn.ReLU)
            assert isinstance(layers[number + 2], nn.BatchNorm3d)


def test_full_width_resnet18_has_33_million_parameters() -> None:
    spec = ModelSpec(architecture="resnet18-3d", shape=(120, 160, 16), width=64)
    assert parameter_count(spec) == 33_147_969
    assert parameter_count(PAPER) == 33_077_185


@pytest.mark.parametrize("architecture", ["resnet18-3d", "paper-3d"])
def test_small_volumes_keep_their_resolution_in_the_first_convolution(architecture: str) -> None:
    def first_stride(shape: tuple[int, int, int]) -> tuple[int, ...]:
        spec = ModelSpec.model_validate({"architecture": architecture, "shape": shape})
        network = build_model(spec)
        return next(m.stride for m in network.modules() if isinstance(m, nn.Conv3d))

    assert first_stride((24, 47, 16)) == (1, 1, 1)
    assert first_stride((24, 48, 16)) == (2, 2, 1)


def test_initial_weights_follow_from_the_seed_and_leave_the_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again, other = (weights_hash(initial_weights(SMALL_RESNET, s)) for s in (1, 1, 2))
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), before)
