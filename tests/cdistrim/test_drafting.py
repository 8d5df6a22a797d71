from __future__ import annotations

from pathlib import Path

import pytest

from cdistrim.drafting import draft_spec, write_draft
from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.genesis import make_genesis
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import CampaignSpec
from tests.cli.command_line import assert_explained, call

ORDER = ("hospital-a", "hospital-b")
SMALL = PresetName.SMALL


def draft(**changes: object) -> CampaignSpec:
    said: dict[str, object] = {"name": "lung", "task": "a task", "order": ORDER, "preset": SMALL}
    return draft_spec(**(said | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("preset", [SMALL, PresetName.TABLE])
def test_a_draft_has_the_presets_model_and_the_hash_that_its_seed_gives(preset: PresetName) -> None:
    spec = draft(preset=preset, seed=7)
    assert spec.model == PRESETS[preset].model
    assert spec.training.seed == spec.genesis.seed == 7
    make_genesis(spec)


def test_shape_and_classes_may_be_others() -> None:
    spec = draft(preset=PresetName.TABLE, shape="6,1,1", classes=3)
    assert (spec.model.shape, spec.model.classes) == ((6, 1, 1), 3)
    make_genesis(spec)


@pytest.mark.parametrize("shape", ["6", "6,1", "6,1,1,1", "a,b,c", "1.5,1,1"])
def test_what_is_no_shape_is_told(shape: str) -> None:
    with pytest.raises(UsageError, match="is no shape"):
        draft(shape=shape)


def test_what_makes_no_spec_is_told_with_its_place() -> None:
    for changes, told in (
        ({"name": "Lung 1"}, "at name"),
        ({"order": ("hospital-a",)}, "1 partners; 2 to 50"),
        ({"preset": PresetName.TABLE, "shape": "6,2,1"}, "mlp takes rows of a table"),
        ({"shape": "0,1,1"}, "at shape.0"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            draft(**changes)


def test_a_written_draft_is_read_as_the_same_spec_and_overwrites_nothing(tmp_path: Path) -> None:
    spec, file = draft(), tmp_path / "spec.json"
    write_draft(spec, file)
    assert CampaignSpec.read(file) == spec
    before = file.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        write_draft(draft(seed=8), file)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(UsageError, match="Can't write"):
        write_draft(spec, tmp_path / "spec.json" / "other.json")


def test_the_command_writes_what_campaign_open_takes(tmp_path: Path) -> None:
    file = tmp_path / "spec.json"
    said = ("campaign", "draft", file, "--name", "lung", "--task", "a task", "--preset", "small")
    partners = ("--partner", "hospital-a", "--partner", "hospital-b")
    ended = call(*said, *partners, "--cycles", 3)
    assert ended.code == 0, ended.err
    assert str(file) in ended.out
    spec = CampaignSpec.read(file)
    assert (spec.order, spec.cycles) == (ORDER, 3)
    assert_explained(call(*said, *partners), 2, str(file), "exists")
    assert_explained(call(*said, "--partner", "hospital-a"), 3, "1 partners")
