"""Rows of a table, and IRIS, become cases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cdistrim.data.iris import load_iris
from cdistrim.data.scan import Exclusion
from cdistrim.data.sources.interface import Listing
from cdistrim.data.sources.iris import IrisSource
from cdistrim.data.sources.opening import open_source
from cdistrim.data.sources.settings import IrisSettings, LidcSettings, TabularSettings
from cdistrim.data.sources.tabular import TabularSource
from cdistrim.errors import ConfigurationError
from cdistrim.spec import FeatureSpec, PreprocessingSpec
from tests.prepared_sites import rows_for, tabular, write_table


def _listing(directory: Path, rows: list[list[str]], **changes: object) -> Listing:
    table = write_table(directory / "table.csv", rows)
    return _source(table, **changes).list_cases()


def _source(table: Path, **changes: object) -> TabularSource:
    settings = TabularSettings.model_validate(tabular(table, **changes), strict=False)
    return TabularSource(settings, table.parent)


def _reasons(listing: Listing) -> dict[str, Exclusion]:
    return {one.patient: one.excluded.reason for one in listing.left_out}


def test_a_row_is_a_scaled_case_of_its_class(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path, [["volume", "age", "patient", "outcome"], ["2.5", "75", "p", "dead"]]
    )
    (case,) = listing.pending
    plan = _source(tmp_path / "table.csv").plan(None, None)
    crop = case.recipe.build(plan)
    assert (case.label, plan.shape, crop.region) == (1, (2, 1, 1), None)
    np.testing.assert_array_equal(crop.volume.ravel(), [1.5, 2.5])


def test_what_is_wrong_with_a_row_leaves_its_patient_out_alone(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path,
        [
            *rows_for(["good-1", "good-2"]),
            ["censored", "", "50", "1"],
            ["odd-class", "Dead?", "50", "1"],
            ["no-age", "dead", "", "1"],
            ["comma", "dead", "50,5", "1"],
            ["endless", "dead", "50", "1e400"],
            ["beyond", "dead", "50", "70000"],
            ["formula", "dead", "=50", "1"],
            ["shifted", "dead", "50", "1", "2"],
            ["", "dead", "50", "1"],
        ],
    )
    assert [one.patient for one in listing.pending] == ["good-1", "good-2"]
    assert _reasons(listing) == {
        "censored": Exclusion.BROKEN_LABEL,
        "odd-class": Exclusion.BROKEN_LABEL,
        "no-age": Exclusion.MISSING_VALUE,
        "comma": Exclusion.MISSING_VALUE,
        "endless": Exclusion.MISSING_VALUE,
        "beyond": Exclusion.MISSING_VALUE,
        "formula": Exclusion.MISSING_VALUE,
        "shifted": Exclusion.BROKEN_ROW,
        "(row 11)": Exclusion.NO_PATIENT,
    }


def test_a_patient_counts_once_however_the_name_is_written(tmp_path: Path) -> None:
    listing = _listing(
        tmp_path,
        [
            *rows_for([]),
            ["same", "dead", "50", "1"],
            ["same", "dead", "50", "1"],
            ["twice", "dead", "50", "1"],
            [" TWICE", "dead", "51", "1"],
            ["Zoe\u0308", "dead", "50", "1"],
            ["Zo\u00eb", "alive", "50", "1"],
            ["half", "dead", "50", "1"],
            ["half", "dead", "", "1"],
        ],
    )
    assert [one.patient for one in listing.pending] == ["same"]
    assert _reasons(listing) == {
        "twice": Exclusion.SEVERAL_CASES,
        "Zoe\u0308": Exclusion.SEVERAL_LABEL_ROWS,
        "half": Exclusion.SEVERAL_CASES,
    }


def test_the_digest_follows_what_the_model_sees(tmp_path: Path) -> None:
    rows = rows_for(["a", "b"])
    before = [one.recipe.digest() for one in _listing(tmp_path, rows).pending]
    rows[1][2] = "99"
    after = [one.recipe.digest() for one in _listing(tmp_path, rows).pending]
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True]


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": {"a": 0}},
        {"classes": {"a": 0, "b": 2}},
        {"classes": {"a": 1, "b": 2}},
        {"classes": {}},
        {"features": []},
        {"features": [{"column": "x"}, {"column": "x", "centre": 1.0}]},
        {"features": [{"column": "outcome"}]},
        {"features": [{"column": "patient"}]},
        {"features": [{"column": "x", "name": "y"}, {"column": "y"}]},
        {"features": [{"column": "x", "scale": 0.0}]},
        {"features": [{"column": "x", "centre": float("nan")}]},
        {"holdout": 0.0},
        {"holdout": 1.0},
        {"holdout": 0.5, "calibration": 0.5},
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TabularSettings.model_validate(tabular(Path("t.csv"), **changes), strict=False)


def test_a_campaign_for_other_cases_is_refused(tmp_path: Path) -> None:
    source = _source(tmp_path / "table.csv")
    assert source.plan((2, 1, 1), None).shape == (2, 1, 1)
    with pytest.raises(ConfigurationError, match=r"\(3, 1, 1\)"):
        source.plan((3, 1, 1), None)
    with pytest.raises(ConfigurationError, match="preprocessing"):
        source.plan((2, 1, 1), PreprocessingSpec())


AGREED = (FeatureSpec(name="size", scale=2.0), FeatureSpec(name="age", centre=55, scale=5))


def test_agreed_features_go_before_the_sites_own_numbers_and_order(tmp_path: Path) -> None:
    """The site calls a column otherwise than its partners do, and has other numbers."""
    table = write_table(tmp_path / "table.csv", [*rows_for([]), ["p", "dead", "75", "3"]])
    settings = TabularSettings.model_validate(
        tabular(
            table,
            features=[
                {"column": "age", "centre": 60, "scale": 10},
                {"column": "volume", "name": "size"},
            ],
        ),
        strict=False,
    )
    source = open_source(settings, tmp_path, AGREED)
    assert source.features == AGREED
    (case,) = source.list_cases().pending
    np.testing.assert_array_equal(
        case.recipe.build(source.plan(None, None)).volume.ravel(), [1.5, 4]
    )


def test_features_that_are_not_the_agreed_ones_are_refused(tmp_path: Path) -> None:
    settings = TabularSettings.model_validate(tabular(tmp_path / "t.csv"), strict=False)
    with pytest.raises(ConfigurationError, match=r"'size' missing.*'volume' not agreed"):
        open_source(settings, tmp_path, AGREED)
    with pytest.raises(ConfigurationError, match="source is iris"):
        open_source(IrisSettings(source="iris"), tmp_path, AGREED)
    with pytest.raises(ConfigurationError, match="source is lidc"):
        open_source(LidcSettings(source="lidc"), tmp_path, AGREED)


def test_iris_is_the_one_that_campaigns_of_the_experiment_use() -> None:
    source = IrisSource(IrisSettings(source="iris"))
    cases = source.list_cases().pending
    flowers = load_iris()
    plan = source.plan(None, None)
    volumes = {one.patient: one.recipe.build(plan).volume for one in cases}
    assert Counter(one.label for one in cases) == {0: 50, 1: 50, 2: 50}
    for name, volume in zip(flowers.ids, flowers.volumes, strict=True):
        np.testing.assert_array_equal(volumes[name], volume[0])


def test_parts_of_iris_are_disjoint_and_make_up_the_whole() -> None:
    parts = [
        {
            one.patient
            for one in IrisSource(IrisSettings(source="iris", part=(k, 3))).list_cases().pending
        }
        for k in (1, 2, 3)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 150
    assert min(map(len, parts)) > 30
