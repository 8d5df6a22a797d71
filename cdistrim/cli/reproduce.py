"""``cdistrim reproduce``: the paper's experiment on real campaigns."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.cli import endings
from cdistrim.cli.resuming import refuse_empty_ids, refuse_other_options
from cdistrim.errors import ExperimentIncomplete, UsageError
from cdistrim.experiment.names import StudyName
from cdistrim.runs import new_run_id, run_directory

if TYPE_CHECKING:
    from cdistrim.experiment.plan import Experiment
    from flows.experiment import ArmFailure

__all__ = ["reproduce"]


_OF_ANY_RUN = ("study", "jobs", "resume", "runs")


def reproduce(
    context: typer.Context,
    study: StudyName = typer.Argument(help="What to reproduce."),
    data: Path | None = typer.Option(
        None,
        resolve_path=True,
        help="Directory of the data; nodules and iris come with installed packages.",
    ),
    seeds: int = typer.Option(5, min=1, max=100, help="Repeated splits and trainings."),
    first_seed: int = typer.Option(1, min=0, max=2**31 - 100, help="The first of the seeds."),
    scenario: list[int] = typer.Option([], help="Only this one; may be given several times."),
    cycles: int = typer.Option(0, min=0, max=100, help="Turns of each partner; 0: the study's."),
    quick: bool = typer.Option(False, help="Few patients, turns and scenarios: only to try it."),
    replica: bool = typer.Option(
        False, help="As the paper: copies before the split, one cycle, any lower AUC voted down."
    ),
    jobs: int = typer.Option(0, min=0, max=64, help="Arms at a time; 0: as many as cores."),
    resume: str = typer.Option("", help="Continue the run with this id."),
    runs: Path = typer.Option(Path("runs"), help="Where runs are kept."),
    run_id: str = typer.Option("", help="Name of a new run; default: date and time."),
) -> None:
    """Run central training and the paper's six scenarios, each a real campaign, and compare.

    Writes tables 2 or 4 and figures 4 to 7 of the paper, with ours beside the paper's values.
    """
    from cdistrim.experiment.plan import Experiment, ExperimentOptions

    refuse_empty_ids(context)
    if resume:
        run = Experiment.open(run_directory(runs, resume))
        refuse_other_options(context, _OF_ANY_RUN, _started(run))
    else:
        directory = run_directory(runs, run_id or new_run_id())
        if directory.exists():
            raise UsageError(
                f"There is a run {directory.name} already.",
                hint=f"Continue it with --resume {directory.name}.",
            )
        options = ExperimentOptions(
            study=study,
            seeds=tuple(range(first_seed, first_seed + (1 if quick else seeds))),
            scenarios=tuple(dict.fromkeys(scenario)),
            cycles=cycles,
            quick=quick,
            replica=replica,
            data=data,
        )
        run = Experiment(directory, options)
        run.begin()
    if run.options.study is not study:
        raise UsageError(
            f"Run {run.directory.name} is of {run.options.study}, not of {study}.",
            hint=f"Say reproduce {run.options.study}.",
        )
    _run(run, jobs or len(os.sched_getaffinity(0)))


def _started(run: Experiment) -> dict[str, object]:
    """The options that a run was started with, by parameter."""
    options = run.options
    return {
        "seeds": len(options.seeds),
        "first_seed": options.seeds[0],
        "scenario": list(options.scenarios),
        "cycles": options.cycles,
        "quick": options.quick,
        "replica": options.replica,
        "data": options.data,
    }


def _run(run: Experiment, jobs: int) -> None:
    typer.echo(f"run {run.directory.name}  ({run.directory})")
    if run.options.replica:
        from cdistrim.experiment.studies import REPLICA_WARNING

        typer.echo(f"warning: {REPLICA_WARNING}", err=True)
    with run.alone():
        if any(run.result(arm) is None for arm in run.arms):
            _run_missing(run, jobs)
        _write_results(run)


def _write_results(run: Experiment) -> None:
    from cdistrim.experiment.page import show, write_page
    from cdistrim.experiment.results import Results
    from cdistrim.experiment.studies import QUICK_WARNING

    results = Results(run)
    page = write_page(results)
    show(results, sys.stdout)
    typer.echo(f"page: {page}  figures: {page.parent}/figure-*.png")
    if run.options.quick:
        typer.echo(f"note: {QUICK_WARNING}", err=True)


def _run_missing(run: Experiment, jobs: int) -> None:
    """Run what has no result yet.

    Raises:
        ExperimentIncomplete: Not everything came to one.
    """
    try:
        failures = _failures_of(run, jobs)
    except BaseException:
        endings.abandon(f"Continue with: {_continuation(run)}")
        raise
    for failure in failures[:-1]:
        endings.complain(f"{failure.arm}: {failure.what}", failure.hint)
    if failures:
        from cdistrim.report.wording import plural

        last = failures[-1]
        raise ExperimentIncomplete(
            f"{len(failures)} of {plural(len(run.arms), 'model')} came to no result; {last.arm}: "
            f"{last.what}",
            hint=f"{last.hint} What is over is kept. Continue with: {_continuation(run)}".strip(),
        )


def _failures_of(run: Experiment, jobs: int) -> list[ArmFailure]:
    """Run what is missing; Ctrl-C while this is still imported is told like any other."""
    from cdistrim.cli.prefect_environment import embed_prefect

    embed_prefect(run.directory / ".prefect")
    os.environ.setdefault("CDISTRIM_POLL_SECONDS", "0.05")
    # When a run is stopped, Python's tracker tidies up after the processes, and needn't say so.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")

    from cdistrim.experiment.display import showing_progress
    from flows.experiment import run_experiment

    _read_cases(run)  # Once, before several processes would.
    with showing_progress(run, sys.stderr):
        return run_experiment(run.directory, jobs)


def _read_cases(run: Experiment) -> None:
    """Read all cases, which may take minutes, and tell how far that is."""
    from cdistrim.display import choose_display
    from cdistrim.progress import Silent, listen_with
    from cdistrim.report.wording import plural

    display = choose_display(sys.stderr)
    listen_with(display)
    display.note("reading all cases: built once, then out of a cache")
    display.note(f"{plural(len(run.cases), 'case')} read")
    display.finished()
    listen_with(Silent())


def _continuation(run: Experiment) -> str:
    """The command that goes on with a run."""
    command = ["cdistrim", "reproduce", str(run.options.study)]
    if run.directory.parent != Path("runs"):
        command += ["--runs", str(run.directory.parent)]
    return shlex.join([*command, "--resume", run.directory.name])
