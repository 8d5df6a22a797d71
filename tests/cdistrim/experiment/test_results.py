from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cdistrim.errors import ExperimentIncomplete
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.page import command_of, show, table_rows, write_page
from cdistrim.experiment.plan import (
    Arm,
    ArmResult,
    CalibrationResult,
    CandidateResult,
    Experiment,
    ExperimentOptions,
)
from cdistrim.experiment.results import Results
from cdistrim.statistics import auc, brier, delong_test, fit_platt, logits_of

SEEDS = (1, 2)
LABELS = tuple([0, 1] * 60)


def scores_of(seed: int, gap: float) -> tuple[float, ...]:
    """Probabilities for :data:`LABELS`; the larger the gap, the better."""
    logits = np.random.default_rng(seed).normal(size=len(LABELS)) + gap * np.array(LABELS)
    return tuple((1 / (1 + np.exp(-logits))).round(7).tolist())


def make_run(directory: Path, *, worse: float = 0.0) -> Experiment:
    """Nodules, scenarios 1 and 3, all over; sequential models are worse by a shift of logits."""
    run = Experiment(
        directory, ExperimentOptions(study=StudyName.NODULES, seeds=SEEDS, scenarios=(1, 3))
    )
    run.begin()
    for arm in run.arms:
        gap = 2.0 if arm.central else 2.0 - worse
        candidates = tuple(
            CandidateResult(
                slot=slot,
                partner=f"hospital-{slot}",
                accepted=slot != 2,
                scores=scores_of(arm.seed, gap * slot / 4),
            )
            for slot in (1, 2, 4)
        )
        run.keep(
            arm,
            ArmResult(
                seed=arm.seed,
                scenario=arm.scenario,
                labels=LABELS,
                scores=scores_of(arm.seed, gap),
                candidates=() if arm.central else candidates,
                calibration=CalibrationResult(
                    labels=LABELS[:24], scores=scores_of(arm.seed + 9, gap)[:24]
                ),
                slots=0 if arm.central else 4,
                training_seconds=10,
                turn_seconds=10 if arm.central else 25,
                seconds=30,
            ),
        )
    return run


def test_figures_are_those_of_the_scores(tmp_path: Path) -> None:
    results = Results(make_run(tmp_path, worse=0.5))
    central, one, three = results.summaries
    assert [row.scenario for row in results.summaries] == [0, 1, 3]
    expected = [auc(LABELS, scores_of(seed, 1.5)) for seed in SEEDS]
    assert one.auc == pytest.approx(np.mean(expected))
    assert one.interval.low < one.auc < one.interval.high
    tests = [delong_test(LABELS, scores_of(s, 1.5), scores_of(s, 2.0)) for s in SEEDS]
    assert [figures.test.p for figures in one.seeds] == [test.p for test in tests]
    assert three.difference_interval.estimate == pytest.approx(
        np.mean([test.difference for test in tests])
    )
    assert central.partners == ()
    assert three.partners == (141, 140, 141, 141)


def test_a_head_stays_where_a_candidate_was_voted_down(tmp_path: Path) -> None:
    results = Results(make_run(tmp_path))
    curve = results.curve(1)
    assert curve.shape == (2, 4)
    np.testing.assert_array_equal(curve[:, 0], curve[:, 1])  # Slot 2 was voted down …
    np.testing.assert_array_equal(curve[:, 1], curve[:, 2])  # … and slot 3 had no candidate.
    assert (curve[:, 3] > curve[:, 2]).all()
    assert results.accepted == (8, 16)
    assert results.protocol_share == pytest.approx(1.5)


def test_verdicts_hang_on_the_lower_end_of_the_interval(tmp_path: Path) -> None:
    same = table_rows(Results(make_run(tmp_path / "same", worse=0.02)))
    assert [row[7:9] for row in same] == [("", ""), ("shown", "shown"), ("shown", "shown")]
    worse = table_rows(Results(make_run(tmp_path / "worse", worse=1.2)))
    assert [row[7:9] for row in worse[1:]] == [("not shown", "not shown")] * 2
    equal = table_rows(Results(make_run(tmp_path / "equal")))
    assert [row[7:9] for row in equal[1:]] == [("no verdict", "no verdict")] * 2


def test_scores_are_scaled_on_patients_that_nobody_used(tmp_path: Path) -> None:
    results = Results(make_run(tmp_path, worse=0.3))
    found = {(one.scenario, one.way): one for one in results.calibrations}
    assert set(found) == {
        (s, w) for s in (0, 1, 3) for w in ("as they are", "temperature", "Platt")
    }
    plain = found[1, "as they are"]
    assert plain.brier == pytest.approx(
        np.mean([brier(LABELS, scores_of(seed, 1.7)) for seed in SEEDS])
    )
    arm = results.arms[1, 1]
    assert arm.calibration is not None
    fitted = fit_platt(arm.calibration.labels, logits_of(arm.calibration.scores))
    other = results.arms[2, 1]
    assert other.calibration is not None
    again = fit_platt(other.calibration.labels, logits_of(other.calibration.scores))
    assert found[1, "Platt"].brier == pytest.approx(
        np.mean(
            [
                brier(LABELS, fitted.apply(logits_of(arm.scores))),
                brier(LABELS, again.apply(logits_of(other.scores))),
            ]
        )
    )
    # The scores of make_run are too sure by far: no intercept fits them.
    assert found[1, "Platt"].brier < plain.brier


def test_the_page_has_both_tables_all_figures_and_what_is_not_shown(tmp_path: Path) -> None:
    run = make_run(tmp_path, worse=0.3)
    results = Results(run)
    page = write_page(results)
    text = page.read_text()
    assert "cdistrim reproduce nodules --seeds 2 --scenario 1 --scenario 3" in text
    assert "| scenario 3 | 141, 140, 141, 141 | 0.76 (0.68-0.84) | 0.984 |" in text
    assert "4 of 8 |" in text
    assert "| scenario 3 | Platt | 0." in text
    assert "a diameter alone reaches an AUC of 0.89" in text
    for number in (4, 5, 6, 7):
        assert f"(figure-{number}.png)" in text
        assert (tmp_path / f"figure-{number}.png").read_bytes()[:4] == b"\x89PNG"
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["command"] == command_of(run)
    assert document["rows"][1]["difference"][0] == pytest.approx(
        results.summaries[1].difference_interval.estimate
    )
    assert len(document["auc_by_slot"]["3"]) == len(SEEDS)


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_page(Results(make_run(tmp_path / name, worse=0.3)))
    for path in sorted((tmp_path / "one").iterdir()):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "other" / path.name).read_bytes(), path.name


def test_a_narrow_terminal_gets_a_block_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    results = Results(make_run(tmp_path, worse=0.3))
    for columns, block in (("80", True), ("200", False)):
        monkeypatch.setenv("COLUMNS", columns)
        show(results, sys.stdout)
        out = capsys.readouterr().out
        assert ("  AUC, ours: " in out) == block
        assert "scenario 3" in out


def test_nothing_is_summed_up_before_all_models_are_there(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (tmp_path / "seed-2" / "scenario-3.json").unlink()
    assert run.result(Arm(2, 3)) is None
    with pytest.raises(ExperimentIncomplete, match="1 model of 6 came to no result yet, the first"):
        Results(run)
