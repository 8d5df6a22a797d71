"""``cdistrim site`` and ``cdistrim coordinator``: what runs at a hospital, and beside them."""

from __future__ import annotations

from pathlib import Path

import typer

from cdistrim.errors import UsageError

__all__ = ["app", "coordinator_app"]

app = typer.Typer(help="Make, check and serve one hospital's site.", no_args_is_help=True)
coordinator_app = typer.Typer(help="Serve the campaign flow.", no_args_is_help=True)

SITE = typer.Argument(..., help="The site's directory.")


@app.command()
def init(
    directory: Path = SITE,
    name: str = typer.Option(..., help="The partner's name, as on the ledger."),
    ledger_url: str = typer.Option(..., help="JSON-RPC address of this site's node."),
    chain_id: int = typer.Option(..., help="Id of the consortium's chain."),
    contract: str = typer.Option(..., help="Address of the consortium's contract."),
    store_url: str = typer.Option(..., help="The common store, e.g. gs://bucket/consortium."),
) -> None:
    """Make a site: settings, directories, and keys under the passphrase in CDISTRIM_PASSPHRASE."""
    from pydantic import ValidationError

    from cdistrim.site import PASSPHRASE_FILE, Site, SiteSettings
    from cdistrim.site_keys import create_site_keys, read_passphrase

    file = directory / PASSPHRASE_FILE
    try:
        settings = SiteSettings(
            name=name,
            ledger_url=ledger_url,
            chain_id=chain_id,
            contract=contract,
            store_url=store_url,
            passphrase_file=PASSPHRASE_FILE if file.exists() else None,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UsageError(
            f"--{option} {first['input']!r} is invalid: {first['msg']}.", hint="Correct it."
        ) from None
    passphrase = read_passphrase(file=file if file.exists() else None)
    keys = create_site_keys(directory / "keys", passphrase)
    Site.create(directory, settings)
    typer.echo(f"{name}: account {keys.account}")
    typer.echo(f"Public sealing key: {keys.sealing_key.public_bytes.hex()[:32]}…")
    typer.echo(
        f"Put train.npz and holdout.npz into {directory / 'data'}, then: cdistrim site check"
    )


@app.command()
def check(directory: Path = SITE) -> None:
    """Look whether everything a site needs is there: keys, data, ledger, store."""
    from cdistrim.site import Site

    site = Site(directory)
    typer.echo(f"{site.name}: account {site.account}")
    data = site.data
    for label, cases in (("training", data.train), ("hold-out", data.holdout)):
        typer.echo(f"  {label}: {len(cases.labels)} cases, {int(cases.labels.sum())} positive")
    members = {member.account for member in site.ledger.members()}
    typer.echo(f"  ledger: {'member' if site.account in members else 'NOT a member'}")
    site.store.check_writable()
    typer.echo("  store: writable")


@app.command()
def serve(
    directory: Path = SITE,
    grace: float = typer.Option(
        30.0,
        min=0.0,
        help="Seconds a duty may stand before the site does it without being called.",
    ),
) -> None:
    """Run this site's agent: pulls its work from the Prefect server, and minds the ledger."""
    from deployments.agent import serve_site

    serve_site(directory, grace=grace)


@app.command()
def act(
    directory: Path = SITE,
    duty: str = typer.Option("", help="Key of the one duty to do; default: all."),
) -> None:
    """Do what the ledger asks of this site now, without any Prefect server; then end."""
    from cdistrim.cli.prefect_environment import embed_prefect

    embed_prefect(directory / "prefect")
    from deployments.agent import act_once

    failure: Exception | None = None
    for done in act_once(directory, only=duty):
        failure = done.failure or failure
        typer.echo(f"{'failed' if done.failure else 'done'}: {done.duty.key}")
    if failure is not None:
        raise failure


@coordinator_app.command("serve")
def serve_coordinator(
    directory: Path = typer.Argument(..., help="The coordinator's directory."),
    cron: str = typer.Option("", help="Schedule of campaigns, UTC, e.g. '0 2 * * 6'."),
) -> None:
    """Serve the campaign flow, on a schedule if one is given."""
    from deployments.coordinator import serve_coordinator as serve_flow

    serve_flow(directory, cron=cron)
