"""``cdistrim demo``: four hospitals, real data, real chain, real votes, one command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import UsageError
from cdistrim.spec import PolicyName, VotingMode

if TYPE_CHECKING:
    from cdistrim.demonstration import Demonstration
    from cdistrim.display import Display

__all__ = ["demo"]


def demo(
    sabotage: str = typer.Option("", help="Flip this hospital's training labels, e.g. hospital-3."),
    resume: str = typer.Option("", help="Continue the run with this id from the ledger."),
    mode: VotingMode = typer.Option(VotingMode.HOLDOUT, help="On what evidence partners vote."),
    policy: PolicyName = typer.Option(PolicyName.DELONG, help="How a voter forms its opinion."),
    cycles: int = typer.Option(0, min=0, max=20, help="Turns of each hospital; 0: as shipped."),
    seed: int = typer.Option(2020, help="Of the split, the genesis model and the training."),
    central: bool = typer.Option(True, help="Train on the pooled data too, to compare."),
    runs: Path = typer.Option(Path("runs"), help="Where runs are kept."),
    store: str = typer.Option("", help="Store URL, e.g. gs://bucket/path; default: in the run."),
    run_id: str = typer.Option("", help="Name of a new run; default: date and time."),
) -> None:
    """Run a campaign of four hospitals on LIDC-IDRI nodules and write its report."""
    from cdistrim.demonstration import Demonstration, DemoOptions, new_run_id

    if resume:
        directory = runs / resume
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
        directory = runs / (run_id or new_run_id())
        if directory.exists():
            raise UsageError(
                f"There is a run {directory.name} already.",
                hint=f"Continue it with `cdistrim demo --resume {directory.name}`.",
            )
        options.check()
    _run(Demonstration(directory, options))


def _run(demonstration: Demonstration) -> None:
    from cdistrim.cli.outcome import end_with
    from cdistrim.cli.prefect_environment import embed_prefect
    from cdistrim.devnet import CHAIN_ID, Devnet
    from cdistrim.display import choose_display, show_table
    from cdistrim.progress import listen_with

    directory = demonstration.directory
    demonstration.options.save(directory)
    typer.echo(f"run {directory.name}  ({directory})")
    embed_prefect(directory.parent / ".prefect")
    os.environ.setdefault("CDISTRIM_POLL_SECONDS", "0.05")
    display = choose_display(sys.stderr)
    listen_with(display)
    with Devnet(directory / "devnet") as chain:
        display.note(f"chain at {chain.url}")
        demonstration.prepare(chain.url, CHAIN_ID, display.note)
        _drive(demonstration, display)
        chain.flush()
        report = demonstration.report(display)
        display.finished()
        view = demonstration.view()
    show_table(report, sys.stdout)
    typer.echo(f"report: {directory / 'report.html'}  figures: {directory / 'report.json'}")
    end_with(view)


def _drive(demonstration: Demonstration, display: Display) -> None:
    from cdistrim.coordinator import bind_coordinator
    from flows.campaign import campaign
    from flows.dispatch import Embedded, dispatching_with
    from tasks.boundary import SiteFailure, last_failure

    bind_coordinator(demonstration.consortium.coordinator)
    embedded = Embedded(demonstration.consortium.accounts())
    number = demonstration.open_campaign()
    display.campaign_started(demonstration.view())
    try:
        with dispatching_with(embedded):
            campaign(number)
    except SiteFailure as failure:
        # On this machine the sites are ours: their own text says more than the code.
        raise (last_failure() or failure) from None
