"""docs/campaign.md says what a spec and ``coordinator.json`` may hold, as the code reads them."""

from __future__ import annotations

import contextlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

from cdistrim.coordinator import Coordinator, CoordinatorSettings
from cdistrim.model import initial_weights, parameter_count
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import CampaignSpec
from cdistrim.weights import weights_hash
from tests.docs.pages import ROOT, table_rows

PAGE = (ROOT / "docs" / "campaign.md").read_text(encoding="utf-8")
SPEC_PART, COORDINATOR_PART = PAGE.split("## The coordinator's settings")


def block(part: str, language: str) -> str:
    """The only code block of a language in a part of the page."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)
    return str(found)


def leaves(kind: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """All fields, those of parts by their place."""
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{before}{name}.")
        else:
            yield before + name, field


def bounds(field: FieldInfo) -> str:
    """A field's range, or that of each of its elements, in the page's words."""
    marks = [*field.metadata, *_marks(field.annotation)]
    marks = [mark for each in marks for mark in getattr(each, "metadata", [each])]
    low = next((mark for mark in marks if isinstance(mark, Ge | Gt)), None)
    high = next((mark for mark in marks if isinstance(mark, Le | Lt)), None)
    below = "" if high is None else _number(high.lt if isinstance(high, Lt) else high.le)
    if isinstance(low, Gt):
        least = f"above {_number(low.gt)}"
        return f"{least}, {'below' if isinstance(high, Lt) else 'to'} {below}" if high else least
    if low is None:
        return ""
    return f"{_number(low.ge)} to {below}" if high else f"{_number(low.ge)} or more"


def _marks(annotation: object) -> list[object]:
    """Bounds of the elements, also where there may be nothing instead."""
    own = list(getattr(annotation, "__metadata__", ()))
    return own + [mark for part in getattr(annotation, "__args__", ()) for mark in _marks(part)]


def _number(value: object) -> str:
    return f"{float(str(value)):.15g}"


def written_default(field: FieldInfo) -> str:
    """A field's default as JSON, or nothing where it has to be given."""
    if field.is_required():
        return ""
    default = to_jsonable_python(field.get_default(call_default_factory=True))
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def assert_explained_by(part: str, kind: type[BaseModel]) -> None:
    """The table has the fields in their order, with their ranges and defaults."""
    rows = {row[0].strip("`"): row[1:] for row in table_rows(part)}
    rows = {name: cells for name, cells in rows.items() if name not in PRESETS}
    fields = dict(leaves(kind))
    assert list(rows) == list(fields)
    for name, (meaning, span, default) in rows.items():
        field = fields[name]
        assert meaning, name
        assert span == ("1" if name == "version" else bounds(field)), name
        assert default == written_default(field), name


def test_the_spec_is_explained_field_by_field() -> None:
    assert_explained_by(SPEC_PART, CampaignSpec)


def test_the_coordinators_settings_are_explained_field_by_field() -> None:
    assert_explained_by(COORDINATOR_PART, CoordinatorSettings)


def test_the_specs_example_is_one_and_its_hash_is_made_as_the_page_says() -> None:
    spec = CampaignSpec.parse(block(SPEC_PART, "json").encode())
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(block(SPEC_PART, "python"), {})  # noqa: S102  the page's own words
    made = weights_hash(initial_weights(spec.model, spec.genesis.seed)).hex()
    assert said.getvalue() == made + "\n"


def test_the_coordinators_example_is_one(tmp_path: Path) -> None:
    (tmp_path / "coordinator.json").write_text(block(COORDINATOR_PART, "json"))
    assert Coordinator(tmp_path).settings.convener == "hospital-a"


def test_presets_are_those_of_the_code() -> None:
    rows = [row for row in table_rows(SPEC_PART) if row[0].strip("`") in PRESETS]
    assert [row[0].strip("`") for row in rows] == list(PRESETS)
    for row in rows:
        model = PRESETS[PresetName(row[0].strip("`"))].model
        assert f"`{model.architecture}`" in row[1]
        assert f"width {model.width}" in row[1] or "the same input and width" in row[1]
        if "voxels" in row[1]:
            assert " x ".join(map(str, model.shape)) in row[1]
    assert parameter_count(PRESETS[PresetName.FAST].model) // 100_000 == 331
