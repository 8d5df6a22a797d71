"""Measure what the README says, and write it there: ``make bench``.

Runs the demo with three seeds and times a hop with a model of 33 M parameters. Takes ten minutes or
more on two cores that have nothing else to do; ``--only`` picks a part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.demo_runs import DemoRun, measure_demos
from bench.hop import LargeHop, measure_large_hop

README = Path("README.md")
RESULTS = Path("bench/results.json")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
SEEDS = (2020, 2021, 2022)


def main() -> int:
    """Run the parts that were asked for; write results and README."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=("demo", "hop", "readme"), help="one part only")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.only in (None, "demo"):
        results["demo"] = [run.figures() for run in measure_demos(SEEDS)]
    if arguments.only in (None, "hop"):
        results["hop"] = measure_large_hop().figures()
    if arguments.only != "readme":
        results["machine"] = {
            "cores": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
        }
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{_table(results)}\n{END}{after}")
    sys.stdout.write(_table(results) + "\n")
    return 0


def _table(results: dict[str, Any]) -> str:
    machine = results["machine"]
    lines = [
        f"Measured by `make bench` on {machine['cores']} cores, {machine['date']}.",
        "",
        "| figure | value |",
        "| --- | --- |",
    ]
    if "demo" in results:
        lines += DemoRun.rows(results["demo"])
    if "hop" in results:
        lines += LargeHop.rows(results["hop"])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
