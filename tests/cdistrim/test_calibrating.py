"""A model is calibrated at a site on cases that nobody trained or voted with, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cdistrim.calibrating import FOLDS, ModelCalibration, calibrate
from cdistrim.data.cases import CaseSet
from cdistrim.errors import CDistriMError, DataError, IntegrityError, UsageError
from cdistrim.model import initial_weights
from cdistrim.prediction import predict
from cdistrim.statistics import brier, fit_platt, fit_temperature, logits_of
from cdistrim.weights import Weights, to_bytes
from tests.cli.command_line import call
from tests.factories import make_cases
from tests.simulated import MODEL, SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


class Accepted:
    """A campaign whose first slot was accepted, and the model in a file."""

    def __init__(self, steps: Stepper, directory: Path) -> None:
        session = steps.open_head()
        session.train()
        assert session.candidate is not None
        self.weights: Weights = session.candidate.weights
        self.model = directory / "model.safetensors"
        self.model.write_bytes(to_bytes(self.weights))
        steps.ask_upload(session)
        steps.vote()
        session.confirm()
        session.close()
        self.site = steps.sites["hospital-2"]
        self.cases = make_cases(40, 35, seed=77, prefix="calibration")
        self.put(self.cases)

    def put(self, cases: CaseSet) -> None:
        """Let these be the site's cases to calibrate on."""
        cases.save(self.site.directory / "data" / "calibration.npz")

    def calibrate(self, model: Path | None = None) -> ModelCalibration:
        """As the command does."""
        return calibrate(self.site, 1, model or self.model)


@pytest.fixture
def accepted(simulate: Simulate, tmp_path: Path) -> Accepted:
    return Accepted(Stepper(simulate(size=2)), tmp_path)


def test_scales_are_those_of_the_sites_own_cases(accepted: Accepted) -> None:
    found = accepted.calibrate()
    scores = predict(accepted.weights, accepted.cases, MODEL)
    labels, logits = accepted.cases.labels, logits_of(scores)
    platt = fit_platt(labels, logits)
    assert (found.model, found.cases) == ("hospital-1-1", (35, 40))
    assert found.temperature == fit_temperature(labels, logits).temperature
    assert found.platt == (platt.slope, platt.intercept)
    assert found.quality["as they are"].brier == pytest.approx(2 * brier(labels, scores))
    assert set(found.quality) == {"as they are", "temperature", "Platt"}
    assert ModelCalibration.model_validate_json(found.model_dump_json()) == found


def test_no_case_is_scaled_by_a_fit_that_saw_it(accepted: Accepted) -> None:
    """Worked out once more: fold by fold, and case by case within a class."""
    scores = predict(accepted.weights, accepted.cases, MODEL)
    labels, logits = accepted.cases.labels, logits_of(scores)
    seen = {0: 0, 1: 0}
    folds: list[list[int]] = [[] for _ in range(FOLDS)]
    for place, label in enumerate(labels):
        folds[seen[int(label)] % FOLDS].append(place)
        seen[int(label)] += 1
    total = 0.0
    for fold in folds:
        others = [place for place in range(len(labels)) if place not in fold]
        scaled = fit_platt(labels[others], logits[others]).apply(logits[fold])
        total += float(np.sum((scaled - labels[fold]) ** 2))
    expected = 2 * total / len(labels)
    assert accepted.calibrate().quality["Platt"].brier == pytest.approx(expected, abs=1e-12)


def test_only_a_model_that_the_campaign_accepted_is_calibrated(
    accepted: Accepted, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.write_bytes(to_bytes(initial_weights(MODEL, 9)))
    with pytest.raises(IntegrityError, match="accepted no model"):
        accepted.calibrate(other)
    other.write_bytes(accepted.model.read_bytes()[:-1])
    with pytest.raises(CDistriMError):
        accepted.calibrate(other)
    for missing in (tmp_path / "nothing", tmp_path):
        with pytest.raises(UsageError, match="Can't read"):
            accepted.calibrate(missing)


def test_cases_that_train_or_vote_are_refused(accepted: Accepted) -> None:
    for used in (accepted.site.data.train, accepted.site.data.holdout):
        accepted.put(used)
        with pytest.raises(DataError, match=f"{len(used)} of the cases in calibration.npz"):
            accepted.calibrate()


def test_too_few_cases_and_none_at_all_are_refused(accepted: Accepted) -> None:
    accepted.put(make_cases(9, 30, seed=3, prefix="few"))
    with pytest.raises(DataError, match="9"):
        accepted.calibrate()
    (accepted.site.directory / "data" / "calibration.npz").unlink()
    with pytest.raises(DataError, match="no cases to calibrate on"):
        accepted.calibrate()


def test_the_command_prints_and_writes_and_names_nobody(accepted: Accepted, tmp_path: Path) -> None:
    out = tmp_path / "calibration.json"
    arguments = ("data", "calibrate", accepted.site.directory, accepted.model, "--campaign", 1)

    ended = call(*arguments, "--out", out)

    assert ended.code == 0, ended.err
    assert "hospital-1-1, on 75 cases: 35 of class 0 and 40 of class 1" in ended.out
    assert ModelCalibration.model_validate_json(out.read_text()) == accepted.calibrate()
    assert out.stat().st_mode & 0o077 == 0
    told = ended.out + ended.err + out.read_text()
    assert not any(case in told for case in accepted.cases.ids)
    assert set(json.loads(out.read_text())["quality"]) == {"as they are", "temperature", "Platt"}
    again = call(*arguments, "--out", out)
    assert (again.code, "Nothing is overwritten" in again.err) == (2, True)
    nowhere = call(*arguments, "--out", tmp_path / "nowhere" / "x.json")
    assert (nowhere.code, "Can't write" in nowhere.err) == (2, True)
    wrong = call(*arguments[:-1], 7)
    assert wrong.code not in (0, 1)
