"""Partners that differ: sequential against central training, and what helps.

The kinds of partners are those of `cdistrim/experiment/partitions.py`, the ways to train some of
`bench/training_choices.py`. Central training sees the same cases: the partners', as they are at
their scanners.

    python -m bench.heterogeneity --write docs/training.md
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from typing import Any

from bench.training_choices import (
    BASE,
    CENTRAL,
    CHOICES,
    Run,
    arguments,
    complete,
    interval,
    write_table,
)
from cdistrim.experiment.partitions import PARTITIONS

BEGIN, END = "<!-- heterogeneity:begin -->", "<!-- heterogeneity:end -->"
WAYS = (
    BASE.name,
    "group norm",
    "rate falls over the campaign",
    "group norm, rate falls over the campaign",
    "4 cycles of 2 epochs",
    "group norm, 4 cycles of 2 epochs",
    "group norm, 4 cycles of 2 epochs, rate falls over the campaign",
)


def central_of(way: str, kind: str, seed: int) -> Run:
    """The central training that a run is compared with: one for all kinds with the same images."""
    name = CHOICES[way].central or way
    return Run(name, seed, f"{CENTRAL}scanners" if kind == "scanners" else 0)


def wanted(ways: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """All runs, kind after kind."""
    runs = [
        run
        for kind in PARTITIONS
        for way in ways
        for seed in seeds
        for run in (central_of(way, kind, seed), Run(way, seed, kind))
    ]
    return list(dict.fromkeys(runs))


def table(found: dict[str, dict[str, Any]], ways: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """A row a kind and way: the AUCs, and their difference with its interval."""
    lines = [
        f"{len(seeds)} seeds; difference of the AUCs with its 95 % interval over the seeds (t).",
        "",
        "| partners | training | central AUC | sequential AUC | sequential - central |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in PARTITIONS:
        for way in ways:
            pairs = [
                (found[run.key]["auc"], found[central.key]["auc"])
                for seed in seeds
                if (run := Run(way, seed, kind)).key in found
                and (central := central_of(way, kind, seed)).key in found
            ]
            if not pairs:
                continue
            sequential, pooled = zip(*pairs, strict=True)
            cells = [
                f"`{kind}`",
                way,
                f"{statistics.mean(pooled):.3f}",
                f"{statistics.mean(sequential):.3f}",
                interval([one - other for one, other in pairs]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Do what is not done yet, and print or write the table."""
    options = arguments(__doc__ or "", WAYS)
    found = complete(wanted(options.choices, options.seeds), options.jobs)
    write_table(table(found, options.choices, options.seeds), options.write, BEGIN, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
