"""Which share of ``contracts/src`` the forge tests reach; each file needs 95 per cent.

forge measures with the optimiser and the IR pipeline off, whatever foundry.toml says. Where the
compiler then runs out of stack, it is asked again with ``--ir-minimum``, which works always, takes
longer, and may misplace some lines.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from contracts.audit.forge import (
    CONTRACTS,
    PAGE,
    AuditFailed,
    fill,
    forge,
    say,
    table,
    today,
    writes,
)

NEEDED = 0.95
REPORT = CONTRACTS / "out" / "coverage.lcov"
KINDS = {"lines": ("LF", "LH"), "branches": ("BRF", "BRH"), "functions": ("FNF", "FNH")}
# Code that counts its branches needs more than the gas that forge gives a test.
GAS = str(2**63 - 1)
# These look at the very code that is shipped, which the unoptimised code for coverage is not.
ABOUT_SHIPPED_CODE = ("--no-match-contract", "GasTest|ArtifactsTest")


@dataclass
class Source:
    """Counts of one file, found and hit by kind, and where nothing was hit."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    missed: list[str] = field(default_factory=list)

    def share(self, kind: str) -> float:
        """What was reached of a kind; all, where there is none."""
        found, hit = (self.counts[key] for key in KINDS[kind])
        return hit / found if found else 1.0

    def cell(self, kind: str) -> str:
        """The same for a table."""
        found, hit = (self.counts[key] for key in KINDS[kind])
        return f"{self.share(kind):.1%} ({hit}/{found})"


def read_lcov(report: str) -> dict[str, Source]:
    """Sources under ``src/`` of an LCOV trace file.

    Source: geninfo(1), "Tracefile format".
    """
    sources: dict[str, Source] = {}
    present = Source()
    for line in report.splitlines():
        key, _, value = line.partition(":")
        if key == "SF":
            present = Source()
            if value.startswith("src/"):
                sources[value] = present
        elif key == "DA":
            number, hits = value.split(",")[:2]
            if hits == "0":
                present.missed.append(f"line {number}")
        elif key == "BRDA":
            number, _, _, taken = value.split(",")
            if taken in ("0", "-"):
                present.missed.append(f"a branch of line {number}")
        elif any(key in pair for pair in KINDS.values()):
            present.counts[key] += int(value)
    return sources


def measure() -> dict[str, Source]:
    """Run the tests with coverage."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    asked = (
        "coverage",
        *("--report", "lcov", "--report-file", str(REPORT)),
        *("--gas-limit", GAS),
        *ABOUT_SHIPPED_CODE,
    )
    done = forge(*asked, profile="coverage")
    # With a capital: forge itself names the remedy in small letters on every run.
    if done.returncode != 0 and "Stack too deep" in done.stdout + done.stderr:
        say("Out of stack without the IR pipeline: measured with --ir-minimum.")
        done = forge(*asked, "--ir-minimum", profile="coverage")
    if done.returncode != 0 or not REPORT.exists():
        raise AuditFailed(f"no coverage:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return read_lcov(REPORT.read_text(encoding="utf-8"))


def rows(sources: Mapping[str, Source]) -> list[tuple[str, ...]]:
    """One row a file, and one for all of them."""
    whole = Source()
    for source in sources.values():
        for key, count in source.counts.items():
            whole.counts[key] += count
    named = [*sorted(sources.items()), ("all", whole)]
    return [(name, *(source.cell(kind) for kind in KINDS)) for name, source in named]


def main() -> int:
    """Measure, print, judge, write."""
    write = writes("contracts.audit.coverage", __doc__)
    try:
        sources = measure()
        lines = table(("file", *KINDS), rows(sources))
        say(*lines)
        if write:
            fill(PAGE, "coverage", [f"{today('coverage')}:", "", *lines])
    except AuditFailed as failure:
        sys.stderr.write(f"{failure}\n")
        return 1
    missed = [f"{name}: {what}" for name, source in sources.items() for what in source.missed]
    if missed:
        say("Not reached:", *missed)
    low = [
        f"{name}: {kind} {source.cell(kind)}, needed are {NEEDED:.0%}"
        for name, source in sources.items()
        for kind in KINDS
        if source.share(kind) < NEEDED
    ]
    if low or not sources:
        sys.stderr.write("\n".join(low or ["nothing under src/ was measured"]) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
