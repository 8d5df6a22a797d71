from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.plan import Arm, ArmResult, Experiment, ExperimentOptions
from cdistrim.experiment.studies import STUDIES
from cdistrim.spec import PolicyName

IRIS = ExperimentOptions(study=StudyName.IRIS, seeds=(3, 4))


def test_what_was_asked_for_is_found_again(tmp_path: Path) -> None:
    run = Experiment(tmp_path / "run", IRIS)
    run.begin()
    assert Experiment.open(tmp_path / "run").options == IRIS
    with pytest.raises(ConfigurationError, match="no run"):
        Experiment.open(tmp_path / "other")
    (tmp_path / "run" / "experiment.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="is damaged, or holds the options"):
        Experiment.open(tmp_path / "run")


def test_a_scenario_that_there_is_none_of_is_told(tmp_path: Path) -> None:
    options = IRIS.model_copy(update={"scenarios": (2, 7)})
    with pytest.raises(UsageError, match="no scenario 7") as caught:
        Experiment(tmp_path, options).begin()
    assert caught.value.hint == "There are 1, 2, 3, 4, 5, 6."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"seeds": (1, 1)}, {"seeds": ()}, {"scenarios": (2, 2)}])
def test_lists_name_nothing_twice_and_there_is_a_seed(wrong: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(ValidationError):
        ExperimentOptions.model_validate({"study": "iris", "seeds": (1,)} | wrong)


def test_each_seed_has_a_central_model_and_one_a_scenario(tmp_path: Path) -> None:
    run = Experiment(tmp_path, IRIS.model_copy(update={"scenarios": (5, 2)}))
    assert [(arm.seed, arm.scenario) for arm in run.arms] == [
        (3, 0),
        (3, 2),
        (3, 5),
        (4, 0),
        (4, 2),
        (4, 5),
    ]
    assert [arm.name for arm in run.arms[:2]] == ["seed-3/central", "seed-3/scenario-2"]


def test_central_training_and_all_scenarios_have_the_same_patients(tmp_path: Path) -> None:
    run = Experiment(tmp_path, IRIS)
    sets = []
    for scenario in (0, 1, 6):
        split = run.split(Arm(3, scenario))
        sets.append({one for site in split.sites for one in site.train.ids})
    assert sets[0] == sets[1] == sets[2]


def test_a_damaged_result_is_none(tmp_path: Path) -> None:
    run, arm = Experiment(tmp_path, IRIS), Arm(3, 2)
    assert run.result(arm) is None
    result = ArmResult(
        seed=3,
        scenario=2,
        labels=(0, 1, 2),
        scores=((0.5, 0.25, 0.25),) * 3,
        training_seconds=1.0,
        turn_seconds=2.0,
        seconds=3.0,
    )
    run.keep(arm, result)
    assert run.result(arm) == result
    path = tmp_path / "seed-3" / "scenario-2.json"
    path.write_bytes(path.read_bytes()[:-5])
    assert run.result(arm) is None


def test_every_study_deals_out_its_patients_for_every_scenario(tmp_path: Path) -> None:
    for study in STUDIES.values():
        if study.name is StudyName.NSCLC_RADIOMICS:
            continue  # Its data come with no package: test_nsclc.py.
        for quick in (False, True):
            options = ExperimentOptions(study=study.name, seeds=(1,), quick=quick)
            run = Experiment(tmp_path, options)
            classes = run.study.model.classes
            for number, scenario in run.scenarios.items():
                split = run.split(Arm(1, number))
                assert sum(scenario.partners) == run.study.patients
                assert len(split.test) == run.study.test
                evaluators = 0
                for site in split.sites:
                    site.train.require_classes(2, classes=classes)
                    # Enrolment asks for this, so that a trainer can measure itself.
                    site.holdout.require_classes(2, classes=classes)
                    counts = np.array(site.holdout.counts(classes))
                    evaluators += counts.min() >= run.study.voting.min_cases_per_class
                # The contract asks for two, or nothing could be voted on.
                assert evaluators >= 2, (study.name, quick, number)


def test_a_replica_has_the_papers_order_of_things_and_says_what_that_does(tmp_path: Path) -> None:
    options = ExperimentOptions(study=StudyName.NODULES, seeds=(1,), replica=True, quick=True)
    run = Experiment(tmp_path, options)
    plain = Experiment(tmp_path, options.model_copy(update={"replica": False}))
    assert run.cycles == 1
    assert run.study.training.epochs == plain.study.training.epochs * plain.cycles
    assert run.study.voting.policy is PolicyName.STRICT
    assert "copies of one patient are on both sides" in run.study.caveats[0]
    assert run.cases.counts()[0] == run.cases.counts()[1] > min(plain.cases.counts())
    copies = {one for one in run.cases.ids if "+" in one}
    assert len(copies) == len(run.cases) - len(plain.cases) > 0
    assert not any("+" in one for one in plain.cases.ids)
