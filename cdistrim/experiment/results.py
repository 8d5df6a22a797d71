"""From an experiment's scores to its figures: one model a seed, and all seeds together.

Within one seed everything is as in the paper: an AUC with DeLong's interval, and DeLong's test
against central training on the same patients. Over the seeds, which have splits, first weights and
orders of their own, the AUCs are averaged; their interval and that of the difference come from a
bootstrap over seeds and patients (:mod:`cdistrim.statistics.bootstrap`). "p > 0.05" is no proof of
being as good; hence the verdicts of non-inferiority, with margins that were fixed before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from cdistrim.errors import DataError, ExperimentIncomplete
from cdistrim.experiment.paper import CENTRAL, Printed
from cdistrim.experiment.plan import ArmResult, Experiment
from cdistrim.report.wording import plural
from cdistrim.statistics import (
    BootstrapInterval,
    DeLongTest,
    DifferenceInterval,
    Interval,
    NonInferiorityVerdict,
    PlattScaling,
    SeedScores,
    TemperatureScaling,
    auc,
    auc_interval,
    brier,
    delong_test,
    expected_calibration_error,
    fit_platt,
    fit_temperature,
    hierarchical_bootstrap,
    judge_difference,
    logits_of,
)

__all__ = ["AIM", "MARGIN", "Calibration", "ClassFigures", "Results", "Summary"]

MARGIN = 0.05
"""By how much sequential training may be worse and still count as no worse; preset."""
AIM = 0.02
"""What we aim at."""

RESAMPLES = 4000

_SCALINGS: Mapping[str, Callable[..., PlattScaling | TemperatureScaling] | None] = {
    "as they are": None,
    "temperature": fit_temperature,
    "Platt": fit_platt,
}

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassFigures:
    """One model of one seed on the test set, one class against the rest."""

    seed: int
    labels: IntArray
    scores: FloatArray
    central: FloatArray

    @cached_property
    def interval(self) -> Interval:
        """AUC with DeLong's 95 % interval."""
        return auc_interval(self.labels, self.scores)

    @cached_property
    def test(self) -> DeLongTest:
        """DeLong's test: this model (a) against the central one (b) of the same seed."""
        return delong_test(self.labels, self.scores, self.central)


@dataclass(frozen=True)
class Calibration:
    """Brier score and expected calibration error on the test set, means over the seeds.

    ``way`` is how scores were scaled: not, by a temperature, or by Platt's line, both fitted on
    patients that nobody trained on or voted with.
    """

    scenario: int
    way: str
    brier: float
    ece: float


@dataclass(frozen=True, eq=False)
class Summary:
    """A scenario (0: central) and a class over all seeds."""

    scenario: int
    class_name: str
    partners: tuple[int, ...]
    printed: Printed | None
    seeds: tuple[ClassFigures, ...]

    @property
    def auc(self) -> float:
        """Mean AUC over the seeds."""
        return float(np.mean([one.interval.auc for one in self.seeds]))

    @property
    def interval(self) -> BootstrapInterval:
        """Mean AUC over the seeds. Of 1 in all seeds it is DeLong's, whose lower end is exact."""
        found = self._intervals[0]
        if found.estimate < 1:
            return found
        return replace(found, low=self.seeds[0].interval.low)

    @property
    def difference_interval(self) -> BootstrapInterval:
        """Mean of sequential - central over the seeds."""
        return self._intervals[1]

    @cached_property
    def verdict(self) -> NonInferiorityVerdict | None:
        """Whether sequential training is shown to be no worse; None where no resample differs."""
        found = self.difference_interval
        if not found.error:
            return None
        interval = DifferenceInterval(found.estimate, found.low, found.high, found.level)
        return judge_difference(interval, margin=MARGIN, aim=AIM)

    @cached_property
    def _intervals(self) -> tuple[BootstrapInterval, BootstrapInterval]:
        return hierarchical_bootstrap(
            [SeedScores(one.labels, one.scores, one.central) for one in self.seeds],
            resamples=RESAMPLES,
        )


