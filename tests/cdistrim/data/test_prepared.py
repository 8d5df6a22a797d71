"""Both sets are put in place at once, and what is said about them is theirs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from cdistrim.data.cases import CaseSet, SiteData, load_site_data
from cdistrim.data.prepared import (
    Prepared,
    put_in_place,
    read_prepared,
    require_preprocessing,
    same_volumes,
)
from cdistrim.errors import ConfigurationError, DataError
from cdistrim.spec import CampaignSpec, FeatureSpec, GenesisSpec, ModelSpec, PreprocessingSpec
from tests.factories import make_rows, make_site_data

BOX = PreprocessingSpec()
FIXED = PreprocessingSpec(crop="fixed", field_of_view_mm=(50.0, 60.0, 70.0))


def _prepared(
    sets: SiteData, preprocessing: PreprocessingSpec | None = BOX, source: str = "nifti"
) -> Prepared:
    return Prepared(
        built=1,
        source=source,
        shape=sets.train.shape,
        preprocessing=preprocessing,
        train=sets.train.counts(),
        holdout=sets.holdout.counts(),
        excluded={"NO_SCAN": 2},
        train_digest=sets.train.digest().hex(),
        holdout_digest=sets.holdout.digest().hex(),
    )


def _place(data: Path, sets: SiteData, preprocessing: PreprocessingSpec | None = BOX) -> None:
    data.mkdir(exist_ok=True)
    put_in_place(data, sets.train, sets.holdout, _prepared(sets, preprocessing))


def _spec(preprocessing: PreprocessingSpec | None) -> CampaignSpec:
    return CampaignSpec(
        name="lung",
        task="a task",
        order=("a", "b"),
        preprocessing=preprocessing,
        genesis=GenesisSpec(weights_hash="00" * 32),
    )


def test_the_sets_are_read_as_any_others(tmp_path: Path) -> None:
    for seed in (1, 2):
        sets = make_site_data(seed)
        _place(tmp_path, sets)
        found = load_site_data(tmp_path)
        assert found.train.digest() == sets.train.digest()
        assert found.holdout.digest() == sets.holdout.digest()
        assert read_prepared(tmp_path) == _prepared(sets)
    assert len(list((tmp_path / "sets").iterdir())) == 2, "former sets are removed"
    for path in (tmp_path / "sets").rglob("*"):
        assert path.is_symlink() or path.stat().st_mode & 0o077 == 0, path


def test_cases_to_calibrate_on_come_and_go_with_the_sets(tmp_path: Path) -> None:
    sets, kept = make_site_data(1), make_site_data(2).holdout
    prepared = _prepared(sets)
    put_in_place(tmp_path, sets.train, sets.holdout, prepared, kept)
    assert CaseSet.load(tmp_path / "calibration.npz").digest() == kept.digest()
    put_in_place(tmp_path, sets.train, sets.holdout, prepared)
    assert not os.path.lexists(tmp_path / "calibration.npz")
    assert load_site_data(tmp_path).train.digest() == sets.train.digest()
    for used in (sets.train, sets.holdout):
        with pytest.raises(DataError, match=r"in train\.npz or holdout\.npz"):
            put_in_place(tmp_path, sets.train, sets.holdout, prepared, used)


def test_nobody_ever_sees_one_set_of_two_preparations(tmp_path: Path) -> None:
    """A process is killed before each of its changes to the file system in turn."""
    former, new = make_site_data(1), make_site_data(2)
    for start in (None, former):
        expected = {_state(start), _state(new)}
        seen = set()
        for number in range(1, 200):
            data = tmp_path / f"{start is None}-{number}"
            data.mkdir()
            if start is not None:
                _place(data, start)
            done = _forked(number, data, new)
            state = _found(data)
            assert state in expected, number
            seen.add(state)
            if done:
                break
            _place(data, new)
            assert _found(data) == _state(new), "the next one finishes it"
            shutil.rmtree(data)
        assert done
        assert seen == expected


def _state(sets: SiteData | None) -> tuple[bytes, bytes] | None:
    return None if sets is None else (sets.train.digest(), sets.holdout.digest())


def _found(data: Path) -> tuple[bytes, bytes] | None:
    """What a site would train and vote with; None if it has no cases."""
    if not (data / "train.npz").exists():
        return None
    sets = load_site_data(data)
    assert read_prepared(data) == _prepared(sets)
    return _state(sets)


_CHANGES = {"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink"}


def _forked(number: int, data: Path, sets: SiteData) -> bool:
    """Put sets in place in a process that kills itself before a change; whether it came through."""
    child = os.fork()
    if child == 0:
        left = number

        def kill(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal left
            writes = event == "open" and bool(
                int(str(arguments[2] or 0)) & (os.O_WRONLY | os.O_CREAT)
            )
            if event in _CHANGES or writes:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.dont_write_bytecode = True
        sys.addaudithook(kill)
        try:
            put_in_place(data, sets.train, sets.holdout, _prepared(sets))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return not os.WIFSIGNALED(status)


@pytest.mark.parametrize("name", ["train.npz", "holdout.npz", "prepared.json"])
def test_sets_that_were_put_there_by_hand_are_not_lost(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(DataError, match=name):
        _place(tmp_path, make_site_data(1))
    assert (tmp_path / name).read_text() == "precious"


def test_a_campaign_without_preprocessing_takes_any_volumes(tmp_path: Path) -> None:
    sets = make_site_data(1)
    require_preprocessing(tmp_path, sets, _spec(None))


def test_volumes_made_as_agreed_are_taken(tmp_path: Path) -> None:
    sets = make_site_data(1)
    _place(tmp_path, sets)
    require_preprocessing(tmp_path, sets, _spec(BOX))
    require_preprocessing(
        tmp_path, sets, _spec(PreprocessingSpec(field_of_view_mm=(9.0, 9.0, 9.0)))
    )


@pytest.mark.parametrize(
    ("made", "agreed", "told"),
    [
        (BOX, FIXED, "made by crop box"),
        (BOX, PreprocessingSpec(margin_mm=4.0), "margin_mm 5"),
        (BOX, PreprocessingSpec(window=(-1000.0, 300.0)), "300"),
        (FIXED, FIXED.model_copy(update={"field_of_view_mm": (50.0, 60.0, 71.0)}), "71"),
        (None, BOX, "rows of a table"),
    ],
)
def test_volumes_made_in_another_way_are_refused(
    tmp_path: Path, made: PreprocessingSpec | None, agreed: PreprocessingSpec, told: str
) -> None:
    sets = make_site_data(1)
    _place(tmp_path, sets, made)
    with pytest.raises(ConfigurationError, match=told) as refused:
        require_preprocessing(tmp_path, sets, _spec(agreed))
    assert "data prepare" in refused.value.hint


def test_what_nobody_can_tell_anything_about_is_refused(tmp_path: Path) -> None:
    sets = make_site_data(1)
    sets.save(tmp_path)
    with pytest.raises(ConfigurationError, match="nothing says how"):
        require_preprocessing(tmp_path, sets, _spec(BOX))
    (tmp_path / "train.npz").unlink()
    (tmp_path / "holdout.npz").unlink()
    _place(tmp_path, sets)
    other = SiteData(make_site_data(3).train, sets.holdout)
    with pytest.raises(ConfigurationError, match="changed after"):
        require_preprocessing(tmp_path, other, _spec(BOX))


def test_rows_of_other_features_than_agreed_are_refused(tmp_path: Path) -> None:
    agreed = (FeatureSpec(name="age", centre=60.0, scale=10.0), FeatureSpec(name="size"))
    spec = CampaignSpec(
        name="rows",
        task="a task",
        order=("a", "b"),
        model=ModelSpec(architecture="mlp", shape=(2, 1, 1)),
        features=agreed,
        genesis=GenesisSpec(weights_hash="00" * 32),
    )
    sets = SiteData(make_rows((6, 6), features=2), make_rows((4, 4), seed=1, features=2))
    made = _prepared(sets, None, "tabular")
    tmp_path.mkdir(exist_ok=True)
    others = (
        None,
        agreed[::-1],
        (agreed[0].model_copy(update={"scale": 11.0}), agreed[1]),
        (agreed[0], agreed[1].model_copy(update={"name": "volume"})),
    )
    for other in others:
        put_in_place(
            tmp_path, sets.train, sets.holdout, made.model_copy(update={"features": other})
        )
        with pytest.raises(ConfigurationError, match=r"\(age - 60\) / 10, \(size - 0\) / 1; this"):
            require_preprocessing(tmp_path, sets, spec)
    put_in_place(tmp_path, sets.train, sets.holdout, made.model_copy(update={"features": agreed}))
    require_preprocessing(tmp_path, sets, spec)


def test_what_a_crop_does_not_use_is_free() -> None:
    assert same_volumes(BOX, PreprocessingSpec(field_of_view_mm=(1.0, 2.0, 3.0)))
    assert same_volumes(FIXED, FIXED.model_copy(update={"margin_mm": 7.0}))
    assert not same_volumes(FIXED, BOX)


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text('{"version": 2}')
    with pytest.raises(DataError, match="another release"):
        read_prepared(tmp_path)
    assert read_prepared(tmp_path / "nowhere") is None


def test_a_case_in_both_sets_is_refused(tmp_path: Path) -> None:
    sets = make_site_data(1)
    both = CaseSet(sets.holdout.volumes, sets.holdout.labels, sets.train.ids[: len(sets.holdout)])
    with pytest.raises(DataError, match="too"):
        put_in_place(tmp_path, sets.train, both, _prepared(sets))
    assert not (tmp_path / "train.npz").is_symlink()
