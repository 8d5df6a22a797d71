"""``cdistrim ledger``: the history on the chain, taken along."""

from __future__ import annotations

from pathlib import Path

import typer

from cdistrim.errors import LedgerUnavailableError
from cdistrim.report.wording import plural

__all__ = ["app"]

app = typer.Typer(help="Take the ledger's history along.", no_args_is_help=True)


@app.callback()
def _ledger() -> None:
    """Keeps the name of the only command."""


@app.command()
def export(
    site: Path = typer.Argument(..., help="The site's directory: says which chain and contract."),
    file: Path = typer.Argument(..., help="Where to write it; there must be nothing yet."),
) -> None:
    """Write all events of the contract into one file, with a running hash; no key is needed."""
    from cdistrim import __version__
    from cdistrim.site import Site

    ledger = Site(site).readable_ledger
    from cdistrim.audit import export, write_export

    header, events = export(ledger, __version__)
    last = write_export(header, events, file)
    if last is None:
        file.unlink()
        raise LedgerUnavailableError(
            f"The contract has no event up to block {header.block}, the last that counts.",
            hint="Wait for more blocks; then run it again.",
        )
    typer.echo(f"{plural(last.number, 'record')}, up to block {header.block}: {file}")
    typer.echo(f"Running hash of the last one: {last.digest.hex()}")
    typer.echo(f"Check it with: cdistrim verify --export {file} --checkpoint FILE-OR-DIRECTORY")
