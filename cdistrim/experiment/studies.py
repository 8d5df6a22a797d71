"""What can be reproduced: data, task, scenarios, model and training of each study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cdistrim.data.cases import CaseSet
from cdistrim.errors import UsageError
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.paper import IRIS_TABLE, LUNG_TABLE, Printed
from cdistrim.experiment.scenarios import IRIS_SCENARIOS, LUNG_SCENARIOS, Scenario
from cdistrim.presets import PRESETS, PresetName
from cdistrim.report.wording import plural
from cdistrim.spec import ModelSpec, Norm, PolicyName, TrainingSpec, VotingSpec

__all__ = ["QUICK_WARNING", "REPLICA_WARNING", "STUDIES", "Loaded", "Study", "not_packaged"]

REPLICA_WARNING = (
    "A replica: classes were balanced with copies before the split, as in the paper, so copies of "
    "one patient are on both sides of it. Its AUCs are too good and its intervals too narrow."
)

QUICK_WARNING = (
    "A quick run shows that the experiment runs, and nothing about the method: few patients, and "
    "one seed, so that intervals and verdicts leave out how much trainings differ."
)


@dataclass(frozen=True, eq=False)
class Loaded:
    """All cases of a study, and what there is to say about them; sentences that name nobody."""

    cases: CaseSet
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One of the paper's experiments, or ours in its form.

    Attributes:
        name: For the command line.
        title: For people.
        task: As in the campaign's spec.
        scenarios: Whose the patients are.
        test: Patients of the common test set.
        model: Architecture.
        training: Of a slot; the seed is set by each run.
        cycles: Turns of each partner.
        voting: How candidates are judged.
        holdout: Fraction of its patients that a partner keeps for votes.
        calibration: Patients that nobody trains on or votes with; scores are scaled on them.
        printed: What the paper reports, by scenario; 0 is central.
        classes: Names of the classes that stand in the table: one for a binary task.
        load: Reads all cases from a directory, or from installed packages where that is None.
        in_proportion: Whether sizes follow the number of usable cases, where those are not the
            paper's; else the study has as many as the paper says.
        caveats: What the results do not show; printed with them.
        packaged: Whether the data come with an installed package.
        elsewhere: Whether they may lie in a directory.
    """

    name: StudyName
    title: str
    task: str
    scenarios: tuple[Scenario, ...]
    test: int
    model: ModelSpec
    training: TrainingSpec
    cycles: int
    voting: VotingSpec
    holdout: float
    calibration: int
    printed: Mapping[int, tuple[Printed, ...]]
    classes: tuple[str, ...]
    load: Callable[[ModelSpec, Path | None], Loaded]
    caveats: tuple[str, ...]
    in_proportion: bool = False
    packaged: bool = True
    elsewhere: bool = True

    def sized(self, cases: int) -> Study:
        """The study for this number of cases: a fifth is the test set, as in the paper."""
        if not self.in_proportion or cases >= self.patients + self.test + self.calibration:
            return self
        test = round(cases * self.test / (self.patients + self.test))
        scenarios = tuple(one.scaled(cases - test) for one in self.scenarios)
        return replace(self, scenarios=scenarios, test=test, calibration=0)

    def quick(self) -> Study:
        """The same in a minute: few patients and turns. Shows that it runs, nothing else."""
        patients, test = (60, 30) if self.name is StudyName.IRIS else (48, 24)
        small = PRESETS[PresetName.SMALL].model.shape
        shape = self.model.shape if self.model.architecture == "mlp" else small
        return replace(
            self,
            scenarios=tuple(one.scaled(patients) for one in self.scenarios if one.number in (1, 3)),
            test=test,
            model=self.model.model_copy(update={"width": 4, "shape": shape}),
            cycles=2,
            voting=self.voting.model_copy(update={"min_cases_per_class": 2, "alpha": 0.001}),
            holdout=0.5,
            caveats=(QUICK_WARNING, *self.caveats),
        )

    def replica(self) -> Study:
        """As the paper does it, where the paper says how: to be compared with, not to be relied on.

        One cycle with as many passes; any lower AUC is voted down; the larger class alone is
        augmented. The smaller one was supplemented with copies before the split (see
        :attr:`~cdistrim.experiment.plan.Experiment.cases`), so copies of a test patient are trained
        on.
        """
        balance = self.training.balance.model_copy(
            update={"zoom_copies": False, "augment_majority": True, "augment_minority": False}
        )
        epochs = self.training.epochs * self.cycles
        return replace(
            self,
            training=self.training.model_copy(update={"epochs": epochs, "balance": balance}),
            cycles=1,
            voting=self.voting.model_copy(update={"policy": PolicyName.STRICT, "auc_floor": 0.0}),
            calibration=0,
            caveats=(REPLICA_WARNING, *self.caveats),
        )

    @property
    def patients(self) -> int:
        """Of all partners, without the test set."""
        return self.scenarios[0].patients


