"""``cdistrim up``: what a consortium has, on one machine."""

from __future__ import annotations

from pathlib import Path

import typer

__all__ = ["up"]


def up(
    sites: int = typer.Option(3, min=2, max=8, help="Number of hospitals."),
    cron: str = typer.Option("", help="Schedule of campaigns, UTC, e.g. '0 2 * * 6'."),
    directory: Path = typer.Option(Path("runs/up"), help="Where everything is kept."),
    port: int = typer.Option(4200, help="Port of the Prefect server and its UI."),
) -> None:
    """Start a Prefect server, a coordinator and one agent process per site; Ctrl-C stops all."""
    from deployments.local import run_consortium

    run_consortium(directory, sites=sites, cron=cron, port=port, say=typer.echo)
