"""``cdistrim consortium`` and ``cdistrim up``: to found one, and all of one on one machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import UsageError

if TYPE_CHECKING:
    from cdistrim.ledger import Member
    from cdistrim.site import Site

__all__ = ["app", "up"]

app = typer.Typer(help="Found a consortium on a chain.", no_args_is_help=True)


@app.callback()
def _consortium() -> None:
    """Keeps the name of the only command."""


def up(
    sites: int = typer.Option(3, min=2, max=8, help="Number of hospitals."),
    cron: str = typer.Option("", help="Schedule of campaigns, UTC, e.g. '0 2 * * 6'."),
    directory: Path = typer.Option(Path("runs/up"), help="Where everything is kept."),
    port: int = typer.Option(4200, min=1, max=65535, help="Port of the Prefect server and its UI."),
) -> None:
    """Start a Prefect server, a coordinator and one agent process per site; Ctrl-C stops all."""
    from deployments.local import run_consortium

    run_consortium(directory, sites=sites, cron=cron, port=port, say=typer.echo)


@app.command()
def deploy(
    site: Path = typer.Option(..., help="Directory of the founder whose account deploys and pays."),
    founder: list[str] = typer.Option(..., help="NAME=ACCOUNT of a founding member; 2 to 50."),
    ledger_url: str = typer.Option(
        "", help="JSON-RPC address of a node of the site's chain; default: the site's own node."
    ),
    timeout: float = typer.Option(
        300.0,
        min=1.0,
        help="Seconds to wait for each of the transactions, and for each block on top of it; with "
        '"finalized" at least 1800.',
    ),
) -> None:
    """Deploy the contract of a new consortium; it belongs to nobody, the deployer included.

    One of the founders deploys, the others join. The same command again, whenever, finishes what
    was interrupted and finds what is there.
    """
    from cdistrim.ledger import EthereumLedger
    from cdistrim.ledger.words import account_word
    from cdistrim.site import Site
    from cdistrim.urls import node_url_fault, without_secrets

    if fault := node_url_fault(ledger_url) if ledger_url else "":
        raise UsageError(
            f"--ledger-url {without_secrets(ledger_url, node=True)!r} is invalid: {fault}.",
            hint="Correct it.",
        )
    founders = [_founder(word) for word in founder]
    here = Site(site)
    _require_founder(here, founders)
    if here.settings.confirmations:
        typer.echo(
            f"Each transaction is waited for until it counts: confirmations in site.json is "
            f"{json.dumps(here.settings.confirmations)}."
        )
    made = EthereumLedger.deploy(
        ledger_url or here.settings.ledger_url,
        chain_id=here.settings.chain_id,
        private_key=here.keys.private_key,
        founders=founders,
        timeout=timeout,
        max_fee_gwei=here.settings.max_fee_gwei,
        confirmations=here.settings.confirmations,
        known=here.settings.contract and account_word(here.settings.contract),
        say=typer.echo,
    )
    cost = "deployed before" if made.repeated else f"{made.gas:,} gas"
    typer.echo(f"Contract: {made.contract} (first block {made.block}, {cost})")
    typer.echo(f"Derived views: {made.views}")
    typer.echo(f"Each founder: cdistrim site join SITE {made.contract} --first-block {made.block}")


def _founder(word: str) -> Member:
    """A founder from ``NAME=ACCOUNT``.

    Raises:
        UsageError: It is not of that form, or the account has a typing error (EIP-55), or no upper
            and lower case that would tell one: nobody can correct a founder afterwards.
    """
    from cdistrim.ledger import Member
    from cdistrim.ledger.words import account_word

    name, separator, account = word.partition("=")
    as_printed = "Write --founder NAME=ACCOUNT, the account as `cdistrim site init` printed it."
    if not separator or not name:
        raise UsageError(f"{word!r} is no founder.", hint=as_printed)
    if account_word(account) != account:
        raise UsageError(
            f"{account} of {name} has no upper and lower case that would show a typing error "
            "(EIP-55).",
            hint=as_printed,
        )
    return Member(account, name)


def _require_founder(site: Site, founders: list[Member]) -> None:
    """The site that deploys is among the founders: who forgot it would found without it.

    Raises:
        UsageError: It is not, or under another name.
    """
    named = next((each.name for each in founders if each.account == site.account), None)
    if named is None:
        raise UsageError(
            f"{site.name}, whose account {site.account} would deploy, is no founder.",
            hint=f"Add --founder {site.name}={site.account}, or let a founder deploy.",
        )
    if named != site.name:
        raise UsageError(
            f"--founder calls {site.account} {named!r}, site.json calls it {site.name!r}.",
            hint="Names can't be changed on the ledger: settle on one now.",
        )
