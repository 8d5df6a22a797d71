"""docs/data.md explains each source field by field, each reason, and how memory is reckoned."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel, TypeAdapter

from cdistrim.data.scan import Exclusion
from cdistrim.data.sources.settings import (
    DataSettings,
    IrisSettings,
    LidcSettings,
    NiftiSettings,
    NsclcRadiomicsSettings,
    TabularSettings,
)
from cdistrim.spec import PreprocessingSpec
from tests.docs.pages import ROOT, between, table_rows
from tests.docs.test_campaign_page import bounds, leaves, written_default

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
COMMON = ("holdout", "calibration", "seed", "cache")
IMAGE = ("shape", "preprocessing")
KINDS: dict[str, type[BaseModel]] = {
    "nsclc-radiomics": NsclcRadiomicsSettings,
    "nifti": NiftiSettings,
    "lidc": LidcSettings,
    "tabular": TabularSettings,
    "iris": IrisSettings,
}
SPOKEN = {"features", "classes"}
"""Fields whose elements' ranges are told in words."""


def assert_explained(part: str, kind: type[BaseModel], names: list[str]) -> None:
    """The part's table has these fields of a kind, in their order, with ranges and defaults."""
    rows = {row[0].strip("`"): row[1:] for row in table_rows(between(PAGE, part))}
    assert list(rows) == names
    fields = dict(leaves(kind))
    for name, (meaning, span, default) in rows.items():
        assert meaning, name
        assert default == written_default(fields[name]), name
        if name not in SPOKEN:
            assert span == bounds(fields[name]), name


@pytest.mark.parametrize("source", KINDS)
def test_each_source_is_explained_field_by_field(source: str) -> None:
    kind = KINDS[source]
    names = [name for name, _ in leaves(kind) if name not in (*COMMON, *IMAGE)]
    assert_explained(source, kind, names)


def test_what_sources_have_in_common_is_explained() -> None:
    assert_explained("common", IrisSettings, list(COMMON))
    assert_explained("image", LidcSettings, list(IMAGE))
    assert_explained("preprocessing", PreprocessingSpec, list(PreprocessingSpec.model_fields))


def test_all_sources_are_there() -> None:
    union = get_args(get_args(DataSettings)[0])
    assert set(union) == set(KINDS.values())


def test_the_examples_are_settings() -> None:
    examples = re.findall(r"^```json\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = [TypeAdapter(DataSettings).validate_json(example) for example in examples]
    assert [one.source for one in found] == [
        "nsclc-radiomics",
        "nifti",
        "lidc",
        "tabular",
        "iris",
    ]
    assert all(json.loads(example) for example in examples)


def test_each_reason_is_there_in_the_words_that_are_shown() -> None:
    rows = table_rows(between(PAGE, "exclusions"))
    assert [(name.strip("`"), why) for name, why in rows] == [
        (one.name, one.value) for one in Exclusion
    ]


def test_each_file_that_a_preparation_writes_is_explained(tmp_path: Path) -> None:
    from cdistrim.data.preparation import prepare
    from tests.prepared_sites import make_site

    site = make_site(tmp_path, {"source": "iris"})
    prepare(site)
    written = {path.name for path in (tmp_path / "data").iterdir() if path.name[0] != "."}
    part = PAGE.split("## What is written where")[1].split("##")[0]
    assert {one for one in written if f"`{one}`" not in part and f"`{one}/" not in part} == set()
