"""Fuzz and invariant tests at length, with the profile ``deep`` of foundry.toml.

Each invariant has to be called 100,000 times at least; a handler that reverts is a failure. The
result goes into ``docs/contract.md``. The seed is foundry.toml's, so that a result can be repeated;
``--seed`` takes another one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable

from contracts.audit.forge import PAGE, AuditFailed, Outcome, fill, outcomes_of, say, table, today

NEEDED_CALLS = 100_000
HEAD = ("test", "runs", "calls", "reverts")


def rows(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """One row a test; a fuzz test makes one call a run."""
    found = []
    for one in sorted(outcomes, key=lambda one: (one.contract, one.name)):
        name = f"`{one.contract}.{one.name}`"
        if "Invariant" in one.kind:
            counts = one.kind["Invariant"]
            cells = (counts["runs"], counts["calls"], counts["reverts"])
            found.append((name, *(f"{count:,}" for count in cells)))
        elif "Fuzz" in one.kind:
            runs = f"{one.kind['Fuzz']['runs']:,}"
            found.append((name, runs, runs, "-"))
    return found


def shallow(outcomes: Iterable[Outcome]) -> list[str]:
    """Invariants that were called too seldom, or whose handler reverted."""
    found = []
    for one in outcomes:
        counts = one.kind.get("Invariant")
        if counts is None:
            continue
        if counts["calls"] < NEEDED_CALLS:
            found.append(f"{one.name}: {counts['calls']:,} calls, needed are {NEEDED_CALLS:,}")
        if counts["reverts"]:
            found.append(f"{one.name}: its handler reverted {counts['reverts']:,} times")
    return found


def main() -> int:
    """Run them; print and write."""
    parser = argparse.ArgumentParser(prog="python -m contracts.audit.deep", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the result into the page")
    parser.add_argument("--seed", help="another seed than foundry.toml's, like 0x1234")
    arguments = parser.parse_args()
    seed = ["--fuzz-seed", arguments.seed] if arguments.seed else []
    began = time.monotonic()
    try:
        outcomes = outcomes_of("--match-test", "^(testFuzz|invariant)_", *seed, profile="deep")
        problems = shallow(outcomes)
        if not any("Invariant" in one.kind for one in outcomes):
            problems.append("there is no invariant")
        if problems:
            raise AuditFailed("\n".join(problems))
        minutes, seconds = divmod(round(time.monotonic() - began), 60)
        calls = sum(int(row[2].replace(",", "")) for row in rows(outcomes))
        summary = (
            f"{today('contracts-deep')}: {calls:,} calls, no failure, {minutes} min {seconds} s"
            f"{f', seed {arguments.seed}' if arguments.seed else ''}."
        )
        lines = [summary, "", *table(HEAD, rows(outcomes))]
        say(*lines)
        if arguments.write:
            fill(PAGE, "contracts-deep", lines)
    except AuditFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
