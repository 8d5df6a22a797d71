"""Measure what the README says, and write it there: ``make bench``.

Runs the demo with three seeds, times a hop with a model of 33 M parameters, and encrypts a model
beside openssl. Takes ten minutes or more on two cores that have nothing else to do; ``--only``
picks a part, and leaves what was measured of the others.
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
from bench.envelope import EnvelopeSpeed, measure_envelope
from bench.hop import LargeHop, measure_large_hop

README = Path("README.md")
RESULTS = Path("bench/results.json")
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
SEEDS = (2020, 2021, 2022)
PARTS = ("demo", "hop", "envelope")


def main() -> int:
    """Run the parts that were asked for; write results and README."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=(*PARTS, "readme"), help="one part only")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if arguments.only in (None, "demo"):
        results["demo"] = [run.figures() for run in measure_demos(SEEDS)]
    if arguments.only in (None, "hop"):
        results["hop"] = measure_large_hop().figures()
    if arguments.only in (None, "envelope"):
        results["envelope"] = measure_envelope().figures()
    if arguments.only != "readme":
        measured = PARTS if arguments.only is None else (arguments.only,)
        results["machine"] = results.get("machine", {}) | dict.fromkeys(measured, _machine())
        RESULTS.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
    text = README.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{_table(results)}\n{END}{after}")
    sys.stdout.write(_table(results) + "\n")
    return 0


def _machine() -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "date": f"{datetime.now(tz=UTC):%Y-%m-%d}",
    }


def _when(machines: dict[str, dict[str, Any]]) -> str:
    """Where and when the parts were measured; those of one day are told together."""
    parts: dict[str, list[str]] = {}
    for part in PARTS:
        if part in machines:
            where = f"on {machines[part]['cores']} cores, {machines[part]['date']}"
            parts.setdefault(where, []).append(part)
    if len(parts) == 1:
        return f"Measured by `make bench` {next(iter(parts))}."
    told = [f"{' and '.join(names)} {where}" for where, names in parts.items()]
    return f"Measured by `make bench`: {'; '.join(told)}."


def _table(results: dict[str, Any]) -> str:
    lines = [
        _when(results["machine"]),
        "",
        "| figure | value |",
        "| --- | --- |",
    ]
    if "demo" in results:
        lines += DemoRun.rows(results["demo"])
    if "hop" in results:
        lines += LargeHop.rows(results["hop"])
    if "envelope" in results:
        lines += EnvelopeSpeed.rows(results["envelope"])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
