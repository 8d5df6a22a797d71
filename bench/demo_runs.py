"""Run the demo as a user does, and read the figures off its report and its process tree."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.hop import HOP_LABEL, hops_of

__all__ = ["DemoRun", "measure_demos"]


@dataclass(frozen=True)
class DemoRun:
    """Figures of one run. Seconds are wall time, memory is of the whole process tree in GiB."""

    seed: int
    seconds: float
    peak_gib: float
    hop_seconds: list[float]
    gas_per_slot: list[int]
    planned: int
    accepted: int
    sequential: tuple[float, float, float]
    central: tuple[float, float, float]
    difference: tuple[float, float, float]

    def figures(self) -> dict[str, Any]:
        """For ``results.json``."""
        return asdict(self)

    @staticmethod
    def rows(runs: Any) -> list[str]:  # noqa: ANN401  as read from JSON
        """Rows of the README's table."""
        hops = [hop for run in runs for hop in run["hop_seconds"]]
        gas = [one for run in runs for one in run["gas_per_slot"]]
        accepted = ", ".join(f"{run['accepted']} of {run['planned']}" for run in runs)
        wall = statistics.median(run["seconds"] for run in runs)
        peak = max(run["peak_gib"] for run in runs)
        rows = {
            f"`make demo` after set-up, wall time (median of {len(runs)} runs)": f"{wall:.0f} s",
            "its peak memory, all processes": f"{peak:.1f} GiB",
            HOP_LABEL.format("the demo's model"): f"{statistics.median(hops):.1f} s, "
            f"{max(hops):.1f} s",
            "gas a slot (median, maximum)": f"{statistics.median(gas):,.0f}, {max(gas):,}",
            "slots accepted": accepted,
        }
        for run in runs:
            rows[f"AUC (95 % CI), seed {run['seed']}: sequential; central; difference"] = (
                f"{_interval(run['sequential'])}; {_interval(run['central'])}; "
                f"{_signed(run['difference'])}"
            )
        return [f"| {label} | {value} |" for label, value in rows.items()]


def _interval(figure: Sequence[float]) -> str:
    return f"{figure[0]:.3f} ({figure[1]:.2f} to {figure[2]:.2f})"


def _signed(figure: Sequence[float]) -> str:
    return f"{figure[0]:+.3f} ({figure[1]:+.3f} to {figure[2]:+.3f})"


def measure_demos(seeds: Sequence[int]) -> Iterator[DemoRun]:
    """One demo a seed, one after the other, each in a directory that is removed afterwards."""
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="cdistrim-bench-") as directory:
            yield _measure(seed, Path(directory))


def _measure(seed: int, directory: Path) -> DemoRun:
    program = Path(sys.executable).parent / "cdistrim"
    command = [str(program), "demo", f"--seed={seed}", f"--runs={directory}", "--run-id=bench"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # noqa: S603
    peak = 0
    while process.poll() is None:
        peak = max(peak, _tree_memory(process.pid))
        time.sleep(0.5)
    seconds = time.monotonic() - began
    report_file = directory / "bench" / "report.json"
    if not report_file.exists():
        shutil.copyfileobj(process.stderr, sys.stderr.buffer)  # type: ignore[arg-type]
        raise SystemExit(f"The demo with seed {seed} wrote no report.")
    report = json.loads(report_file.read_bytes())
    return DemoRun(
        seed=seed,
        seconds=seconds,
        peak_gib=peak / 2**30,
        hop_seconds=hops_of(sorted((directory / "bench").glob("hospital-*"))),
        gas_per_slot=[slot["gas"] for slot in report["slots"]],
        planned=report["totals"]["planned"],
        accepted=report["totals"]["accepted"],
        sequential=_figure(report["sequential"]["auc"]),
        central=_figure(report["central"]["auc"]),
        difference=_figure(report["comparison"]["difference"]),
    )


def _figure(interval: dict[str, float]) -> tuple[float, float, float]:
    return interval["value"], interval["low"], interval["high"]


def _tree_memory(root: int) -> int:
    """Resident bytes of a process and all its descendants (shared pages count once a process)."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            pages = int((entry / "statm").read_text().split()[1])
        except OSError:
            continue  # It ended while we looked.
        parents[int(entry.name)] = int(fields[1])
        resident[int(entry.name)] = pages * 4096
    total = 0
    for pid in resident:
        ancestor = pid
        while ancestor not in (root, 0, 1):
            ancestor = parents.get(ancestor, 0)
        total += resident[pid] if ancestor == root else 0
    return total
