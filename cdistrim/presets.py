"""Named models with training that suits them: where a spec may begin.

``paper``
    What the paper's text says, at its input and full width: 18 convolutions of 3x3x3, batch
    normalisation, only the larger class augmented.
``fast``
    The same input and width in the usual 3D ResNet-18, with a wide stem: 33.1 million parameters,
    and both classes augmented. ``docs/training.md`` has what a step takes.
``small``
    Trains on a laptop; the demo has it. ``cdistrim reproduce nodules`` has it with more voxels,
    twice the width and the paper's batch normalisation.
``table``
    For rows of a table; the number of features and classes has to be said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cdistrim.spec import BalanceSpec, ModelSpec, Norm, TrainingSpec

__all__ = ["PRESETS", "Preset", "PresetName"]


class PresetName(StrEnum):
    """Names for the command line."""

    PAPER = "paper"
    FAST = "fast"
    SMALL = "small"
    TABLE = "table"


@dataclass(frozen=True)
class Preset:
    """A model, and how a slot trains it."""

    model: ModelSpec
    training: TrainingSpec


_BOTH = BalanceSpec(augment_minority=True)
_VOLUME = (120, 160, 16)
"""The paper's input, voxels."""

PRESETS: Mapping[PresetName, Preset] = {
    PresetName.PAPER: Preset(
        ModelSpec(architecture="paper-3d", shape=_VOLUME, width=64, norm=Norm.BATCH),
        TrainingSpec(batch_size=8),
    ),
    PresetName.FAST: Preset(
        ModelSpec(architecture="resnet18-3d", shape=_VOLUME, width=64),
        TrainingSpec(epochs=2, batch_size=8, balance=_BOTH),
    ),
    PresetName.SMALL: Preset(
        ModelSpec(architecture="resnet18-3d", shape=(24, 32, 16), width=8),
        TrainingSpec(epochs=2, balance=_BOTH),
    ),
    PresetName.TABLE: Preset(
        ModelSpec(architecture="mlp", shape=(4, 1, 1), width=16),
        TrainingSpec(epochs=10, batch_size=8, learning_rate=1e-2),
    ),
}
"""By name."""
