"""``cdistrim site act``: do by hand what the ledger asks of a site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.cli.endings import explain

if TYPE_CHECKING:
    from cdistrim.site import Site

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
    from cdistrim.belonging import refuse_removed
    from cdistrim.leftovers import clear_when_idle
    from cdistrim.site import Site
    from cdistrim.standing import refused_here, standing_duties, waited_for

    site = Site(directory)
    refuse_removed(site)
    # Prefect takes longer to start than to see that there is nothing to do.
    asked = any(duty in ("", standing.key) for standing in standing_duties(site))
    acted, failures = _act(site, duty) if asked else (False, [])
    try:
        if not asked:
            clear_when_idle(site)
        for sentence in refused_here(site):
            typer.echo(sentence)
    except Exception as error:  # noqa: BLE001  what failed before is said all the same
        failures.append(("", error))
    codes = [explain(failure, where) for where, failure in failures]
    if codes:
        raise typer.Exit(codes[0])
    if not acted:
        typer.echo(
            f"{duty} is over, or never was this site's to do."
            if duty
            else "Nothing is asked of this site now."
        )
        for sentence in waited_for(site):
            typer.echo(f"  {sentence}")


def _act(site: Site, key: str) -> tuple[bool, list[tuple[str, Exception]]]:
    """Do what is asked; whether anything was, and what failed, with its place."""
    from cdistrim.cli.prefect_environment import embed_prefect
    from cdistrim.display import PlainDisplay
    from cdistrim.progress import listen_with

    embed_prefect(site.directory / "prefect")
    display = PlainDisplay(sys.stderr)
    listen_with(display)
    display.note("starting Prefect, which takes some seconds")
    from cdistrim.waiting import duty_place
    from deployments.agent import act_once

    acted, failures = False, []
    try:
        for done in act_once(site.directory, only=key):
            acted = True
            typer.echo(f"{done.outcome.value}: {done.what}")
            if done.failure is not None:
                failures.append((duty_place(done.duty), done.failure))
    except Exception as error:  # noqa: BLE001  what failed before is said all the same
        failures.append(("", error))
    return acted, failures
