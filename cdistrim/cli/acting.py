"""``cdistrim site act``: do by hand what the ledger asks of a site."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cdistrim.cli.endings import explain

__all__ = ["act"]


def act(
    directory: Path = typer.Argument(..., help="The site's directory."),
    duty: str = typer.Option("", help="Key of the one duty to do; default: all."),
) -> None:
    """Do what the ledger asks of this site now, without any Prefect server; then end.

    What it is at, and for whom it waits until when, is told on standard error. Where several duties
    fail it says why for each, and ends with the exit code of the first. A campaign that was refused
    here is no failure. It signs no checkpoint: `cdistrim site checkpoint` does.
    """
    from cdistrim.cli.prefect_environment import embed_prefect
    from cdistrim.display import PlainDisplay
    from cdistrim.progress import listen_with
    from cdistrim.site import Site

    embed_prefect(Site(directory).directory / "prefect")
    display = PlainDisplay(sys.stderr)
    listen_with(display)
    display.note("looking at the ledger; the first seconds go to starting Prefect")
    from cdistrim.waiting import duty_place
    from deployments.agent import act_once, refused_here, waited_for

    failures: list[tuple[str, Exception]] = []
    idle = True
    try:
        for done in act_once(directory, only=duty):
            idle = False
            typer.echo(f"{done.outcome.value}: {done.what}")
            if done.failure is not None:
                failures.append((duty_place(done.duty), done.failure))
        for sentence in refused_here(directory):
            typer.echo(sentence)
    except Exception as error:  # noqa: BLE001  what failed before is said all the same
        failures.append(("", error))
    codes = [explain(failure, where) for where, failure in failures]
    if codes:
        raise typer.Exit(codes[0])
    if idle:
        typer.echo(
            f"{duty} is over, or never was this site's to do."
            if duty
            else "Nothing is asked of this site now."
        )
        for sentence in waited_for(directory):
            typer.echo(f"  {sentence}")
