"""A run of an experiment: what it was asked to do, its arms, and where each one lies.

::

    <run>/
      experiment.json         what was asked for; a rerun does the same
      cases.npz, notes.json   with --data: all cases as they were read
      seed-1/central.json     scores of the model that was trained on the pooled data
      seed-1/scenario-3.json  scores of every candidate of a campaign, and how long things took
      seed-1/scenario-3/      the campaign itself: chain, contract, sites, store
      results.json, results.md, figure-….png

An *arm* is one model of one seed: the central one, or a scenario's campaign. An arm with a result
is not repeated; a campaign that was interrupted goes on where its ledger stands.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cdistrim.data.balance import zoom_copies
from cdistrim.data.cases import CaseSet
from cdistrim.data.split import Split
from cdistrim.errors import LeaseHeldError, UsageError
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.paper import CENTRAL
from cdistrim.experiment.scenarios import Scenario, deal
from cdistrim.experiment.studies import STUDIES, Loaded, Study, not_packaged
from cdistrim.runs import load_options, save_options
from cdistrim.site import write_atomically
from cdistrim.spec import BalanceSpec

__all__ = [
    "Arm",
    "ArmResult",
    "CalibrationResult",
    "CandidateResult",
    "Experiment",
    "ExperimentOptions",
]

_OPTIONS, _CASES, _NOTES = "experiment.json", "cases.npz", "notes.json"
_LOCK = ".lock"
_FROZEN = ConfigDict(frozen=True, extra="forbid")
_Scores = tuple[float, ...] | tuple[tuple[float, ...], ...]


class ExperimentOptions(BaseModel):
    """What a run was asked to do."""

    model_config = _FROZEN

    study: StudyName
    seeds: tuple[Annotated[int, Field(ge=0, le=2**31)], ...]
    scenarios: tuple[int, ...] = ()
    cycles: Annotated[int, Field(ge=0, le=100)] = 0
    quick: bool = False
    replica: bool = False
    data: Path | None = None

    @model_validator(mode="after")
    def _check_lists(self) -> Self:
        for name, values in (("seeds", self.seeds), ("scenarios", self.scenarios)):
            if len(set(values)) != len(values):
                raise ValueError(f"{name} names one twice")
        if not self.seeds:
            raise ValueError("seeds names none")
        return self


@dataclass(frozen=True)
class Arm:
    """One model of one seed; scenario 0 is central training."""

    seed: int
    scenario: int

    @property
    def central(self) -> bool:
        """Whether it is trained on the pooled data."""
        return self.scenario == CENTRAL

    @property
    def name(self) -> str:
        """Unique in the run; also its place there."""
        part = "central" if self.central else f"scenario-{self.scenario}"
        return f"seed-{self.seed}/{part}"


class CandidateResult(BaseModel):
    """A candidate on the test set, accepted or not.

    ``scores``: probabilities, shape (cases,), or (cases, classes) where there are more than two.
    """

    model_config = _FROZEN

    slot: int
    partner: str
    accepted: bool
    scores: _Scores


class CalibrationResult(BaseModel):
    """A final model on the patients that nobody trained on or voted with."""

    model_config = _FROZEN

    labels: tuple[int, ...]
    scores: _Scores


class ArmResult(BaseModel):
    """What came out of an arm.

    Attributes:
        labels: Of the test set, shape (cases,), the same for all arms of a seed.
        scores: Of the arm's final model, as in :class:`CandidateResult`.
        candidates: In the order of slots; none for central training.
        calibration: The final model on patients to scale scores with; None without such.
        slots: Planned.
        training_seconds: Of training alone, over all slots.
        turn_seconds: Of the owners' turns from fetch token to verdict, training included.
        seconds: Wall time of the arm.
    """

    model_config = _FROZEN

    seed: int
    scenario: int
    labels: tuple[int, ...]
    scores: _Scores
    candidates: tuple[CandidateResult, ...] = ()
    calibration: CalibrationResult | None = None
    slots: int = 0
    training_seconds: float
    turn_seconds: float
    seconds: float

    @property
    def accepted(self) -> int:
        """Number of candidates that became the head."""
        return sum(one.accepted for one in self.candidates)


class Experiment:
    """A run in its directory."""

    def __init__(self, directory: Path, options: ExperimentOptions) -> None:
        self.directory = directory
        self.options = options

    @classmethod
    def open(cls, directory: Path) -> Experiment:
        """The run that was begun in a directory.

        Raises:
            ConfigurationError: None was, or its options are damaged.
        """
        return cls(directory, load_options(ExperimentOptions, directory / _OPTIONS))

    def begin(self) -> None:
        """Write down what was asked for.

        Raises:
            UsageError: A scenario does not exist, or data are missing, or were given in vain.
            ConfigurationError: Nothing can be written there.
        """
        known = [one.number for one in self._asked_for.scenarios]
        if unknown := set(self.options.scenarios) - set(known):
            raise UsageError(
                f"{self.options.study} has no scenario {min(unknown)}"
                f"{' with --quick' if self.options.quick else ''}.",
                hint=f"There are {', '.join(map(str, known))}.",
            )
        self._check_data()
        save_options(self.options, self.directory / _OPTIONS)

    def _check_data(self) -> None:
        study, data = self._asked_for, self.options.data
        if data is None and not study.packaged:
            raise not_packaged()
        if data is not None and not study.elsewhere:
            raise UsageError(
                f"The data of {study.name} come with an installed package; --data is ignored.",
                hint="Leave it out.",
            )
        if data is not None and not data.is_dir():
            raise UsageError(f"There is no directory {data}.", hint="Correct --data.")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes off the run; the lock goes with the process that holds it.

        Raises:
            LeaseHeldError: Another one goes on with it.
        """
        import portalocker

        with (self.directory / _LOCK).open("w") as stream:
            try:
                portalocker.lock(stream, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except portalocker.LockException:
                raise LeaseHeldError(
                    f"Another process goes on with run {self.directory.name}.",
                    hint="Wait until it has ended: two would train the same models.",
                ) from None
            yield

    @cached_property
    def study(self) -> Study:
        """What is reproduced, with the sizes that there are cases for."""
        return self._asked_for.sized(len(self.cases))

    @cached_property
    def _asked_for(self) -> Study:
        study = STUDIES[self.options.study]
        if self.options.quick:
            study = study.quick()
        return study.replica() if self.options.replica else study

    @property
    def scenarios(self) -> Mapping[int, Scenario]:
        """The scenarios of this run, by number."""
        wanted = self.options.scenarios or [one.number for one in self.study.scenarios]
        return {one.number: one for one in self.study.scenarios if one.number in wanted}

    @property
    def cycles(self) -> int:
        """Turns of each partner."""
        return self.options.cycles or self.study.cycles

    @property
    def arms(self) -> tuple[Arm, ...]:
        """All arms; seed after seed, so that an interrupted run has whole seeds."""
        numbers = (CENTRAL, *self.scenarios)
        return tuple(Arm(seed, number) for seed in self.options.seeds for number in numbers)

    @cached_property
    def cases(self) -> CaseSet:
        """All cases of the study; of a replica with the paper's copies already among them."""
        cases = self.loaded.cases
        return zoom_copies(cases, BalanceSpec(), seed=0) if self.options.replica else cases

    @cached_property
    def loaded(self) -> Loaded:
        """All cases as they were read, and notes on them.

        Raises:
            UsageError: The study needs a directory, and there is none.
            DataError: The cases can't be read.
        """
        kept, notes = self.directory / _CASES, self.directory / _NOTES
        if notes.exists():
            return Loaded(CaseSet.load(kept), tuple(json.loads(notes.read_bytes())))
        loaded = self._asked_for.load(self._asked_for.model, self.options.data)
        if self.options.data is not None:
            # Every arm's process needs them, and the scans take minutes to find.
            loaded.cases.save(kept)
            write_atomically(notes, json.dumps(loaded.notes).encode())
        return loaded

    def split(self, arm: Arm) -> Split:
        """Who has which patients. Central training pools what any scenario's partners have."""
        number = min(self.scenarios) if arm.central else arm.scenario
        return deal(
            self.cases,
            self.scenarios[number],
            test=self.study.test,
            seed=arm.seed,
            holdout=self.study.holdout,
            calibration=self.study.calibration,
        )

    def place(self, arm: Arm) -> Path:
        """Directory of an arm's campaign."""
        return self.directory / arm.name

    def result(self, arm: Arm) -> ArmResult | None:
        """What came out of an arm; None if it is not over. A damaged file is no result."""
        try:
            return ArmResult.model_validate_json(self._file(arm).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, arm: Arm, result: ArmResult) -> None:
        """Write a result down."""
        write_atomically(self._file(arm), result.model_dump_json().encode())

    def _file(self, arm: Arm) -> Path:
        return self.place(arm).with_suffix(".json")
