"""``cdistrim consortium`` and ``cdistrim up``: to found one, and all of one on one machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import UsageError

if TYPE_CHECKING:
    from cdistrim.ledger import Member

__all__ = ["app", "up"]

app = typer.Typer(help="Found a consortium on a chain.", no_args_is_help=True)


@app.callback()
def _consortium() -> None:
    """Keeps the name of the only command."""


def up(
    sites: int = typer.Option(3, min=2, max=8, help="Number of hospitals."),
    cron: str = typer.Option("", help="Schedule of campaigns, UTC, e.g. '0 2 * * 6'."),
    directory: Path = typer.Option(Path("runs/up"), help="Where everything is kept."),
    port: int = typer.Option(4200, help="Port of the Prefect server and its UI."),
) -> None:
    """Start a Prefect server, a coordinator and one agent process per site; Ctrl-C stops all."""
    from deployments.local import run_consortium

    run_consortium(directory, sites=sites, cron=cron, port=port, say=typer.echo)


@app.command()
def deploy(
    ledger_url: str = typer.Option(..., help="JSON-RPC address of a node of the chain."),
    chain_id: int = typer.Option(..., help="Id of the chain."),
    site: Path = typer.Option(..., help="Directory of the site whose account deploys and pays."),
    founder: list[str] = typer.Option(..., help="NAME=ACCOUNT of a founding member; 2 to 50."),
    timeout: float = typer.Option(
        300.0, min=1.0, help="Seconds to wait for each of the transactions."
    ),
) -> None:
    """Deploy the contract of a new consortium; it belongs to nobody, the deployer included.

    The same command again finishes what was interrupted, as long as this account has done nothing
    else since; later it founds another consortium.
    """
    from cdistrim.ledger import EthereumLedger
    from cdistrim.site import Site

    founders = [_founder(word) for word in founder]
    here = Site(site)
    keys = here.keys
    typer.echo(f"Deploying for {len(founders)} founders from {keys.account}: two transactions …")
    made = EthereumLedger.deploy(
        ledger_url,
        chain_id=chain_id,
        private_key=keys.private_key,
        founders=founders,
        timeout=timeout,
        max_fee_gwei=here.settings.max_fee_gwei,
    )
    cost = "deployed before" if made.repeated else f"{made.gas:,} gas"
    typer.echo(f"Contract: {made.contract} (first block {made.block}, {cost})")
    typer.echo(f"Derived views: {made.views}")
    typer.echo(f"Each founder: cdistrim site join SITE {made.contract} --first-block {made.block}")


def _founder(word: str) -> Member:
    """A founder from ``NAME=ACCOUNT``.

    Raises:
        UsageError: It is not of that form, or the account has a typing error (EIP-55). What the
            contract does not take, the contract refuses.
    """
    from cdistrim.ledger import Member
    from cdistrim.ledger.words import account_word

    name, separator, account = word.partition("=")
    if not separator or not re.fullmatch(r"0x[0-9a-fA-F]{40}", account):
        raise UsageError(
            f"{word!r} is no founder.",
            hint="Write --founder NAME=ACCOUNT, the account as `cdistrim site init` printed it.",
        )
    return Member(account_word(account), name)
