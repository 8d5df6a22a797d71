"""``cdistrim site`` and ``cdistrim coordinator``: what runs at a hospital, and beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.cli.acting import act
from cdistrim.cli.endings import complain
from cdistrim.errors import (
    CDistriMError,
    ConfigurationError,
    IntegrityError,
    UsageError,
    WaitingError,
)
from cdistrim.report.wording import plural, sentence_list

if TYPE_CHECKING:
    from cdistrim.site import Site

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
    contract: str = typer.Option(
        None, help="Address of the consortium's contract; left out by founders, see `site join`."
    ),
    store_url: str = typer.Option(
        ..., help="The common store: gs://bucket/consortium, file:///srv/store."
    ),
) -> None:
    """Make a site: settings, directories, and keys under the passphrase in CDISTRIM_PASSPHRASE."""
    from pydantic import ValidationError

    from cdistrim.handwritten import problem_of
    from cdistrim.passphrase import read_passphrase
    from cdistrim.private_files import refuse_foreign_writers
    from cdistrim.site import PASSPHRASE_FILE, Site, SiteSettings
    from cdistrim.site_keys import create_site_keys
    from cdistrim.urls import without_secrets

    if blocked := next((p for p in (directory, *directory.parents) if _is_no_directory(p)), None):
        raise UsageError(
            f"{blocked} is no directory, so there can't be a site at {directory}.",
            hint="Give another directory; a new one is made.",
        )
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
        where, what = problem_of(error, SiteSettings)
        value = error.errors(include_url=False)[0]["input"]
        if where.endswith("_url"):
            value = without_secrets(str(value), node=where == "ledger_url")
        raise UsageError(
            f"--{where.replace('_', '-')} {value!r} is invalid: {what}.", hint="Correct it."
        ) from None
    if directory.is_dir():
        refuse_foreign_writers(directory)
    passphrase = read_passphrase(file=file if file.exists() else None)
    keys = create_site_keys(directory / "keys", passphrase)
    Site.create(directory, settings)
    typer.echo(f"{name}: account {keys.account}")
    typer.echo(f"Public sealing key: {keys.sealing_key.public_bytes.hex()[:32]}…")
    if contract is None:
        typer.echo("Give name and account to whoever deploys the contract, or to a member.")
        typer.echo(f"Once there is a contract: cdistrim site join {directory} ADDRESS")
    typer.echo(
        f"Say in {directory / 'site.json'} where its cases come from (docs/data.md), then: "
        f"cdistrim data check {directory}"
    )


def _is_no_directory(path: Path) -> bool:
    return os.path.lexists(path) and not path.is_dir()


@app.command()
def join(
    directory: Path = SITE,
    contract: str = typer.Argument(..., help="Address of the consortium's contract."),
    first_block: int | None = typer.Option(
        None, min=0, help="The contract's first block; default: as before, or 0."
    ),
) -> None:
    """Join the consortium of which this site is a member: publish the sealing key, once."""
    from cdistrim.belonging import membership_of
    from cdistrim.site import Site

    here = Site(directory)
    joined = here.joining(contract, first_block=first_block)
    member = membership_of(joined)
    key = joined.keys.sealing_key.public_bytes
    if member.sealing_key and member.sealing_key != key:
        raise _wrong_key(joined)
    receipt = joined.ledger.publish_key(sealing_key=key)
    Site.create(directory, joined.settings)
    former = here.settings
    if former.contract is not None and former.contract.lower() != joined.contract.lower():
        typer.echo(
            f"Until now site.json named another contract: {former.contract}, first block "
            f"{former.first_block}."
        )
    known = "known already" if receipt.repeated else f"published, {receipt.gas:,} gas"
    typer.echo(f"{joined.name} is a member of the consortium at {joined.contract}.")
    typer.echo(f"Sealing key: {known}")


@app.command()
def check(directory: Path = SITE) -> None:
    """Look whether everything a site needs is there: keys, data, store, ledger, membership.

    Says all that is missing; ends with the exit code of the last.
    """
    from cdistrim.site import Site

    site = Site(directory)
    typer.echo(f"{site.name}: account {site.account}")
    failures = []
    for part, look, trying in (
        ("data", _check_data, f"the cases in {site.directory / 'data'}"),
        # gcsfs tries six times before it gives up.
        ("store", _check_store, f"to write to {site.settings.store_url}; this may take a minute"),
        ("ledger", _check_ledger, "the ledger, as a member of the consortium"),
    ):
        typer.echo(f"trying {trying}", err=True)
        try:
            typer.echo("\n".join(f"  {line}" for line in look(site)))
        except CDistriMError as error:
            typer.echo(f"  {part}: not yet")
            failures.append(error)
    for failure in failures[:-1]:
        complain(failure.what, failure.hint)
    if failures:
        raise failures[-1]


def _check_data(site: Site) -> list[str]:
    parts = {"training": site.data.train, "hold-out": site.data.holdout}
    return [
        f"{part}: {plural(len(each), 'case')}, "
        + (
            f"{each.positives} positive"
            if len(each.counts()) == 2
            else f"{sentence_list([str(count) for count in each.counts()])} of the classes"
        )
        for part, each in parts.items()
    ]


def _check_store(site: Site) -> list[str]:
    from cdistrim.places import SPECS, author_place

    settings = site.settings
    place = SPECS  # As long as no contract is named, there is no place of its own.
    if settings.contract is not None:
        place = author_place(settings.chain_id, settings.contract, site.account, "probe")
    site.store.check_writable(place)
    return ["store: writable"]


def _check_ledger(site: Site) -> list[str]:
    """Compare what the ledger has of this site with the site itself.

    Raises:
        ConfigurationError: It is no member, or one with another name or sealing key.
    """
    from cdistrim.belonging import membership_of

    member = membership_of(site)
    if not member.sealing_key:
        raise ConfigurationError(
            f"{site.name} has not published its sealing key: nobody can share a model with it.",
            hint=f"cdistrim site join {site.directory} {site.contract}",
        )
    if member.sealing_key != site.keys.sealing_key.public_bytes:
        raise _wrong_key(site)
    return ["ledger: member"]


def _wrong_key(site: Site) -> ConfigurationError:
    return ConfigurationError(
        f"The sealing key of {site.name} on the ledger is not the one in its key file.",
        hint=f"If `cdistrim site rotate-key {site.directory}` was interrupted, say it again. Else "
        "restore the site's keys from a backup: shares are sealed to the other key.",
    )


@app.command()
def backup(
    directory: Path = SITE,
    file: Path = typer.Argument(..., help="Where to write it; there must be nothing yet."),
) -> None:
    """Keep what can't be made again: settings, encrypted keys, approvals, salts."""
    from cdistrim.site import Site

    site = Site(directory)
    # Only for a site that is one: the rest of the imports takes a while.
    from cdistrim.backup import back_up

    kept = back_up(site, file)
    typer.echo(f"{kept.name}: account {kept.account}")
    typer.echo(
        f"Backed up to {file}: settings, keys, {plural(kept.approved, 'approved spec')}, salts of "
        f"{plural(kept.salts, 'case')}."
    )
    typer.echo(
        "Not in it: the passphrase, which alone opens it, and the cases. Keep them elsewhere."
    )


