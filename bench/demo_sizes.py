"""How often the demo's vote is wrong: honest candidates rejected, sabotaged ones accepted.

Simulates the demo's campaign without chain, store and Prefect: real data, real training, the
library's own policy. Run it before the demo's sizes are changed, and write the counts down:

    make bench-votes
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cdistrim.data.cases import SiteData, pool
from cdistrim.data.lidc import load_lidc
from cdistrim.data.public_cache import public_cache
from cdistrim.data.split import Split, SplitPlan, split_cases
from cdistrim.demo_options import CYCLES
from cdistrim.demonstration import PLAN, TRAINING
from cdistrim.model import initial_weights
from cdistrim.policy import BestHead, best_of, form_opinion
from cdistrim.prediction import predict
from cdistrim.presets import PRESETS, PresetName
from cdistrim.spec import BalanceSpec, ModelSpec, PolicyName, TrainingSpec, VotingSpec
from cdistrim.statistics import auc
from cdistrim.training import Turn, train
from cdistrim.weights import Weights, update_ratio

Scores = NDArray[np.float64]

_MODEL = PRESETS[PresetName.SMALL].model

SABOTEUR = 2
"""hospital-3, counted from 0."""


@dataclass
class Counts:
    """Verdicts on the candidates of one campaign, and what came out of it."""

    honest: int = 0
    honest_rejected: int = 0
    sabotaged: int = 0
    sabotaged_accepted: int = 0
    auc: float = 0.0
    seconds: float = 0.0
    story: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Campaign:
    """What is simulated."""

    model: ModelSpec
    training: TrainingSpec
    voting: VotingSpec
    cycles: int


def run_sequential(campaign: Campaign, split: Split, *, seed: int, sabotage: bool) -> Counts:
    """All slots of a campaign, each candidate judged by the other hospitals."""
    counts = Counts()
    sites = list(split.sites)
    if sabotage:
        honest = sites[SABOTEUR].train
        flipped = dataclasses.replace(honest, labels=1 - honest.labels)
        sites[SABOTEUR] = dataclasses.replace(sites[SABOTEUR], train=flipped)
    head = initial_weights(campaign.model, seed)
    heads = [[_scores(campaign, site, head)] for site in sites]
    began = time.monotonic()
    for slot in range(1, len(sites) * campaign.cycles + 1):
        owner = (slot - 1) % len(sites)
        cases = sites[owner].train
        result = train(head, cases, campaign.model, campaign.training, turn=Turn(slot))
        voters = [number for number in range(len(sites)) if number != owner]
        scores = [_scores(campaign, site, result.weights) for site in sites]
        yes = 1 + sum(_approves(campaign, sites[i], heads[i], scores[i]) for i in voters)
        small = update_ratio(head, result.weights) <= campaign.voting.max_update_ratio
        verdict = small and yes >= len(sites) // 2 + 1
        bad = sabotage and owner == SABOTEUR
        counts.sabotaged += bad
        counts.sabotaged_accepted += bad and verdict
        counts.honest += not bad
        counts.honest_rejected += not bad and not verdict
        if verdict:
            head = result.weights
            for known, new in zip(heads, scores, strict=True):
                known.append(new)
        final = predict(head, split.test, campaign.model, threads=campaign.training.threads)
        counts.auc = auc(split.test.labels, final)
        mark = ("+" if verdict else "-") if not bad else ("!" if verdict else "x")
        counts.story.append(f"{mark}{counts.auc:.2f}")
    counts.seconds = time.monotonic() - began
    return counts


def run_central(campaign: Campaign, split: Split, *, seed: int) -> Counts:
    """The same data pooled, the same number of passes."""
    began = time.monotonic()
    epochs = campaign.training.epochs * campaign.cycles
    training = campaign.training.model_copy(update={"epochs": epochs})
    cases = pool([site.train for site in split.sites])
    head = initial_weights(campaign.model, seed)
    weights = train(head, cases, campaign.model, training, turn=Turn(0)).weights
    scores = predict(weights, split.test, campaign.model, threads=training.threads)
    return Counts(auc=auc(split.test.labels, scores), seconds=time.monotonic() - began)


def _scores(campaign: Campaign, site: SiteData, weights: Weights) -> Scores:
    return predict(weights, site.holdout, campaign.model, threads=campaign.training.threads)


def _approves(campaign: Campaign, site: SiteData, heads: list[Scores], candidate: Scores) -> bool:
    """One evaluator's vote; ``heads`` are its scores of all heads so far, genesis first."""
    labels = site.holdout.labels
    best = best_of(
        BestHead(number, auc(labels, scores), scores) for number, scores in enumerate(heads)
    )
    return form_opinion(campaign.voting, labels, heads[-1], candidate, best=best).approve


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(2020, 2030)))
    parser.add_argument("--cache", type=Path, default=public_cache())
    parser.add_argument("--architecture", default="resnet18-3d")
    parser.add_argument("--shape", type=int, nargs=3, default=list(_MODEL.shape))
    parser.add_argument("--width", type=int, default=_MODEL.width)
    parser.add_argument("--train", type=int, nargs="+", default=list(PLAN.train))
    parser.add_argument("--holdout", type=int, nargs="+", default=list(PLAN.holdout))
    parser.add_argument("--test", type=int, default=PLAN.test)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs)
    parser.add_argument("--batch-size", type=int, default=TRAINING.batch_size)
    parser.add_argument("--learning-rate", type=float, default=TRAINING.learning_rate)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--threads", type=int, default=TRAINING.threads)
    parser.add_argument("--policy", choices=[one.value for one in PolicyName], default="delong")
    parser.add_argument("--alpha", type=float, default=VotingSpec().alpha)
    parser.add_argument("--margin", type=float, default=VotingSpec().margin)
    parser.add_argument("--floor", type=float, default=0.5)
    parser.add_argument("--augment", choices=["none", "majority", "both"], default="both")
    parser.add_argument("--no-central", action="store_true")
    parser.add_argument("--write", type=Path, help="put the sums into this page")
    parser.add_argument("--json", action="store_true", help="one JSON line a run")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the simulation; print a line a run and the sums."""
    options = _arguments(argv)
    shape = tuple(options.shape)
    campaign = Campaign(
        ModelSpec(architecture=options.architecture, shape=shape, width=options.width),
        TrainingSpec(
            epochs=options.epochs,
            batch_size=options.batch_size,
            learning_rate=options.learning_rate,
            weight_decay=options.weight_decay,
            threads=options.threads,
            balance=BalanceSpec(
                augment_majority=options.augment != "none",
                augment_minority=options.augment == "both",
            ),
        ),
        VotingSpec(
            policy=PolicyName(options.policy),
            alpha=options.alpha,
            margin=options.margin,
            auc_floor=options.floor,
        ),
        options.cycles,
    )
    cases = load_lidc(shape, cache=options.cache)
    plan = SplitPlan(tuple(options.train), tuple(options.holdout), options.test)
    total = {"honest": Counts(), "sabotaged": Counts()}
    for seed in options.seeds:
        split = split_cases(cases, plan, seed=seed)
        training = campaign.training.model_copy(update={"seed": seed})
        seeded = dataclasses.replace(campaign, training=training)
        if not options.no_central:
            _print(options, seed, "central", run_central(seeded, split, seed=seed))
        for name, sums in total.items():
            counts = run_sequential(seeded, split, seed=seed, sabotage=name == "sabotaged")
            _print(options, seed, name, counts)
            for part in ("honest", "honest_rejected", "sabotaged", "sabotaged_accepted"):
                setattr(sums, part, getattr(sums, part) + getattr(counts, part))
    lines = [
        f"{name} campaigns: {sums.honest_rejected} of {sums.honest} honest candidates rejected,"
        f" {sums.sabotaged_accepted} of {sums.sabotaged} sabotaged candidates accepted"
        for name, sums in total.items()
    ]
    _out("\n".join(lines))
    if options.write:
        _write(options.write, [f"{len(options.seeds)} seeds:", "", *(f"- {one}" for one in lines)])
    _out(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    return 0


def _write(page: Path, lines: Sequence[str]) -> None:
    begin, end = "<!-- bench-votes:begin -->", "<!-- bench-votes:end -->"
    before, _, rest = page.read_text().partition(begin)
    after = rest.partition(end)[2]
    page.write_text("\n".join([before + begin, *lines, end]) + after)


def _print(options: argparse.Namespace, seed: int, name: str, counts: Counts) -> None:
    if options.json:
        _out(json.dumps({"seed": seed, "run": name, **dataclasses.asdict(counts)}))
        return
    _out(
        f"seed {seed} {name:<9} AUC {counts.auc:.3f} {counts.seconds:5.1f} s  "
        f"{' '.join(counts.story)}"
    )


def _out(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