class Results:
    """All figures of an experiment whose arms are over.

    Raises:
        ExperimentIncomplete: An arm has no result.
    """

    def __init__(self, experiment: Experiment) -> None:
        found = {arm: experiment.result(arm) for arm in experiment.arms}
        missing = [arm.name for arm, result in found.items() if result is None]
        if missing:
            raise ExperimentIncomplete(
                f"{plural(len(missing), 'model')} of {len(found)} came to no result yet, the first"
                f" is {missing[0]}.",
                hint=f"Continue with --resume {experiment.directory.name}.",
            )
        self.experiment = experiment
        self.arms: Mapping[tuple[int, int], ArmResult] = {
            (arm.seed, arm.scenario): result for arm, result in found.items() if result is not None
        }

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the run."""
        return self.experiment.options.seeds

    @cached_property
    def summaries(self) -> tuple[Summary, ...]:
        """Rows of the table: central first, then scenario by scenario; class by class in each."""
        study = self.experiment.study
        rows = []
        for number in (CENTRAL, *self.experiment.scenarios):
            scenario = self.experiment.scenarios.get(number)
            for place, name in enumerate(study.classes):
                printed = study.printed[number]
                rows.append(
                    Summary(
                        scenario=number,
                        class_name=name,
                        partners=scenario.partners if scenario else (),
                        printed=printed[place],
                        seeds=tuple(self._figures(seed, number, place) for seed in self.seeds),
                    )
                )
        return tuple(rows)

    def curve(self, scenario: int) -> FloatArray:
        """AUC of the head after each slot, shape (seeds, slots); of classes, their mean.

        Before the first accepted candidate there is no head that was trained: NaN.
        """
        return np.array([self._heads(self.arms[seed, scenario]) for seed in self.seeds])

    @cached_property
    def calibrations(self) -> tuple[Calibration, ...]:
        """Each model without and with scaling; empty where no patients are left to scale on."""
        return tuple(
            Calibration(
                number,
                way,
                float(np.mean([brier(arm.labels, scores) for arm, scores in scaled])),
                float(np.mean([expected_calibration_error(a.labels, s) for a, s in scaled])),
            )
            for number in (CENTRAL, *self.experiment.scenarios)
            for way in _SCALINGS
            if (scaled := self._scaled(number, way))
        )

    def _scaled(self, scenario: int, way: str) -> list[tuple[ArmResult, FloatArray]]:
        scaled = []
        for seed in self.seeds:
            arm = self.arms[seed, scenario]
            if arm.calibration is None:
                return []
            scores = np.array(arm.scores)
            if (fit := _SCALINGS[way]) is not None:
                logits = logits_of(arm.calibration.scores)
                try:
                    scores = fit(arm.calibration.labels, logits).apply(logits_of(scores))
                except DataError:
                    return []  # Too few patients to scale on, or scores that say nothing.
            scaled.append((arm, scores))
        return scaled

    @cached_property
    def accepted(self) -> tuple[int, int]:
        """Candidates that were accepted, and slots, over all campaigns."""
        campaigns = [one for one in self.arms.values() if one.slots]
        return sum(one.accepted for one in campaigns), sum(one.slots for one in campaigns)

    @cached_property
    def protocol_share(self) -> float:
        """Time of the protocol over time of training, in the owners' turns of all campaigns."""
        campaigns = [one for one in self.arms.values() if one.slots]
        training = sum(one.training_seconds for one in campaigns)
        return sum(one.turn_seconds for one in campaigns) / training - 1 if training else 0.0

    def _figures(self, seed: int, scenario: int, place: int) -> ClassFigures:
        model, central = self.arms[seed, scenario], self.arms[seed, CENTRAL]
        labels = np.array(model.labels)
        return ClassFigures(
            seed,
            labels if self._binary else (labels == place).astype(np.int64),
            _column(model.scores, place),
            _column(central.scores, place),
        )

    @property
    def _binary(self) -> bool:
        return len(self.experiment.study.classes) == 1

    def _heads(self, arm: ArmResult) -> list[float]:
        labels = np.array(arm.labels)
        scored = {one.slot: one for one in arm.candidates}
        head, heads = float("nan"), []
        for slot in range(1, arm.slots + 1):
            candidate = scored.get(slot)
            if candidate is not None and candidate.accepted:
                head = self._area(labels, candidate.scores)
            heads.append(head)
        return heads

    def _area(self, labels: IntArray, scores: Sequence[object]) -> float:
        if self._binary:
            return auc(labels, np.array(scores))
        columns = np.array(scores, dtype=np.float64).T
        return float(np.mean([auc(labels == place, one) for place, one in enumerate(columns)]))


def _column(scores: Sequence[object], place: int) -> FloatArray:
    array = np.array(scores, dtype=np.float64)
    return array if array.ndim == 1 else array[:, place]
