"""The networks: 3D ResNets that every partner rebuilds from the spec alone.

Both give one logit a volume; its sigmoid is the probability of label 1.

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

The stem follows the volume: a volume whose longest axis has fewer than 48 voxels keeps its
resolution in the first convolution (3x3x3, stride 1), a larger one is halved in the plane (stride
2, 2, 1; 7x7x3 in ``resnet18-3d``). Then all axes are halved, by a pool or the second convolution.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from cdistrim.spec import ModelSpec

__all__ = ["PRESETS", "build_model", "exclusive_torch", "initial_weights", "parameter_count"]

PRESETS: dict[str, ModelSpec] = {
    "demo": ModelSpec(architecture="resnet18-3d", shape=(24, 32, 16), width=8),
    "paper": ModelSpec(architecture="paper-3d", shape=(120, 160, 16), width=64),
}
"""Named models: ``paper`` has the paper's input and full width, ``demo`` trains on a laptop."""

SMALL_VOLUME = 48
"""Longest axis in voxels from which on the first convolution halves the plane."""

NORM_MOMENTUM = 0.2
"""Of the running statistics, which travel with the model. torch's 0.1 needs some thirty batches to
forget its initial values; a small hospital's first slot has fewer."""


_torch_state = threading.RLock()


@contextmanager
def exclusive_torch() -> Iterator[None]:
    """Hold torch's random generator and thread count, which are the whole process's.

    One process may play several sites in threads; a draw by one would change another's training.
    """
    with _torch_state:
        yield


def build_model(spec: ModelSpec) -> nn.Module:
    """The network of a spec, with whatever weights torch's generator gives.

    Maps a float32 tensor (n, 1, x, y, z) to logits (n,).
    """
    if spec.architecture == "paper-3d":
        return _Network(_paper_stem(spec), _PaperBlock, spec.width)
    return _Network(_resnet_stem(spec), _BasicBlock, spec.width)


def initial_weights(spec: ModelSpec, seed: int) -> dict[str, Tensor]:
    """State dict of a fresh network; the same spec and seed give the same bytes."""
    with exclusive_torch(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return {name: value.clone() for name, value in build_model(spec).state_dict().items()}


def parameter_count(spec: ModelSpec) -> int:
    """Number of trained parameters."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(spec).parameters())


class _Network(nn.Module):
    def __init__(
        self, stem: nn.Module, block: type[_BasicBlock] | type[_PaperBlock], width: int
    ) -> None:
        super().__init__()
        self.stem = stem
        blocks: list[nn.Module] = []
        before = width
        for stage in range(4):
            after = width * 2**stage
            stride = 1 if stage == 0 else 2
            blocks += [block(before, after, stride), block(after, after, 1)]
            before = after
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Linear(before, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, volumes: Tensor) -> Tensor:
        features = self.blocks(self.stem(volumes)).mean(dim=(2, 3, 4))
        logits: Tensor = self.output(features).squeeze(1)
        return logits


class _BasicBlock(nn.Module):
    """He et al. 2016, figure 5 left, with a projection where the shape changes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(before, after, stride)
        self.norm1 = _norm(after)
        self.conv2 = _conv(after, after, 1)
        self.norm2 = _norm(after)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(
                nn.Conv3d(before, after, 1, stride=stride, bias=False), _norm(after)
            )

    def forward(self, features: Tensor) -> Tensor:
        inner = functional.relu(self.norm1(self.conv1(features)))
        return functional.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class _PaperBlock(nn.Module):
    """Two times convolution, ReLU, batch normalisation, plus a shortcut without parameters."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_paper_layer(before, after, (stride, stride, stride)))
        self.layers.extend(_paper_layer(after, after, (1, 1, 1)))
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
    return nn.Sequential(first, _norm(spec.width), nn.ReLU(), nn.MaxPool3d(3, stride=2, padding=1))


def _paper_stem(spec: ModelSpec) -> nn.Module:
    stride = (1, 1, 1) if max(spec.shape) < SMALL_VOLUME else (2, 2, 1)
    return nn.Sequential(
        *_paper_layer(1, spec.width, stride), *_paper_layer(spec.width, spec.width, (2, 2, 2))
    )


def _paper_layer(before: int, after: int, stride: tuple[int, int, int]) -> list[nn.Module]:
    conv = nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)
    return [conv, nn.ReLU(), _norm(after)]


def _conv(before: int, after: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(before, after, 3, stride=stride, padding=1, bias=False)


def _norm(channels: int) -> nn.BatchNorm3d:
    return nn.BatchNorm3d(channels, momentum=NORM_MOMENTUM)