def _load_nodules(model: ModelSpec, directory: Path | None) -> Loaded:
    from cdistrim.data.lidc import DATABASE, load_lidc
    from cdistrim.data.public_cache import public_cache

    database = directory / DATABASE if directory is not None else None
    cases = load_lidc(model.shape, cache=public_cache(), database=database)
    note = (
        f"{plural(len(cases), 'patient')} have a nodule with two readings or more whose mean says "
        "benign or malignant; of several the largest counts."
    )
    return Loaded(cases, (note,))


def _load_iris(_model: ModelSpec, _directory: Path | None) -> Loaded:
    from cdistrim.data.iris import load_iris

    return Loaded(load_iris())


_VOTING = VotingSpec(alpha=0.05, min_cases_per_class=10)
"""Milder than the defaults, which docs/voting.md chooses for four partners and more: in scenarios 1
and 4 there are two partners, one of whom judges alone, and small ones could not judge at all."""


def not_packaged() -> UsageError:
    """The error of a study whose data have to be fetched, and were not given."""
    return UsageError(
        "The scans of NSCLC-Radiomics come with no package.",
        hint="Fetch the collection, doi 10.7937/K9/TCIA.2015.PF0M9REI, and give its directory "
        "with --data.",
    )


def _load_nsclc(model: ModelSpec, directory: Path | None) -> Loaded:
    from cdistrim.experiment.nsclc import load_nsclc_radiomics

    if directory is None:
        raise not_packaged()
    return Loaded(*load_nsclc_radiomics(model, directory))


NODULES = Study(
    name=StudyName.NODULES,
    title="Lung nodules (LIDC-IDRI) in the paper's six scenarios",
    task="malignancy of lung nodules, LIDC-IDRI, as rated by radiologists",
    scenarios=LUNG_SCENARIOS,
    test=141,
    # Twice the resolution in the plane and twice the width of the preset (docs/training.md).
    model=PRESETS[PresetName.SMALL].model.model_copy(
        update={"shape": (48, 64, 16), "width": 16, "norm": Norm.BATCH}
    ),
    training=PRESETS[PresetName.SMALL].training,
    cycles=4,
    voting=_VOTING,
    holdout=0.2,
    calibration=25,
    printed=LUNG_TABLE,
    classes=("malignant",),
    load=_load_nodules,
    caveats=(
        "Labels are radiologists' opinions, not biopsies or outcomes. No clinical evidence.",
        "Volumes hold outlines of nodules, no tissue; a diameter alone reaches an AUC of 0.89.",
        "The paper's task is another one, two-year survival: compare differences, not heights.",
        "All patients are from one collection, dealt out at random; real hospitals differ more.",
    ),
)

IRIS = Study(
    name=StudyName.IRIS,
    title="Fisher's IRIS in the paper's six scenarios (appendix A)",
    task="species of iris flowers, Fisher 1936",
    scenarios=IRIS_SCENARIOS,
    test=30,
    model=PRESETS[PresetName.TABLE].model.model_copy(update={"classes": 3}),
    training=PRESETS[PresetName.TABLE].training,
    cycles=4,
    voting=_VOTING.model_copy(update={"min_cases_per_class": 2}),
    # The smallest partner has 18 flowers, and needs two of each class to measure itself on.
    holdout=1 / 3,
    calibration=0,
    printed=IRIS_TABLE,
    classes=("setosa", "versicolor", "virginica"),
    load=_load_iris,
    elsewhere=False,
    caveats=(
        "There are 30 test cases, 10 a class: an AUC of 1 is no certainty, whatever a table says.",
        "Hold-outs have 2 to 7 cases a class; a vote on so few says little.",
    ),
)

NSCLC_RADIOMICS = Study(
    name=StudyName.NSCLC_RADIOMICS,
    title="Two-year survival (NSCLC-Radiomics) in the paper's six scenarios",
    task="two-year survival of patients with lung cancer, NSCLC-Radiomics",
    scenarios=LUNG_SCENARIOS,
    test=141,
    model=PRESETS[PresetName.FAST].model.model_copy(update={"norm": Norm.BATCH}),
    training=PRESETS[PresetName.FAST].training,
    cycles=4,
    voting=_VOTING,
    holdout=0.2,
    calibration=0,
    printed=LUNG_TABLE,
    classes=("survived two years",),
    load=_load_nsclc,
    caveats=(
        "One hospital's patients, dealt out at random: real hospitals differ more.",
        "Survival is predicted from the tumour's image alone; AUCs near 0.7 are what to expect.",
    ),
    in_proportion=True,
    packaged=False,
)

STUDIES: Mapping[StudyName, Study] = {one.name: one for one in (NODULES, NSCLC_RADIOMICS, IRIS)}
