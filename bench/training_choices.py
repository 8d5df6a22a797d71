"""What the spec's defaults of training rest on: sequential against central, one choice changed.

For each choice and seed, LIDC-IDRI nodules are dealt out as in the paper's scenarios 3 (four equal
partners) and 6 (four very unequal ones), trained from partner to partner without votes, and
measured on the common test set; central training sees the same patients, with as many passes. No
chain, no store, no Prefect: `cdistrim reproduce` is for those. Runs are kept in a file and not
repeated, so it can be interrupted:

    python -m bench.training_choices --write docs/training.md
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from scipy.stats import t as student

from cdistrim.classifier import Classifier
from cdistrim.data.cases import CaseSet, pool
from cdistrim.data.lidc import load_lidc
from cdistrim.data.public_cache import public_cache
from cdistrim.data.split import Split
from cdistrim.experiment.partitions import partition
from cdistrim.experiment.scenarios import LUNG_SCENARIOS, deal
from cdistrim.model import initial_weights
from cdistrim.prediction import predict
from cdistrim.presets import PRESETS, PresetName
from cdistrim.sampling import EpochBatches, stream_seed
from cdistrim.spec import BalanceSpec, ModelSpec, Norm, Schedule, TrainingSpec
from cdistrim.statistics import auc
from cdistrim.training import Turn, train
from cdistrim.weights import Weights

TEST = 141
CENTRAL = "central-"
SEEDS = (1, 2, 3, 4, 5)
RESULTS = Path("bench/training_choices.jsonl")
BEGIN, END = "<!-- training-choices:begin -->", "<!-- training-choices:end -->"

_MODEL = PRESETS[PresetName.SMALL].model.model_copy(update={"norm": Norm.BATCH})
_TRAINING = TrainingSpec(balance=BalanceSpec(augment_minority=True))


@dataclass(frozen=True)
class Choice:
    """One way to train; ``BASE`` with something changed."""

    name: str
    model: ModelSpec = _MODEL
    training: TrainingSpec = _TRAINING
    cycles: int = 8
    optimiser: str = "reset"
    """``reset``, or ``carried`` from partner to partner, which the library does not offer."""
    last_one: str = ""
    """What becomes of a last batch of one, which each epoch ends with then: ``joined`` to the batch
    before it, or ``dropped``, which the library does not offer. Empty: as the numbers fall."""
    scenarios: tuple[int, ...] = (3, 6)
    central: str = field(default="")
    """Name of the choice whose central training is the same; empty for its own."""

    def trained(self, **changes: Any) -> TrainingSpec:  # noqa: ANN401  fields of the spec
        """The training with some fields changed."""
        return self.training.model_copy(update=changes)


BASE = Choice("8 cycles of 1 epoch, batch norm, optimiser reset, rate falls in each slot")


def _choices() -> tuple[Choice, ...]:
    same = BASE.name
    grouped = replace(
        BASE, name="group norm", model=BASE.model.model_copy(update={"norm": Norm.GROUP})
    )
    return (
        BASE,
        grouped,
        replace(BASE, name="optimiser carried", optimiser="carried", central=same),
        replace(
            BASE,
            name="rate falls over the campaign",
            training=BASE.trained(schedule=Schedule.CAMPAIGN),
            central=same,
        ),
        replace(
            grouped,
            name="group norm, rate falls over the campaign",
            training=BASE.trained(schedule=Schedule.CAMPAIGN),
            central=grouped.name,
        ),
        replace(
            grouped,
            name="group norm, 4 cycles of 2 epochs",
            cycles=4,
            training=BASE.trained(epochs=2),
            central=grouped.name,
        ),
        replace(
            grouped,
            name="group norm, 4 cycles of 2 epochs, rate falls over the campaign",
            cycles=4,
            training=BASE.trained(epochs=2, schedule=Schedule.CAMPAIGN),
            central=grouped.name,
        ),
        replace(
            BASE,
            name="rate falls over the campaign, optimiser carried",
            training=BASE.trained(schedule=Schedule.CAMPAIGN),
            optimiser="carried",
            central=same,
        ),
        *(
            replace(
                BASE,
                name=f"{cycles} cycles of {epochs} epochs",
                cycles=cycles,
                training=BASE.trained(epochs=epochs),
                central=same,
            )
            for cycles, epochs in ((4, 2), (2, 4))
        ),
        replace(
            BASE,
            name="1 cycle of 8 epochs, as the paper",
            cycles=1,
            training=BASE.trained(epochs=8),
            central=same,
        ),
        replace(
            BASE,
            name="no zoomed copies",
            training=BASE.trained(balance=BalanceSpec(zoom_copies=False, augment_minority=True)),
        ),
        replace(
            BASE,
            name="only the larger class augmented, as the paper",
            training=BASE.trained(balance=BalanceSpec()),
        ),
        replace(
            BASE,
            name="nothing augmented",
            training=BASE.trained(balance=BalanceSpec(augment_majority=False)),
        ),
        replace(BASE, name="a last batch of one, joined", last_one="joined", central=same),
        replace(BASE, name="a last batch of one, dropped", last_one="dropped", central=same),
        replace(BASE, name="rate 0.003", training=BASE.trained(learning_rate=3e-3)),
        replace(BASE, name="rate 0.0003", training=BASE.trained(learning_rate=3e-4)),
        replace(BASE, name="4 cycles of 4 epochs", cycles=4, training=BASE.trained(epochs=4)),
        replace(BASE, name="twice the width", model=BASE.model.model_copy(update={"width": 16})),
        replace(
            BASE,
            name="twice the width, 48 x 64 x 16 voxels",
            model=BASE.model.model_copy(update={"width": 16, "shape": (48, 64, 16)}),
        ),
    )


CHOICES = {choice.name: choice for choice in _choices()}


@dataclass(frozen=True)
class Run:
    """One training of a model.

    ``scenario`` is the paper's number, 0 for central training; or a kind of partners that differ,
    and the same after ``central-``.
    """

    choice: str
    seed: int
    scenario: int | str

    @property
    def is_central(self) -> bool:
        """Whether it is trained on the pooled data."""
        return self.scenario == 0 or str(self.scenario).startswith(CENTRAL)

    @property
    def key(self) -> str:
        """Unique to the run."""
        return f"{self.choice}|{self.seed}|{self.scenario}"


def perform(run: Run) -> dict[str, Any]:
    """Train and measure; the run with its AUC and seconds."""
    torch.set_num_threads(1)
    choice = CHOICES[run.choice]
    began = time.monotonic()
    split = _split(load_lidc(choice.model.shape, cache=public_cache()), run)
    training = choice.trained(seed=run.seed)
    head = initial_weights(choice.model, run.seed)
    if run.is_central:
        training = training.model_copy(update={"epochs": training.epochs * choice.cycles})
        sets = pool([site.train for site in split.sites])
        head = train(head, sets, choice.model, training, turn=Turn(0)).weights
    else:
        sets_of = [site.train for site in split.sites]
        head = _sequential(head, sets_of, replace(choice, training=training))
    scores = predict(head, split.test, choice.model)
    found = {"auc": auc(split.test.labels, scores), "seconds": time.monotonic() - began}
    return {"choice": run.choice, "seed": run.seed, "scenario": run.scenario, **found}


def _split(cases: CaseSet, run: Run) -> Split:
    if isinstance(run.scenario, int):
        return deal(cases, LUNG_SCENARIOS[(run.scenario or 3) - 1], test=TEST, seed=run.seed)
    return partition(cases, run.scenario.removeprefix(CENTRAL), test=TEST, seed=run.seed)


def _sequential(head: Weights, sets: Sequence[CaseSet], choice: Choice) -> Weights:
    with _as_chosen(choice):
        for slot in range(1, len(sets) * choice.cycles + 1):
            cycle, owner = divmod(slot - 1, len(sets))
            turn = Turn(slot, cycle, choice.cycles)
            head = train(head, sets[owner], choice.model, choice.training, turn=turn).weights
    return head


@contextmanager
def _as_chosen(choice: Choice) -> Iterator[None]:
    """Put in what the library does not offer."""
    with ExitStack() as changes:
        if choice.optimiser == "carried":
            changes.enter_context(patch("cdistrim.training.Classifier", _carrying()))
        if choice.last_one:
            batches = _OneLeft if choice.last_one == "joined" else _OneDropped
            changes.enter_context(patch("cdistrim.sampling.EpochBatches", batches))
        yield


def _carrying() -> type[Classifier]:
    """A classifier whose optimiser begins with the moments that the one before it ended with."""
    carried: dict[str, Any] = {}

    class Carrying(Classifier):
        def on_train_start(self) -> None:
            super().on_train_start()
            optimiser = self.trainer.optimizers[0]
            if carried:
                groups = optimiser.state_dict()["param_groups"]
                optimiser.load_state_dict({"state": carried["state"], "param_groups": groups})

        def on_train_end(self) -> None:
            carried["state"] = self.trainer.optimizers[0].state_dict()["state"]

    return Carrying


class _OneLeft(EpochBatches):
    """Leaves out cases, other ones in each epoch, until one more is left than batches hold."""

    def __init__(self, cases: int, size: int, seed: int, slot: int) -> None:
        super().__init__((cases - 1) // size * size + 1, size, seed, slot)
        self._all = cases

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(stream_seed(self.seed, -self.slot, self.epoch))
        taken = torch.randperm(self._all, generator=generator).tolist()
        for batch in super().__iter__():
            yield [taken[index] for index in batch]


class _OneDropped(_OneLeft):
    """Leaves out that one as well."""

    def __iter__(self) -> Iterator[list[int]]:
        return (batch[: self.size] for batch in super().__iter__())


def results() -> dict[str, dict[str, Any]]:
    """What was measured before, by key."""
    if not RESULTS.exists():
        return {}
    rows = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return {Run(row["choice"], row["seed"], row["scenario"]).key: row for row in rows}


def wanted(names: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """All runs of these choices, the central ones first."""
    runs = []
    for name in names:
        choice = CHOICES[name]
        central = [Run(choice.central or name, seed, 0) for seed in seeds]
        runs += central + [Run(name, seed, n) for n in choice.scenarios for seed in seeds]
    return list(dict.fromkeys(runs))


def table(found: dict[str, dict[str, Any]], seeds: Sequence[int]) -> list[str]:
    """A row a choice: seeds, central AUC over them, each scenario's difference and its interval."""
    lines = [
        f"Up to {len(seeds)} seeds; difference of the AUCs, with its 95 % interval over them (t).",
        "Two numbers of seeds are the scenarios'. Central AUCs over fewer are of other patients.",
        "",
        "| choice | seeds | central AUC | scenario 3 - central | scenario 6 - central |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, choice in CHOICES.items():
        pairs = {number: _pairs(found, choice, number, seeds) for number in choice.scenarios}
        most = max(pairs.values(), key=len)
        if not most:
            continue
        counts = dict.fromkeys(str(len(each)) for each in pairs.values())
        cells = [name, ", ".join(counts), f"{statistics.mean(b for _, b in most):.3f}"]
        cells += [interval([a - b for a, b in each]) for each in pairs.values()]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _pairs(
    found: dict[str, dict[str, Any]], choice: Choice, scenario: int, seeds: Sequence[int]
) -> list[tuple[float, float]]:
    """AUCs in a scenario and of the central training beside it, of the seeds that have both."""
    central = choice.central or choice.name
    rows = [
        (found.get(Run(choice.name, seed, scenario).key), found.get(Run(central, seed, 0).key))
        for seed in seeds
    ]
    return [(own["auc"], other["auc"]) for own, other in rows if own and other]


def interval(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "" if not values else f"{values[0]:+.3f}"
    mean, count = statistics.mean(values), len(values)
    reach = float(student.ppf(0.975, count - 1)) * statistics.stdev(values) / math.sqrt(count)
    return f"{mean:+.3f} ({mean - reach:+.3f} to {mean + reach:+.3f})"


def complete(runs: Sequence[Run], jobs: int) -> dict[str, dict[str, Any]]:
    """Do those runs that are not done yet; all results, by key."""
    found = results()
    missing = [run for run in runs if run.key not in found]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as workers:
        begun = [workers.submit(perform, run) for run in missing]
        for number, done in enumerate(as_completed(begun)):
            row = done.result()
            with RESULTS.open("a") as file:
                file.write(json.dumps(row) + "\n")
            sys.stdout.write(f"{number + 1} of {len(missing)}: {row}\n")
            sys.stdout.flush()
    return results()


def write_table(lines: Sequence[str], page: Path | None, begin: str, end: str) -> None:
    """Print a table, and put it between two marks of a page."""
    sys.stdout.write("\n".join(lines) + "\n")
    if page is not None:
        before, _, rest = page.read_text().partition(begin)
        page.write_text("\n".join([before + begin, *lines, end]) + rest.partition(end)[2])


def arguments(description: str, choices: Sequence[str]) -> argparse.Namespace:
    """What such a bench is asked to do."""
    parser = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    parser.add_argument("--choices", nargs="+", default=list(choices), choices=list(CHOICES))
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--jobs", type=int, default=max(1, len(os.sched_getaffinity(0))))
    parser.add_argument("--write", type=Path, help="put the table into this page")
    return parser.parse_args()


def main() -> int:
    """Do what is not done yet, and print or write the table."""
    options = arguments(__doc__ or "", list(CHOICES))
    found = complete(wanted(options.choices, options.seeds), options.jobs)
    write_table(table(found, options.seeds), options.write, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
