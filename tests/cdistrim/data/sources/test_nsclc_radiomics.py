"""NSCLC-Radiomics as published: labels by the paper's rule, cases out of DICOM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import Crop, Listing
from cdistrim.data.sources.nsclc_radiomics import NsclcRadiomicsSource, survival_label
from cdistrim.data.sources.settings import NsclcRadiomicsSettings
from cdistrim.errors import DataError
from cdistrim.spec import PreprocessingSpec
from tests.nsclc import Collection

FIXED = PreprocessingSpec(crop="fixed", field_of_view_mm=(48.0, 48.0, 36.0))


def _source(collection: Collection, **changes: object) -> NsclcRadiomicsSource:
    settings = NsclcRadiomicsSettings.model_validate(collection.settings(**changes), strict=False)
    return NsclcRadiomicsSource(settings, collection.directory)


def _reasons(listing: Listing) -> dict[str, Exclusion]:
    return {one.patient: one.excluded.reason for one in listing.left_out}


@pytest.mark.parametrize(
    ("days", "event", "label"),
    [
        ("730", "0", 1),
        ("730", "1", 1),
        ("2165", "1", 1),
        ("2165", "", 1),
        ("729.9", "1", 0),
        ("0", "1", 0),
        ("155", "1.0", 0),
    ],
)
def test_who_lived_for_two_years_is_of_class_one(days: str, event: str, label: int) -> None:
    assert survival_label(days, event) == label


@pytest.mark.parametrize(
    ("days", "event", "reason"),
    [
        ("729", "0", Exclusion.CENSORED),
        ("0", "0", Exclusion.CENSORED),
        ("", "1", Exclusion.BROKEN_LABEL),
        ("NA", "1", Exclusion.BROKEN_LABEL),
        ("-3", "1", Exclusion.BROKEN_LABEL),
        ("155", "", Exclusion.BROKEN_LABEL),
        ("155", "2", Exclusion.BROKEN_LABEL),
        ("155,5", "1", Exclusion.BROKEN_LABEL),
        ("1e999", "1", Exclusion.BROKEN_LABEL),
    ],
)
def test_nobody_is_guessed(days: str, event: str, reason: Exclusion) -> None:
    with pytest.raises(CaseExcluded) as excluded:
        survival_label(days, event)
    assert excluded.value.reason is reason


@pytest.mark.parametrize("segmentation", [False, True])
def test_a_scan_and_its_region_become_a_case(tmp_path: Path, segmentation: bool) -> None:
    collection = Collection(tmp_path)
    collection.patient("LUNG1-001", days="100", event="1", radius=12, segmentation=segmentation)
    source = _source(collection)
    (case,) = source.list_cases().pending
    assert case.label == 0
    crop = case.recipe.build(source.plan((24, 24, 12), FIXED))
    axes = np.meshgrid(
        (np.arange(24) - 11.5) * 2, (np.arange(24) - 11.5) * 2, (np.arange(12) - 5.5) * 3,
        indexing="ij",
    )  # fmt: skip
    truth = np.sqrt(sum(axis**2 for axis in axes)) <= 12
    assert crop.region is not None
    assert _dice(crop.region, truth) >= 0.97
    inside, outside = (40 + 1000) / 1400, (-800 + 1000) / 1400
    np.testing.assert_allclose(crop.volume[11:13, 11:13, 5:7].astype(float), inside, atol=2e-3)
    np.testing.assert_allclose(crop.volume[:3, :3, :3].astype(float), outside, atol=2e-3)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def test_what_is_missing_or_contradictory_leaves_that_patient_out(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    for name in ("good", "no-slices", "no-region", "other-region", "twice", "Twice", "no-row"):
        collection.patient(name, structure="GTV-2" if name == "other-region" else "GTV-1")
    for path in sorted((collection.scans / "no-slices" / "ct").iterdir()):
        path.unlink()
    collection.region("no-region").unlink()
    collection.rows = [row for row in collection.rows if row[0] not in ("no-row", "Twice")]
    collection.row("no-scan", "100", "1")
    collection.row("contradictory", "100", "1")
    collection.row("contradictory", "1000", "1")
    collection.row("agrees", "100", "1")
    collection.row("agrees", "101", "1")
    collection.row("censored", "100", "0")
    collection.row("", "100", "1")
    listing = _source(collection).list_cases()
    assert [one.patient for one in listing.pending] == ["good"]
    assert _reasons(listing) == {
        "no-slices": Exclusion.NO_SCAN,
        "no-region": Exclusion.NO_REGION,
        "other-region": Exclusion.NO_REGION,
        "twice": Exclusion.SEVERAL_CASES,
        "no-row": Exclusion.NO_LABEL_ROW,
        "no-scan": Exclusion.NO_SCAN,
        "contradictory": Exclusion.SEVERAL_LABEL_ROWS,
        "agrees": Exclusion.NO_SCAN,
        "censored": Exclusion.CENSORED,
        "(row 12)": Exclusion.NO_PATIENT,
    }


def test_a_patient_is_the_same_however_table_and_files_write_the_name(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    collection.patient("LUNG1-001")
    collection.rows = []
    collection.row(" lung1-001 ", "1000", "0")
    assert [one.patient for one in _source(collection).list_cases().pending] == ["lung1-001"]


def test_broken_scans_and_regions_are_told_when_they_are_built(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    for name in ("a-hole", "b-region", "c-good"):
        collection.patient(name)
    files = sorted((collection.scans / "a-hole" / "ct").iterdir())
    files[4].unlink()
    content = collection.region("b-region").read_bytes()
    collection.region("b-region").write_bytes(content[: len(content) * 2 // 3])
    source = _source(collection)
    listing = source.list_cases()
    plan = source.plan((8, 8, 8), None)
    found: dict[str, Exclusion | type[Crop]] = {
        one.patient: one.excluded.reason for one in listing.left_out
    }
    for one in listing.pending:
        try:
            found[one.patient] = type(one.recipe.build(plan))
        except CaseExcluded as excluded:
            found[one.patient] = excluded.reason
    assert found["a-hole"] is Exclusion.MISSING_SLICES
    assert found["b-region"] in (Exclusion.BROKEN_REGION, Exclusion.NO_REGION)
    assert found["c-good"] is Crop


def test_the_digest_follows_every_file_and_the_regions_name(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    collection.patient("a")
    collection.patient("b")

    def digests() -> dict[str, bytes]:
        return {
            one.patient: one.recipe.digest() for one in _source(collection).list_cases().pending
        }

    before = digests()
    file = sorted((collection.scans / "a" / "ct").iterdir())[0]
    content = file.read_bytes()
    file.write_bytes(content[:-2] + b"\1\1")
    after = digests()
    assert (before["a"] == after["a"], before["b"] == after["b"]) == (False, True)
    file.write_bytes(content)
    (collection.scans / "b").rename(collection.scans / "elsewhere")
    assert digests() == before, "names of files do not matter"


def test_files_that_are_nobodys_are_counted(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    collection.patient("a")
    slices = collection.patient("")
    assert slices
    assert any("name no patient" in note for note in _source(collection).list_cases().notes)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    collection = Collection(tmp_path)
    collection.row("a", "1", "1")
    with pytest.raises(DataError, match="dicom"):
        _source(collection).list_cases()
