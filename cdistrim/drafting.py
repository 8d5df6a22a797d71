"""Writes a campaign's spec to begin with: a preset, the partners, and the first head's hash."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.files import new_file
from cdistrim.model import initial_weights
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import CampaignSpec, GenesisSpec, ModelSpec
from cdistrim.weights import weights_hash

__all__ = ["draft_spec", "write_draft"]


def draft_spec(
    *,
    name: str,
    task: str,
    order: tuple[str, ...],
    preset: PresetName,
    shape: str = "",
    classes: int = 2,
    cycles: int = 4,
    seed: int = 2020,
) -> CampaignSpec:
    """A spec of a preset.

    Args:
        name: Of the campaign.
        task: What is learnt.
        order: Partners' names on the ledger, in the order of their turns.
        preset: Model and training.
        shape: ``x,y,z`` if the volumes have another shape than the preset's.
        classes: That labels tell apart.
        cycles: Turns of each partner.
        seed: Of the first head and the training.

    Raises:
        UsageError: The shape is no shape.
        ConfigurationError: What was said makes no valid spec.
    """
    chosen = PRESETS[preset]
    try:
        model = ModelSpec.model_validate(
            chosen.model.model_dump()
            | {"classes": classes}
            | ({"shape": _axes(shape)} if shape else {})
        )
        return CampaignSpec(
            name=name,
            task=task,
            order=order,
            cycles=cycles,
            model=model,
            training=chosen.training.model_copy(update={"seed": seed}),
            genesis=GenesisSpec(
                seed=seed, weights_hash=weights_hash(initial_weights(model, seed)).hex()
            ),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigurationError(
            f"That makes no valid spec, at {where}: {first['msg'].removeprefix('Value error, ')}.",
            hint="docs/campaign.md explains each field and its range.",
        ) from None


def write_draft(spec: CampaignSpec, file: Path) -> None:
    """Write a spec for people: indented, in the order of the page that explains it.

    Raises:
        UsageError: There is such a file, or it can't be written.
    """
    document = json.dumps(spec.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    try:
        with new_file(file, mode=0o644) as stream:
            stream.write(document.encode())
    except FileExistsError:
        raise UsageError(f"{file} exists.", hint="Give another name, or remove it.") from None
    except OSError as error:
        raise UsageError(
            f"Can't write {file}: {error.strerror}.", hint="Give a place that can be written to."
        ) from None


def _axes(shape: str) -> tuple[int, ...]:
    try:
        axes = tuple(int(axis) for axis in shape.split(","))
    except ValueError:
        axes = ()
    if len(axes) != 3:
        raise UsageError(
            f"--shape {shape!r} is no shape.", hint="Give three whole numbers, like 120,160,16."
        )
    return axes
