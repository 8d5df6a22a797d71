"""The demonstration: what ``cdistrim demo`` sets up, and what it measures afterwards.

Real parts throughout; what is not real is that one machine plays all hospitals and that their
data come out of one public set. Sizes are chosen by ``bench/demo_sizes.py``, see docs/demo.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdistrim import __version__
from cdistrim.audit import export, keep_checkpoint, write_export
from cdistrim.consortium import Consortium, found_consortium
from cdistrim.convening import open_campaign
from cdistrim.coordinator import Coordinator
from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.data.lidc import load_lidc
from cdistrim.data.public_cache import public_cache
from cdistrim.data.split import Split, SplitPlan, split_cases
from cdistrim.demo_options import EXPORT, HOSPITALS, DemoOptions, chain_start, verification
from cdistrim.evaluation import central_scores, score_candidates
from cdistrim.model import initial_weights
from cdistrim.presets import PRESETS, PresetName
from cdistrim.protocol import CampaignView
from cdistrim.report.build import build_report
from cdistrim.report.figures import CampaignReport, IntervalFigure
from cdistrim.report.measured import (
    HoldoutCounts,
    Measured,
    compare,
    lidc_notes,
    measure,
    software_versions,
)
from cdistrim.report.write import write_report
from cdistrim.site import Site, write_atomically
from cdistrim.spec import (
    BalanceSpec,
    CampaignSpec,
    GenesisSpec,
    TrainingSpec,
    VotingMode,
    VotingSpec,
)
from cdistrim.statistics import auc_interval
from cdistrim.step_times import owners_steps, vote_reasons, wall_seconds
from cdistrim.weights import weights_hash

if TYPE_CHECKING:
    from cdistrim.display import Display

__all__ = ["Demonstration"]

PLAN = SplitPlan(train=(110, 60, 95, 75), holdout=(64, 64, 64, 64), test=133)
REPORTED_PLAN = SplitPlan(PLAN.train, (48, 48, 48, 48), PLAN.test, validation=60)
TRAINING = TrainingSpec(
    epochs=2,
    batch_size=16,
    learning_rate=1e-3,
    threads=1,
    balance=BalanceSpec(augment_minority=True),
)


class Demonstration:
    """One run of the demo, in its directory."""

    def __init__(self, directory: Path, options: DemoOptions) -> None:
        self.directory = directory
        self.options = options

    # --- before ---

    @cached_property
    def spec(self) -> CampaignSpec:
        """The campaign that the four hospitals agree on."""
        model = PRESETS[PresetName.SMALL].model
        seed = self.options.seed
        genesis = weights_hash(initial_weights(model, seed)).hex()
        return CampaignSpec(
            name="demo",
            task="malignancy of lung nodules, LIDC-IDRI, as rated by radiologists",
            order=HOSPITALS,
            cycles=self.options.cycles,
            model=model,
            training=TRAINING.model_copy(update={"seed": seed}),
            voting=VotingSpec(mode=self.options.mode, policy=self.options.policy),
            genesis=GenesisSpec(seed=seed, weights_hash=genesis),
        )

    @cached_property
    def split(self) -> Split:
        """The hospitals' cases and the common test set, before any sabotage."""
        cases = load_lidc(self.spec.model.shape, cache=public_cache())
        plan = REPORTED_PLAN if self.options.mode is VotingMode.REPORTED else PLAN
        return split_cases(cases, plan, seed=self.options.seed)

    @property
    def consortium(self) -> Consortium:
        """The four sites, the contract and the store."""
        return Consortium.open(self.directory)

    def prepare(self, ledger_url: str, chain_id: int, note: Callable[[str], None]) -> None:
        """Found the consortium, or find it again after a crash."""
        note("volumes from LIDC-IDRI annotations: built once, then read from a cache")
        data = dict(zip(HOSPITALS, self.split.sites, strict=True))
        if self.options.sabotage:
            data[self.options.sabotage] = _with_flipped_labels(data[self.options.sabotage])
        found_consortium(
            self.directory,
            data,
            ledger_url=ledger_url,
            chain_id=chain_id,
            store_url=self.options.store or None,
        )
        for path in self.consortium.sites.values():
            # The operators of the four hospitals are one person here, who wrote the spec.
            Site(path).approve_spec(self.spec.digest())

    def open_campaign(self) -> int:
        """Open the campaign, unless it is on the ledger already; its number."""
        # A run has a chain of its own: what is on it is this run's campaign, ended or not.
        return self._first_site.ledger.campaigns() or open_campaign(self._first_site, self.spec)

    # --- after ---

    @cached_property
    def _first_site(self) -> Site:
        return Site(self.consortium.sites[HOSPITALS[0]])

    def view(self) -> CampaignView:
        """The campaign as the ledger has it."""
        return Coordinator(self.consortium.coordinator).ledger.campaign(1)

    def sign_history(self, note: Callable[[str], None]) -> None:
        """Every hospital signs the ledger's history, which is exported beside the report."""
        note("every hospital signs the ledger's history")
        for path in self.consortium.sites.values():
            keep_checkpoint(Site(path))
        file = self.directory / EXPORT
        file.unlink(missing_ok=True)  # Of this run before it was resumed.
        write_export(*export(self._first_site.readable_ledger, __version__), file)

    def report(self, display: Display) -> CampaignReport:
        """Measure everything on the test set, compare with central training, write the report."""
        site, test = self._first_site, self.split.test
        display.note("measuring every candidate on the test set")
        # This machine has everybody's keys; without a ballot nobody else could open them all.
        everybody = [Site(path) for path in self.consortium.sites.values()]
        scored = score_candidates(everybody, 1, test)
        aucs = {
            number: (
                _interval(test, scored.scores[scored.parents[number]]),
                _interval(test, scored.scores[number]),
            )
            for number in scored.parents
        }
        central = self._central(display) if self.options.central else None
        sites = self.consortium.sites
        measured = Measured(
            run_id=self.directory.name,
            created=datetime.now(tz=UTC),
            chain_id=site.settings.chain_id,
            contract=site.contract,
            wall_seconds=wall_seconds(sites),
            versions=software_versions(),
            seconds=owners_steps(sites, site.ledger, 1),
            reasons=vote_reasons(sites),
            slot_aucs=aucs,
            holdouts={
                name: HoldoutCounts(data.holdout.positives, data.holdout.negatives)
                for name, data in zip(HOSPITALS, self.split.sites, strict=True)
            },
            sequential=measure("sequential", test.labels, scored.final),
            central=None if central is None else measure("central", test.labels, central),
            comparison=None
            if central is None
            else compare(test.labels, scored.final, central, self.spec.voting.margin),
            notes=lidc_notes(_interval(test, test.volumes.sum(axis=(1, 2, 3, 4), dtype=float))),
            sabotaged=self.options.sabotage or None,
            verify_command=verification(self.directory, site.settings.store_url),
            chain_command=chain_start(self.directory, site.settings.ledger_url),
        )
        members = {member.account: member.name for member in site.ledger.members()}
        report = build_report(self.view(), site.ledger.history(1), members, self.spec, measured)
        write_report(report, self.directory)
        return report

    def _central(self, display: Display) -> np.ndarray:
        """Scores after central training on the honest pooled data; kept, so a rerun is quick."""
        kept = self.directory / "central.json"
        with suppress(OSError, ValueError):  # Damaged or not there: train again.
            scores = np.array(json.loads(kept.read_bytes()), dtype=float)
            if scores.shape == self.split.test.labels.shape:
                return scores
        display.note("training on the pooled data, to compare")
        scores = central_scores(
            [data.train for data in self.split.sites],
            self.spec,
            self.split.test,
            progress=lambda at: display.training(
                0, at.epoch, at.epochs, at.batch, at.batches, at.loss
            ),
        )
        write_atomically(kept, json.dumps(scores.tolist()).encode())
        return scores


def _interval(test: CaseSet, scores: np.ndarray) -> IntervalFigure:
    found = auc_interval(test.labels, scores)
    return IntervalFigure(found.auc, found.low, found.high)


def _with_flipped_labels(data: SiteData) -> SiteData:
    flipped = CaseSet(data.train.volumes, 1 - data.train.labels, data.train.ids)
    return SiteData(flipped, data.holdout, data.validation)
