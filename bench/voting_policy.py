"""How often a vote is right, by number of partners, hold-out and rule: ``make bench-policy``.

Simulated scores, the library's own policy and counting: :mod:`bench.voting_ballots`,
:mod:`bench.voting_small` and :mod:`bench.voting_campaigns`. Writes what was counted beside this
file, and from it the tables of ``docs/voting.md``. Takes about 25 minutes on one core; ``--quick``
half a minute, with intervals to match; ``--only`` picks a part and leaves what was counted of the
others.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.paired_scores import HoldOut
from bench.voting_ballots import (
    ALPHAS,
    BALANCED,
    BETWEEN,
    CANDIDATES,
    CHOSEN,
    UNBALANCED,
    BallotResult,
    form_opinions,
    measure_ballots,
)
from bench.voting_campaigns import STORIES, CampaignResult, measure_campaign
from bench.voting_counts import load, save
from bench.voting_small import SmallResult, compare_small
from bench.voting_tables import fill_in
from cdistrim.spec import PolicyName, VotingSpec

SEED = 2020
PAGE = Path("docs/voting.md")
FILES = Path("bench")
PARTS = ("ballots", "small", "campaigns")


@dataclass(frozen=True)
class Sweep:
    """How many campaigns of each kind, and over which rules."""

    campaigns: int
    alphas: tuple[float, ...]
    margins: tuple[float, ...]


FULL = Sweep(48, ALPHAS, (0.02, 0.05, 0.10))
QUICK = Sweep(2, (CHOSEN,), (VotingSpec().margin,))


def main(argv: Sequence[str] | None = None) -> int:
    """Count, write down, and fill in the page."""
    parser = argparse.ArgumentParser(prog="python -m bench.voting_policy", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few votes, few campaigns")
    parser.add_argument("--only", choices=(*PARTS, "page"), help="one part only")
    parser.add_argument("--files", type=Path, default=FILES, help="where the counts are kept")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page with the tables")
    options = parser.parse_args(argv)
    votes, sweep = (280, QUICK) if options.quick else (30_000, FULL)
    if options.only in (None, "ballots"):
        save(options.files / "voting_ballots.csv", _ballots(votes))
    if options.only in (None, "small"):
        save(options.files / "voting_small.csv", _small(votes))
    if options.only in (None, "campaigns"):
        save(options.files / "voting_campaigns.csv", _campaigns(sweep))
    fill_in(
        options.page,
        load(options.files / "voting_ballots.csv", BallotResult),
        load(options.files / "voting_small.csv", SmallResult),
        load(options.files / "voting_campaigns.csv", CampaignResult),
    )
    return 0


def _ballots(votes: int) -> Iterator[BallotResult]:
    for holdout in BALANCED:
        yield from measure_ballots(holdout, list(CANDIDATES), votes=votes, seed=SEED)
    for holdout in (*BETWEEN, *UNBALANCED):
        yield from measure_ballots(holdout, ["0", "-0.05", "-0.10"], votes=votes, seed=SEED)


def _small(votes: int) -> Iterator[SmallResult]:
    rule = VotingSpec(alpha=CHOSEN, min_cases_per_class=2)
    pools = {}
    for holdout in sorted((*BALANCED, *BETWEEN), key=lambda one: one.cases):
        good, bad = (
            form_opinions(holdout, candidate, votes=votes // 2, seed=SEED + 1)[rule]
            for candidate in ("0", "-0.10")
        )
        pools[holdout] = good, bad
    yield from compare_small(pools, ballots=4_000, seed=SEED)


def _campaigns(sweep: Sweep) -> Iterator[CampaignResult]:
    middle = HoldOut(25, 25)

    def run(
        story: str, partners: int, holdout: HoldOut, voting: VotingSpec, **more: bool
    ) -> CampaignResult:
        return measure_campaign(
            story, partners, holdout, voting, campaigns=sweep.campaigns, seed=SEED, **more
        )

    for story in ("creep", "equal"):
        for partners in (4, 7):
            for alpha in sweep.alphas:
                for margin in sweep.margins:
                    rule = VotingSpec(alpha=alpha, margin=margin, min_cases_per_class=2)
                    yield run(story, partners, middle, rule)
                yield run(story, partners, middle, rule, creep_test=False)
    chosen = VotingSpec(alpha=CHOSEN, min_cases_per_class=2)
    bare = chosen.model_copy(update={"auc_floor": 0.0})
    strict = chosen.model_copy(update={"policy": PolicyName.STRICT})
    for partners in (4, 7):
        yield run("creep", partners, middle, bare, creep_test=False)
        yield run("creep", partners, middle, chosen, liar=True)
        for story in STORIES:
            yield run(story, partners, middle, strict)
    for partners in (3, 4, 7, 15):
        for holdout in BALANCED if partners < 15 else (middle,):
            for story in STORIES:
                if story != "improving" and partners in (4, 7) and holdout == middle:
                    continue  # Among the rules that were swept over.
                yield run(story, partners, holdout, chosen)


if __name__ == "__main__":
    sys.exit(main())