@app.command()
def restore(
    file: Path = typer.Argument(..., help="The backup."),
    directory: Path = SITE,
) -> None:
    """Make a site out of a backup, under the passphrase that its keys had."""
    from cdistrim.backup import restore as restore_backup

    kept = restore_backup(file, directory)
    typer.echo(f"{kept.name}: account {kept.account}")
    typer.echo(
        f"Restored from the backup of {kept.made}: settings, keys, "
        f"{plural(kept.approved, 'approved spec')}, salts of {plural(kept.salts, 'case')}."
    )
    typer.echo(f"Let no second copy of this site run. Then: cdistrim site check {directory}")


@app.command()
def checkpoint(directory: Path = SITE) -> None:
    """Sign the ledger's history up to the last block that counts; keep it, and deposit it.

    The agent does this by itself whenever something new is on the ledger.
    """
    from cdistrim.site import Site

    site = Site(directory)
    # Only for a site that is one: the rest of the imports takes a while.
    from cdistrim.audit import keep_checkpoint

    kept, new = keep_checkpoint(site)
    made = "Signed" if new else "Nothing new since the last checkpoint"
    typer.echo(f"{made}: {plural(kept.records, 'record')}, up to block {kept.block}.")
    typer.echo(f"Running hash of the last one: {kept.digest.hex()}")


