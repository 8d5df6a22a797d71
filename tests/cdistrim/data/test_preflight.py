"""What a site is told of its cases before anything runs on them; and the picture."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.cases import CaseSet
from cdistrim.data.contact_sheet import draw
from cdistrim.data.preflight import BY_HAND, Findings, check_data
from cdistrim.data.preparation import prepare
from cdistrim.errors import ConfigurationError, DataError, UsageError
from cdistrim.sampling import batch_size_for
from cdistrim.site import Site
from cdistrim.spec import (
    CampaignSpec,
    FeatureSpec,
    GenesisSpec,
    ModelSpec,
    PreprocessingSpec,
    TrainingSpec,
    VotingSpec,
)
from tests.factories import make_rows, make_site_data
from tests.prepared_sites import make_site, rows_for, tabular, write_table


def _spec(**changes: object) -> CampaignSpec:
    return CampaignSpec.model_validate(
        {
            "name": "lung",
            "task": "a task",
            "order": ("a", "b"),
            "genesis": GenesisSpec(weights_hash="00" * 32),
            **changes,
        }
    )


def _tabular_site(directory: Path, count: int, *more: list[str], **changes: object) -> Site:
    rows = [*rows_for([f"p{n}" for n in range(count)]), *more]
    table = write_table(directory / "table.csv", rows)
    return make_site(directory / "site", tabular(table, **changes))


def _told(findings: Findings, words: str) -> bool:
    return any(words in one for one in findings.warnings)


def test_the_sets_are_foreseen_as_they_are_made(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 75, ["odd", "?", "1", "1"])
    before = check_data(site)
    assert not (site.directory / "data" / "case-names.key").exists(), "a look makes no secret"
    made = prepare(site)
    after = check_data(Site(site.directory))
    for findings in (before, after):
        assert (findings.train, findings.holdout) == (made.prepared.train, made.prepared.holdout)
        assert findings.excluded == {"BROKEN_LABEL": 1}
        assert findings.complete
    assert (before.prepared, after.prepared) == (False, True)


def test_the_batch_size_is_that_of_the_training(tmp_path: Path) -> None:
    training = TrainingSpec(batch_size=32)
    model = ModelSpec(architecture="mlp", shape=(2, 1, 1))
    findings = check_data(_tabular_site(tmp_path, 75), _spec(training=training, model=model))
    balanced = 2 * max(findings.train)
    assert findings.batch_size == batch_size_for(balanced, training)
    assert findings.batches == -(-balanced // findings.batch_size)
    assert findings.spec == "lung"


def test_a_site_that_can_not_judge_others_is_told(tmp_path: Path) -> None:
    model = ModelSpec(architecture="mlp", shape=(2, 1, 1))
    spec = _spec(model=model, voting=VotingSpec(min_cases_per_class=10))
    assert _told(check_data(_tabular_site(tmp_path, 75), spec), "an evaluator needs 10")
    assert not _told(check_data(_tabular_site(tmp_path, 150), spec), "evaluator")


def test_a_site_that_can_not_train_is_told(tmp_path: Path) -> None:
    assert _told(check_data(_tabular_site(tmp_path, 4)), "a training needs two of each")


def test_new_patients_and_many_that_are_left_out_are_told(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 60)
    prepare(site)
    assert not _told(check_data(Site(site.directory)), "other patients")
    odd = [[f"odd{n}", "dead", "5,5", "1"] for n in range(20)]
    site = _tabular_site(tmp_path, 60, *odd)
    findings = check_data(site)
    assert _told(findings, "other patients")
    assert _told(findings, "20 of 80 patients are left out")
    assert _told(findings, "decimal comma")


def test_changed_labels_and_exchanged_patients_are_told(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 60)
    prepare(site)
    rows = rows_for([f"p{n}" for n in range(60)])
    rows[5][1] = "dead" if rows[5][1] == "alive" else "alive"
    write_table(tmp_path / "table.csv", rows)
    assert _told(check_data(site), "other patients or labels")
    write_table(tmp_path / "table.csv", rows_for([f"p{n}" for n in range(1, 61)]))
    assert _told(check_data(site), "other patients or labels")
    write_table(tmp_path / "table.csv", rows_for([f"p{n}" for n in range(60)]))
    assert not _told(check_data(site), "other patients or labels")


def test_cases_to_calibrate_on_are_foreseen_as_they_are_made(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 90, calibration=0.2)
    before = check_data(site)
    made = prepare(site)
    after = check_data(Site(site.directory))
    assert made.prepared.calibration == (12, 6)
    assert made.cases == 90
    for findings in (before, after):
        assert findings.calibration == made.prepared.calibration
        assert findings.train == made.prepared.train
        assert not _told(findings, "other patients than")
    kept = CaseSet.load(site.directory / "data" / "calibration.npz")
    assert kept.counts() == (12, 6)


def test_features_that_nobody_scaled_are_told(tmp_path: Path) -> None:
    columns = [{"column": "age"}, {"column": "volume"}]
    assert _told(check_data(_tabular_site(tmp_path, 60, features=columns)), "Beyond 10")


def test_sets_that_were_made_otherwise_are_told(tmp_path: Path) -> None:
    site = make_site(tmp_path, {"source": "lidc", "part": (1, 30), "shape": (8, 8, 8)})
    prepare(site)
    agreed = PreprocessingSpec(crop="fixed", field_of_view_mm=(48.0, 64.0, 48.0))
    same = _spec(model=ModelSpec(shape=(8, 8, 8)), preprocessing=agreed)
    found = check_data(Site(tmp_path), same, sample=1, workers=0)
    assert not _told(found, "another shape or preprocessing")
    assert not _told(found, "No preprocessing")
    found = check_data(Site(tmp_path), sample=1, workers=0)
    assert _told(found, "No preprocessing is agreed on")
    for other in (
        {"model": ModelSpec(shape=(8, 8, 16)), "preprocessing": agreed},
        {
            "model": ModelSpec(shape=(8, 8, 8)),
            "preprocessing": agreed.model_copy(update={"field_of_view_mm": (40.0, 64.0, 48.0)}),
        },
    ):
        found = check_data(Site(tmp_path), _spec(**other), sample=1, workers=0)
        assert _told(found, "another shape or")
    box = _spec(model=ModelSpec(shape=(8, 8, 8)), preprocessing=PreprocessingSpec())
    with pytest.raises(ConfigurationError, match="'box'"):
        check_data(Site(tmp_path), box)


def test_a_network_for_other_cases_is_told(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 12)
    shape = check_data(site).look.plan.shape
    network, table = ModelSpec(shape=shape), ModelSpec(architecture="mlp", shape=shape)
    with pytest.raises(ConfigurationError, match="resnet18-3d is not for rows of a table"):
        check_data(site, _spec(model=network))
    assert not _told(check_data(site, _spec(model=table)), "is not for")
    scans = make_site(tmp_path / "scans", {"source": "lidc", "part": (1, 30)})
    spec = _spec(model=ModelSpec(architecture="mlp", shape=(64, 1, 1)))
    with pytest.raises(ConfigurationError, match="mlp is not for volumes"):
        check_data(scans, spec, sample=1, workers=0)
    with pytest.raises(ConfigurationError, match="mlp is not for volumes"):
        prepare(scans, spec)


def test_features_that_are_agreed_on_are_compared_with_those_of_the_sets(tmp_path: Path) -> None:
    site = _tabular_site(tmp_path, 60)
    prepare(site)
    assert _told(check_data(site), "No features are agreed on")
    own = (FeatureSpec(name="age", centre=60.0, scale=10.0), FeatureSpec(name="volume"))
    model = ModelSpec(architecture="mlp", shape=(2, 1, 1))
    same = check_data(site, _spec(model=model, features=own))
    assert not _told(same, "features are agreed on")
    assert not _told(same, "of other features")
    assert _told(check_data(site, _spec(model=model, features=own[::-1])), "of other features")


def test_sets_that_were_put_there_by_hand_are_looked_at_too(tmp_path: Path) -> None:
    site = make_site(tmp_path, None)
    with pytest.raises(ConfigurationError, match='no "data"'):
        check_data(site)
    make_site_data(1).save(tmp_path / "data")
    findings = check_data(Site(tmp_path), sample=3)
    assert (findings.look.source, findings.train, findings.holdout) == (BY_HAND, (24, 24), (12, 12))
    assert len(findings.look.shown) == 6
    draw(findings, tmp_path / "sheet.png")
    assert _size(tmp_path / "sheet.png") > (300, 300)


def test_a_picture_of_scans_has_no_names_and_is_the_owners(tmp_path: Path) -> None:
    site = make_site(tmp_path / "site", {"source": "lidc", "part": (1, 30), "shape": (8, 8, 8)})
    findings = check_data(site, sample=2)
    file = tmp_path / "sheet.png"
    file.write_bytes(b"a former one")
    draw(findings, file)
    content = file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert {kind for kind, _ in _chunks(content)} <= {b"IHDR", b"pHYs", b"tEXt", b"IDAT", b"IEND"}
    assert [body for kind, body in _chunks(content) if kind == b"tEXt"] == [b"Software\0C-DistriM"]
    assert not list(tmp_path.glob(".*.part"))


def test_a_picture_of_a_table_shows_each_class(tmp_path: Path) -> None:
    draw(check_data(make_site(tmp_path, {"source": "iris"})), tmp_path / "ranges.png")
    assert _size(tmp_path / "ranges.png")[0] > 600


def test_a_table_that_was_put_there_by_hand_is_drawn_without_names(tmp_path: Path) -> None:
    site = make_site(tmp_path, None)
    make_rows((9, 9, 9), seed=1).save(tmp_path / "data" / "train.npz")
    make_rows((5, 5, 5), seed=2).save(tmp_path / "data" / "holdout.npz")
    findings = check_data(site)
    assert (findings.look.is_table, findings.look.features.shape) == (True, (27, 4))
    assert _told(check_data(site, _spec(model=ModelSpec(shape=(4, 1, 1)))), "is not for rows")
    draw(findings, tmp_path / "ranges.png")


def test_a_picture_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    findings = check_data(make_site(tmp_path, {"source": "iris"}))
    with pytest.raises(UsageError, match="can't be written"):
        draw(findings, tmp_path / "nowhere" / "ranges.png")


def test_nothing_to_draw_is_told(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", [*rows_for([]), ["p", "?", "1", "1"]])
    with pytest.raises(DataError):
        draw(check_data(make_site(tmp_path / "site", tabular(table))), tmp_path / "x.png")


def _chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and body of all chunks of a PNG file (ISO/IEC 15948, 5.3)."""
    place, found = 8, []
    while place < len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        found.append((kind, content[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def _size(file: Path) -> tuple[int, int]:
    body = dict(_chunks(file.read_bytes()))[b"IHDR"]
    width, height = np.frombuffer(body[:8], dtype=">u4")
    return int(width), int(height)
