"""The command line: sits on top of all layers and starts flows. Imports lazily.

Exit codes are those of :mod:`cdistrim.errors`; 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import typer

from cdistrim import __version__
from cdistrim.cli import (
    campaign,
    consortium,
    data,
    demo,
    devnet,
    endings,
    ledger,
    member,
    reproduce,
    site,
    verify,
)

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
app.command("verify")(verify.verify)
app.command("reproduce")(reproduce.reproduce)
app.add_typer(consortium.app, name="consortium")
app.add_typer(campaign.app, name="campaign")
app.add_typer(member.app, name="member")
app.add_typer(site.app, name="site")
app.add_typer(data.app, name="data")
app.add_typer(site.coordinator_app, name="coordinator")
app.add_typer(ledger.app, name="ledger")
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
    """Run the command line; every error ends with its message, hint and exit code."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app()
    except SystemExit as ended:
        if ended.code == _INTERRUPTED:
            typer.echo("Stopped; what was done is kept. A rerun continues there.", err=True)
            _leave(_TERMINATED if _signals else _INTERRUPTED)
        raise
    except Exception as error:  # noqa: BLE001  whatever it is, a user is told
        _leave(endings.explain(error))


_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM
_signals: list[int] = []


def _terminated(number: int, _frame: FrameType | None) -> None:
    _signals.append(number)
    raise KeyboardInterrupt


def _leave(code: int) -> NoReturn:
    """End this process; at once if threads may be at work, which is nothing to wait for.

    The interpreter's own way would stop threads that are inside of torch, which aborts.
    """
    for line in endings.last_lines():
        typer.echo(line, err=True)
    if endings.threads_may_work():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
