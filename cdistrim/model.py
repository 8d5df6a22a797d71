"""The networks, which every partner rebuilds from the spec alone.

With two classes they give one logit a case, whose sigmoid is the probability of label 1; with more
they give one logit a class, whose softmax are the probabilities.

``resnet18-3d``
    ResNet-18 (He et al. 2016) with 3D convolutions: a stem, four stages of two basic blocks with
    ``width``, 2, 4 and 8 times ``width`` channels, strided 1x1x1 convolutions on the shortcuts,
    global average, one linear layer. 33.1 M parameters at width 64.

``paper-3d``
    What the paper's text says: 3x3x3 convolutions, each followed by ReLU and batch normalisation,
    residual connections, 18 convolutional layers in all, sigmoid output. Our reading: two
    convolutions in the stem and sixteen in eight residual blocks; shortcuts without parameters (He
    et al.'s option A: subsample, pad the channels with zeros), because with convolutions on them
    there would be more than 18. ResNet-18 itself has 17 in its main path and a 7x7x7 stem.

``mlp``
    For rows of a table (the paper's appendix A names "a multi-class network" and no more): two
    hidden layers of ``width`` units with ReLU.

The stem follows the volume: a volume whose longest axis has fewer than 48 voxels keeps its
resolution in the first convolution (3x3x3, stride 1), a larger one is halved in the plane (stride
2, 2, 1; 7x7x3 in ``resnet18-3d``). Then all axes are halved, by a pool or the second convolution.
"""

from __future__ import annotations

from math import gcd

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdistrim.hardware import exclusive_torch
from cdistrim.spec import ModelSpec, Norm

__all__ = ["build_model", "initial_weights", "network_of", "parameter_count"]

SMALL_VOLUME = 48
"""Longest axis in voxels from which on the first convolution halves the plane."""

CHANNELS_LAST_WIDTH = 16
"""Width up to which channels last is no slower on a processor: ``make bench-steps``, which fills
``docs/training.md``. A graphics card was not measured."""

NORM_MOMENTUM = 0.2
"""Of the running statistics, which travel with the model. torch's 0.1 needs some thirty batches to
forget its initial values; a small hospital's first slot has fewer."""

GROUPS = 8
"""Of channels in a group normalisation; fewer where the channels can't be divided so."""


def build_model(spec: ModelSpec) -> nn.Module:
    """The network of a spec, with whatever weights torch's generator gives.

    Maps a float32 tensor (n, 1, x, y, z) to logits: (n,) for two classes, else (n, classes).
    """
    if spec.architecture == "mlp":
        return _Table(spec)
    if spec.architecture == "paper-3d":
        return _Network(_paper_stem(spec), _PaperBlock, spec)
    return _Network(_resnet_stem(spec), _BasicBlock, spec)


def initial_weights(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """State dict of a fresh network; the same spec and seed give the same bytes."""
    with exclusive_torch(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: value.clone() for name, value in build_model(spec).state_dict().items()}


def network_of(spec: ModelSpec, weights: dict[str, Tensor]) -> nn.Module:
    """The network with copies of these weights, laid out as a processor convolves fastest."""
    network = build_model(spec)
    network.load_state_dict(weights)
    if spec.architecture != "mlp" and spec.width <= CHANNELS_LAST_WIDTH:
        # The stub of torch.nn.Module.to does not know the keyword alone.
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def parameter_count(spec: ModelSpec) -> int:
    """Number of trained parameters."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(spec).parameters())


class _Network(nn.Module):
    def __init__(
        self, stem: nn.Module, block: type[_BasicBlock] | type[_PaperBlock], spec: ModelSpec
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        before = spec.width
        for stage in range(4):
            after = spec.width * 2**stage
            stride = 1 if stage == 0 else 2
            blocks += [block(before, after, stride, spec.norm), block(after, after, 1, spec.norm)]
            before = after
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(before, _outputs(spec))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, volumes: Tensor) -> Tensor:
        features = self.blocks(self.stem(volumes)).mean(dim=(2, 3, 4))
        return _logits(self.output(features))


class _Table(nn.Module):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(spec.shape[0], spec.width),
            nn.ReLU(),
            nn.Linear(spec.width, spec.width),
            nn.ReLU(),
        )
        self.output = nn.Linear(spec.width, _outputs(spec))

    def forward(self, rows: Tensor) -> Tensor:
        return _logits(self.output(self.layers(rows.flatten(1))))


def _outputs(spec: ModelSpec) -> int:
    return 1 if spec.classes == 2 else spec.classes


def _logits(output: Tensor) -> Tensor:
    return output.squeeze(1) if output.shape[1] == 1 else output


class _BasicBlock(nn.Module):
    """He et al. 2016, figure 5 left, with a projection where the shape changes."""

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = _conv(before, after, stride)
        self.norm1 = _norm(after, norm)
        self.conv2 = _conv(after, after, 1)
        self.norm2 = _norm(after, norm)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv3d(before, after, 1, stride=stride, bias=False), _norm(after, norm)
            )

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(features)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class _PaperBlock(nn.Module):
    """Two times convolution, ReLU, batch normalisation, plus a shortcut without parameters."""

    def __init__(self, before: int, after: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_paper_layer(before, after, (stride, stride, stride), norm))
        self.layers.extend(_paper_layer(after, after, (1, 1, 1), norm))
        self.stride = stride
        self.new_channels = after - before

    def forward(self, features: Tensor) -> Tensor:
        kept = features[:, :, :: self.stride, :: self.stride, :: self.stride]
        kept = functional.pad(kept, (0, 0, 0, 0, 0, 0, 0, self.new_channels))
        inner: Tensor = self.layers(features)
        return inner + kept


def _resnet_stem(spec: ModelSpec) -> nn.Module:
    if max(spec.shape) < SMALL_VOLUME:
        first = nn.Conv3d(1, spec.width, 3, padding=1, bias=False)
    else:
        first = nn.Conv3d(1, spec.width, (7, 7, 3), (2, 2, 1), padding=(3, 3, 1), bias=False)
    return nn.Sequential(
        first, _norm(spec.width, spec.norm), nn.ReLU(), nn.MaxPool3d(3, stride=2, padding=1)
    )


def _paper_stem(spec: ModelSpec) -> nn.Module:
    stride = (1, 1, 1) if max(spec.shape) < SMALL_VOLUME else (2, 2, 1)
    return nn.Sequential(
        *_paper_layer(1, spec.width, stride, spec.norm),
        *_paper_layer(spec.width, spec.width, (2, 2, 2), spec.norm),
    )


def _paper_layer(
    before: int, after: int, stride: tuple[int, int, int], norm: Norm
) -> list[nn.Module]:
    conv = nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)
    return [conv, nn.ReLU(), _norm(after, norm)]


def _conv(before: int, after: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)


def _norm(channels: int, norm: Norm) -> nn.Module:
    if norm is Norm.GROUP:
        return nn.GroupNorm(gcd(channels, GROUPS), channels)
    return nn.BatchNorm3d(channels, momentum=NORM_MOMENTUM)