@app.command("rotate-key")
def rotate_key(
    directory: Path = SITE,
    lost: bool = typer.Option(
        False,
        "--lost",
        help="The key on the ledger is lost, without a backup: publish another one in its place.",
    ),
) -> None:
    """Replace this site's sealing key; the former one is kept, since shares are sealed to it."""
    from cdistrim.rotation import publish_after_loss, rotate
    from cdistrim.site import Site

    site = Site(directory)
    done = publish_after_loss(site) if lost else rotate(site)
    typer.echo(f"The sealing key of {site.name} is {done.value}.")
    typer.echo("For ten minutes nobody grants this site anything: its owner shall have noticed.")
    if lost:
        typer.echo("Shares that were sealed to the lost key are lost until keys are shared anew.")
    typer.echo("Restart this site's agent: it has the former keys in memory.")
    typer.echo(f"Make a new backup: cdistrim site backup {directory} FILE")


@app.command()
def doctor(directory: Path = SITE) -> None:
    """Look who could open the models of all campaigns, and warn while there is time.

    Looks at shares, members, and whether the models' objects are in the store; that every byte of
    the history is right is for `cdistrim verify`. Ends with exit code 7 if there is a model that
    those who are partners now can't open, and with 16 if it is not sure that they can.
    """
    from cdistrim.cli.recoverability_table import recoverability_lines
    from cdistrim.names import names_of
    from cdistrim.recoverability import (
        Outlook,
        damage_of,
        recoverability_of,
        unreadable_additions,
    )
    from cdistrim.site import Site

    site = Site(directory)
    names = names_of(site.ledger).known
    seen = []
    damaged = set()
    for number in range(1, site.ledger.campaigns() + 1):
        view = site.ledger.campaign(number)
        models = list(recoverability_of(site, view))
        lineage = site.ledger.lineage(number, view.head) if models else ()
        damage = {each.name: list(damage_of(site, view, each)) for each in lineage}
        faults = {
            each.name: damage[each.name] + list(unreadable_additions(site, view, each))
            for each in lineage
        }
        for line in recoverability_lines(models, names, faults):
            typer.echo(line)
        seen += models
        damaged |= {(number, name) for name, found in damage.items() if found}
    if not seen:
        typer.echo("No campaign has an accepted model yet: there is nothing to open.")
    lost = [
        each.model
        for each in seen
        if each.outlook is Outlook.CLOSED or (each.campaign, each.model) in damaged
    ]
    if lost:
        raise IntegrityError(
            f"{plural(len(lost), 'model')} can't be opened, or objects of theirs are missing or "
            f"altered, first {lost[0]}.",
            hint="Restore objects from a backup of the store. In a running campaign the slot's "
            "owner has the partners vote on going back to an earlier head.",
        )
    unsure = [each.model for each in seen if each.outlook is Outlook.UNSURE]
    if unsure:
        raise WaitingError(
            f"It is not sure that {plural(len(unsure), 'model')} can be opened, first {unsure[0]}.",
            hint="Lines above say on whom it depends. The next slot's owner shares keys anew; in a "
            "completed campaign `cdistrim campaign reshare` does.",
        )


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


app.command()(act)


@coordinator_app.command("serve")
def serve_coordinator(
    directory: Path = typer.Argument(..., help="The coordinator's directory."),
    cron: str = typer.Option("", help="Schedule of campaigns, UTC, e.g. '0 2 * * 6'."),
) -> None:
    """Serve the campaign flow, on a schedule if one is given."""
    from deployments.coordinator import serve_coordinator as serve_flow

    serve_flow(directory, cron=cron)
