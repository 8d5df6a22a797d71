"""The command line: sits on top of all layers and starts flows. Imports lazily.

Exit codes are those of :mod:`cdistrim.errors`; 130 after Ctrl-C.
"""

from __future__ import annotations

import sys

import typer

from cdistrim import __version__
from cdistrim.cli import campaign, consortium, demo, devnet, site
from cdistrim.errors import CDistriMError

__all__ = ["app", "main"]

app = typer.Typer(
    name="cdistrim",
    help="Train one model on every hospital's scans without moving a scan.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo.demo)
app.command("up")(consortium.up)
app.add_typer(campaign.app, name="campaign")
app.add_typer(site.app, name="site")
app.add_typer(site.coordinator_app, name="coordinator")
app.add_typer(devnet.app, name="devnet")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cdistrim {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Train one model on every hospital's scans without moving a scan."""


def main() -> None:
    """Run the command line; errors of ours end with their message, hint and exit code."""
    try:
        app()
    except CDistriMError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("Stopped. What the ledger has is kept; run the same command again.", err=True)
        sys.exit(130)


def _complain(error: CDistriMError) -> None:
    typer.echo(f"cdistrim: {error.what}", err=True)
    if error.hint:
        typer.echo(f"  {error.hint}", err=True)
