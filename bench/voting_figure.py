"""Draw acceptance against the true difference: ``make bench-policy`` does, after counting.

Lines are :func:`cdistrim.odds.acceptance`, marks what :mod:`bench.voting_ballots` counted, with
95 % intervals.

python -m bench.voting_figure
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from bench.voting_ballots import BALANCED, CANDIDATES, HEAD_AUC, WHOLE, BallotResult, Cast
from bench.voting_counts import load
from bench.voting_tables import rate_of
from cdistrim.odds import acceptance
from cdistrim.spec import VotingSpec

FIGURE = Path("docs/images/voting-policy.png")
COUNTS = Path("bench/voting_ballots.csv")
MARKED = [one for one, area in CANDIDATES.items() if area > HEAD_AUC - 0.2]
STYLES = (
    ("#E69F00", "-", "o"),
    ("#0072B2", "--", "s"),
    ("#009E73", "-.", "^"),
    ("#000000", ":", "D"),
)
"""Colours that are told apart by everybody (Okabe and Ito), and dashes and marks besides."""
ROWS = ((Cast.HONEST, None), (Cast.LIAR, True))


def main(argv: Sequence[str] | None = None) -> int:
    """Draw it."""
    parser = argparse.ArgumentParser(prog="python -m bench.voting_figure", description=__doc__)
    parser.add_argument("--counts", type=Path, default=COUNTS)
    parser.add_argument("--out", type=Path, default=FIGURE)
    options = parser.parse_args(argv)
    find = rate_of(load(options.counts, BallotResult))
    rule = VotingSpec(min_cases_per_class=2)
    differences = np.linspace(-0.18, 0.06, 97)
    figure, axes = plt.subplots(
        len(ROWS), len(BALANCED), figsize=(10, 6.4), sharex=True, sharey=True, layout="constrained"
    )
    for (cast, false_vote), row in zip(ROWS, axes, strict=True):
        for holdout, panel in zip(BALANCED, row, strict=True):
            panel.axvline(0, color="0.85", linewidth=1)
            for group, (colour, dashes, mark) in zip(WHOLE, STYLES, strict=True):
                size = (holdout.positives, holdout.negatives)
                line = [
                    acceptance(
                        rule, [size] * group.partners, HEAD_AUC + each, false_vote=false_vote
                    )
                    for each in differences
                ]
                label = f"{group.partners} partners"
                panel.plot(differences, line, dashes, color=colour, linewidth=1.6, label=label)
                for candidate in MARKED:
                    rate = find(group, holdout, candidate, cast)
                    if rate is None:
                        continue
                    low, high = rate.interval
                    panel.errorbar(
                        CANDIDATES[candidate] - HEAD_AUC,
                        rate.value,
                        yerr=[[max(0.0, rate.value - low)], [max(0.0, high - rate.value)]],
                        fmt=mark,
                        color=colour,
                        markersize=4,
                        capsize=2,
                    )
            panel.grid(axis="y", color="0.92")
            panel.set_axisbelow(True)
            panel.set_ylim(-0.03, 1.03)
    for holdout, panel in zip(BALANCED, axes[0], strict=True):
        panel.set_title(f"{holdout.cases} hold-out cases each")
    for (cast, _), row in zip(ROWS, axes, strict=True):
        row[0].set_ylabel(f"accepted\n({cast.value})")
    for panel in axes[-1]:
        panel.set_xlabel("true AUC, candidate minus head")
    axes[0][0].legend(loc="lower right", frameon=False)
    figure.suptitle(
        f"How often a candidate is accepted: delong, alpha {rule.alpha:g}, strict majority"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110, metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
