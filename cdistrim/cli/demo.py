"""``cdistrim demo``: four hospitals, real data, real chain, real votes, one command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.cli import endings
from cdistrim.cli.resuming import refuse_empty_ids, refuse_other_options
from cdistrim.demo_options import CHAIN, SEED, DemoOptions, continuation
from cdistrim.errors import UsageError
from cdistrim.runs import new_run_id, run_directory
from cdistrim.spec import PolicyName, VotingMode

if TYPE_CHECKING:
    from cdistrim.demonstration import Demonstration
    from cdistrim.display import Display

__all__ = ["demo"]

_OF_ANY_RUN = ("resume", "runs")


def demo(
    context: typer.Context,
    sabotage: str = typer.Option("", help="Flip this hospital's training labels, e.g. hospital-3."),
    resume: str = typer.Option("", help="Continue the run with this id from the ledger."),
    mode: VotingMode = typer.Option(VotingMode.HOLDOUT, help="On what evidence partners vote."),
    policy: PolicyName = typer.Option(PolicyName.DELONG, help="How a voter forms its opinion."),
    cycles: int = typer.Option(0, min=0, max=20, help="Turns of each hospital; 0: as shipped."),
    seed: int = typer.Option(
        SEED, min=0, max=2**31, help="Of the split, the genesis model and the training."
    ),
    central: bool = typer.Option(True, help="Train on the pooled data too, to compare."),
    runs: Path = typer.Option(Path("runs"), help="Where runs are kept."),
    store: str = typer.Option("", help="Store URL, e.g. gs://bucket/path; default: in the run."),
    run_id: str = typer.Option("", help="Name of a new run; default: date and time."),
) -> None:
    """Run a campaign of four hospitals on LIDC-IDRI nodules and write its report."""
    refuse_empty_ids(context)
    if resume:
        refuse_other_options(context, _OF_ANY_RUN)
        directory = run_directory(runs, resume)
        options = DemoOptions.load(directory)
    else:
        options = DemoOptions(
            sabotage=sabotage,
            mode=mode,
            policy=policy,
            cycles=cycles or DemoOptions().cycles,
            seed=seed,
            central=central,
            store=store,
        )
        directory = run_directory(runs, run_id or new_run_id())
        if directory.exists():
            raise UsageError(
                f"There is a run {directory.name} already.",
                hint=f"Continue it with `{continuation(directory)}`.",
            )
    options.check()
    options.save(directory)
    _run(directory, options)


def _run(directory: Path, options: DemoOptions) -> None:
    from cdistrim.cli.prefect_environment import embed_prefect

    typer.echo(f"run {directory.name}  ({directory})")
    # The server starts while the imports below take their seconds.
    embed_prefect(directory.parent / ".prefect")
    os.environ.setdefault("CDISTRIM_POLL_SECONDS", "0.05")

    from cdistrim.cli.outcome import end_with
    from cdistrim.demonstration import Demonstration
    from cdistrim.devnet import CHAIN_ID, Devnet
    from cdistrim.display import choose_display, show_table
    from cdistrim.progress import listen_with

    demonstration = Demonstration(directory, options)
    display = choose_display(sys.stderr)
    listen_with(display)
    try:
        with Devnet(directory / CHAIN) as chain:
            display.note(f"chain at {chain.url}")
            demonstration.prepare(chain.url, CHAIN_ID, display.note)
            _drive(demonstration, display)
            chain.flush()
            demonstration.sign_history(display.note)
            report = demonstration.report(display)
            view = demonstration.view()
    except BaseException:
        display.finished()
        # After the reason, which the command line says when it has caught this.
        endings.abandon(f"Continue with: {continuation(directory)}")
        raise
    display.finished()
    show_table(report, sys.stdout)
    typer.echo(f"report: {directory / 'report.html'}  figures: {directory / 'report.json'}")
    typer.echo(f"check it: {report.verify_command}")
    end_with(view)


def _drive(demonstration: Demonstration, display: Display) -> None:
    from cdistrim.cli.failures import as_they_were
    from cdistrim.coordinator import coordinator_bound_to
    from flows.campaign import campaign
    from flows.dispatch import Embedded, dispatching_with

    coordinator = demonstration.consortium.coordinator
    embedded = Embedded(demonstration.consortium.accounts())
    number = demonstration.open_campaign()
    display.campaign_started(demonstration.view())
    with coordinator_bound_to(coordinator), as_they_were(), dispatching_with(embedded):
        campaign(number)
