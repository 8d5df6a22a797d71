"""An experiment's results as a page: the paper's table with ours beside it, figures, caveats.

``results.md`` for people, ``results.json`` for whoever computes on; the same figures in both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from cdistrim.experiment.figures import draw_figures
from cdistrim.experiment.names import StudyName
from cdistrim.experiment.paper import CENTRAL
from cdistrim.experiment.plan import Experiment
from cdistrim.experiment.results import AIM, MARGIN, Results, Summary
from cdistrim.report.measured import software_versions
from cdistrim.report.wording import plural
from cdistrim.site import write_atomically
from cdistrim.statistics import BootstrapInterval, NonInferiorityVerdict

__all__ = ["command_of", "show", "table_rows", "write_page"]

_WIDE = 150
"""Columns that the whole table needs."""

HEADINGS = (
    "model",
    "partners' patients",
    "AUC in the paper",
    "DeLong p in the paper",
    "AUC, ours",
    "sequential - central",
    "DeLong p, ours",
    f"no worse by {MARGIN:g}",
    f"… by {AIM:g}",
    "accepted",
)


def command_of(experiment: Experiment) -> str:
    """The command that makes these results."""
    options = experiment.options
    parts = ["cdistrim", "reproduce", str(options.study)]
    if options.data is not None:
        parts += ["--data", "DIR"]
    if options.quick:
        parts.append("--quick")
    else:
        parts += ["--seeds", str(len(options.seeds))]
    if options.seeds[0] != 1:
        parts += ["--first-seed", str(options.seeds[0])]
    if options.replica:
        parts.append("--replica")
    if options.cycles:
        parts += ["--cycles", str(options.cycles)]
    for number in options.scenarios:
        parts += ["--scenario", str(number)]
    return " ".join(parts)


def table_rows(results: Results) -> list[tuple[str, ...]]:
    """Cells below :data:`HEADINGS`, row by row."""
    return [_row(results, one) for one in results.summaries]


def write_page(results: Results) -> Path:
    """Write tables and figures into the run's directory; the page's path."""
    directory = results.experiment.directory
    figures = draw_figures(results, directory)
    write_atomically(
        directory / "results.json", json.dumps(_document(results), indent=1).encode() + b"\n"
    )
    page = directory / "results.md"
    write_atomically(page, _markdown(results, figures).encode())
    return page


def show(results: Results, stream: TextIO) -> None:
    """Print the table; on a narrow terminal a block a model."""
    console = Console(file=stream, highlight=False)
    rows = table_rows(results)
    if console.width < _WIDE:
        for row in rows:
            console.print(row[0], style="bold")
            for heading, cell in zip(HEADINGS[1:], row[1:], strict=True):
                if cell:
                    console.print(f"  {heading}: {cell}", markup=False)
        return
    table = Table(box=box.SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _row(results: Results, one: Summary) -> tuple[str, ...]:
    central = one.scenario == CENTRAL
    name = "central" if central else f"scenario {one.scenario}"
    classes = results.experiment.study.classes
    printed = one.printed
    cells = [
        name if len(classes) == 1 else f"{name}, {one.class_name}",
        str(results.experiment.study.patients) if central else ", ".join(map(str, one.partners)),
        "" if printed is None else f"{printed.auc:.2f} ({printed.low:.2f}-{printed.high:.2f})",
        "" if printed is None or printed.p is None else f"{printed.p:.3f}",
        _interval(one.interval, signed=False),
    ]
    if central:
        return (*cells, "", "", "", "", "")
    ps = [figures.test.p for figures in one.seeds]
    arms = [results.arms[figures.seed, one.scenario] for figures in one.seeds]
    return (
        *cells,
        _interval(one.difference_interval, signed=True),
        f"{np.median(ps):.2f} ({min(ps):.2f}-{max(ps):.2f})" if len(ps) > 1 else f"{ps[0]:.3f}",
        *_verdicts(None if results.experiment.options.quick else one.verdict),
        f"{sum(arm.accepted for arm in arms)} of {sum(arm.slots for arm in arms)}",
    )


def _interval(found: BootstrapInterval, *, signed: bool) -> str:
    if signed:
        return f"{found.estimate:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
    return f"{found.estimate:.3f} ({found.low:.3f}-{found.high:.3f})"


def _verdicts(verdict: NonInferiorityVerdict | None) -> tuple[str, str]:
    """For the margin, and for the aim; none where no resample differs, or a run was quick."""
    if verdict is None:
        return "no verdict", "no verdict"
    shown, aim = ("shown" if one else "not shown" for one in (verdict.shown, verdict.aim_shown))
    return shown, aim


def _markdown(results: Results, figures: Iterable[Path]) -> str:
    experiment = results.experiment
    study = experiment.study
    table = 4 if study.name is StudyName.IRIS else 2
    accepted, slots = results.accepted
    made = (
        f"Made by `{command_of(experiment)}`: {plural(len(results.seeds), 'seed')}, "
        f"{experiment.cycles} cycles, {study.patients} patients for training and votes "
        f"({study.holdout:.0%} of each partner's are its hold-out), {study.test} for the test. "
        "Each scenario is a real campaign: chain, contract, shared keys, votes. “The paper” is "
        "Zerka et al. 2020, doi 10.1109/ACCESS.2020.3029445."
    )
    ours = (
        "Ours: mean over the seeds, with 95 % intervals by a bootstrap over seeds and patients; "
        "DeLong's p against central training, median and range over the seeds. Where all of a "
        "model's AUCs are 1, its interval is the exact one for so few cases. “Shown”: the lower "
        "end of the difference's interval lies above minus the margin. A p above 0.05 shows "
        "nothing of that kind. Where no resample differs there is no verdict: too few test cases."
    )
    votes = (
        f"All {slots} candidates were accepted."
        if accepted == slots
        else f"Accepted: {accepted} of {slots} candidates. The others were voted down and their "
        "partners skipped, as the protocol has it."
    )
    times = (
        f"The owners' turns took {1 + results.protocol_share:.2f} times as long as their training "
        "alone; the rest is the protocol: tokens, votes, encryption, transport, Prefect, with one "
        "machine for all hospitals."
    )
    lines = [
        f"# {study.title}",
        made,
        *experiment.loaded.notes,
        f"## The paper's table {table}, and ours",
        "\n".join(
            [
                f"| {' | '.join(HEADINGS)} |",
                f"|{' --- |' * len(HEADINGS)}",
                *(f"| {' | '.join(row)} |" for row in table_rows(results)),
            ]
        ),
        ours,
        votes,
        times,
        *_calibration_part(results),
        "## Figures",
        *(f"![{path.stem}]({path.name})" for path in figures),
        "## What this does not show",
        "\n".join(f"- {caveat}" for caveat in study.caveats),
        "## Made with",
        ", ".join(f"{name} {version}" for name, version in software_versions().items()) + ".",
    ]
    return "\n\n".join(lines) + "\n"


def _calibration_part(results: Results) -> list[str]:
    rows = results.calibrations
    if not rows:
        return []
    told = (
        "Scores of the final models on the test set, as they are and scaled on "
        f"{plural(results.experiment.study.calibration, 'patient')} that nobody trained on or "
        "voted with: Brier score and expected calibration error, means over the seeds."
    )
    lines = ["| model | scores | Brier | ECE |", "| --- | --- | --- | --- |"]
    for one in rows:
        name = "central" if one.scenario == CENTRAL else f"scenario {one.scenario}"
        lines.append(f"| {name} | {one.way} | {one.brier:.3f} | {one.ece:.3f} |")
    return ["## Calibration", told, "\n".join(lines)]


def _document(results: Results) -> dict[str, Any]:
    experiment = results.experiment
    return {
        "command": command_of(experiment),
        "study": experiment.options.study,
        "seeds": list(results.seeds),
        "cycles": experiment.cycles,
        "versions": software_versions(),
        "protocol_over_training": results.protocol_share,
        "rows": [_record(results, one) for one in results.summaries],
        "calibration": [
            {"scenario": c.scenario, "scores": c.way, "brier": c.brier, "ece": c.ece}
            for c in results.calibrations
        ],
        "auc_by_slot": {
            str(number): [
                [None if np.isnan(area) else float(area) for area in seed]
                for seed in results.curve(number)
            ]
            for number in experiment.scenarios
        },
    }


def _record(results: Results, one: Summary) -> dict[str, Any]:
    record: dict[str, Any] = {
        "scenario": one.scenario,
        "class": one.class_name,
        "partners": list(one.partners),
        "auc": _plain(one.interval),
        "auc_by_seed": [figures.interval.auc for figures in one.seeds],
    }
    if one.scenario == CENTRAL:
        return record
    return record | {
        "difference": _plain(one.difference_interval),
        "difference_by_seed": [figures.test.difference for figures in one.seeds],
        "delong_p_by_seed": [figures.test.p for figures in one.seeds],
        "accepted": sum(results.arms[figures.seed, one.scenario].accepted for figures in one.seeds),
        "slots": sum(results.arms[figures.seed, one.scenario].slots for figures in one.seeds),
    }


def _plain(found: BootstrapInterval) -> list[float]:
    return [found.estimate, found.low, found.high]
