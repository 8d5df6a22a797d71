"""``cdistrim member``: who belongs to the consortium, by majority ballot."""

from __future__ import annotations

from pathlib import Path

import typer

from cdistrim.cli.endings import complain
from cdistrim.errors import UsageError, WaitingError

__all__ = ["app"]

app = typer.Typer(help="Members: list, admit and remove them by ballot.", no_args_is_help=True)

SITE = typer.Argument(..., help="The site's directory.")
NAME = typer.Argument(..., help="The member's name, as on the ledger.")


@app.command("list")
def list_(directory: Path = SITE) -> None:
    """Members, and open ballots on admissions and removals."""
    from cdistrim.report import wording
    from cdistrim.site import Site

    ledger = Site(directory).ledger
    for member in ledger.members():
        key = "" if member.sealing_key else "  no sealing key yet"
        typer.echo(f"{member.name:<31}  {member.account}{key}")
    for proposal in ledger.proposals():
        ballot = proposal.ballot
        typer.echo(
            f"open: {ballot.kind.name.lower()} of {proposal.name} {proposal.account}: "
            f"{ballot.yes} yes, {ballot.no} no, {ballot.quorum} needed, "
            f"until {wording.moment(ballot.deadline)}"
        )


@app.command()
def admit(
    directory: Path = SITE,
    name: str = typer.Argument(..., help="Its name: 1 to 31 of a-z, 0-9 and '-'."),
    account: str = typer.Argument(..., help="Its account, as `cdistrim site init` printed it."),
) -> None:
    """Propose to admit somebody; the proposal is this site's yes."""
    from cdistrim.ledger.words import account_word
    from cdistrim.membership import propose_admission
    from cdistrim.site import Site

    if account_word(account) != account:
        raise UsageError(
            f"{account} has no upper and lower case that would show a typing error (EIP-55).",
            hint="Write the account as `cdistrim site init` printed it.",
        )
    propose_admission(Site(directory), account, name)
    typer.echo(f"The admission of {name} is proposed. Members: cdistrim member approve SITE {name}")


@app.command()
def remove(directory: Path = SITE, name: str = NAME) -> None:
    """Propose to remove a member; the proposal is this site's yes."""
    from cdistrim.membership import member_named, propose_removal, require_openable
    from cdistrim.site import Site

    site = Site(directory)
    account = member_named(site, name).account
    propose_removal(site, name)
    typer.echo(f"The removal of {name} is proposed. Members: cdistrim member approve SITE {name}")
    try:
        require_openable(site, account, name)
    except WaitingError as waiting:
        # No reason not to ask: the others' yes waits for it, and may be given when it is mended.
        complain(waiting.what, waiting.hint)


@app.command()
def approve(
    directory: Path = SITE,
    name: str = NAME,
    anyway: bool = typer.Option(
        False, "--anyway", help="Remove it although that leaves models that nobody can open."
    ),
) -> None:
    """Vote for the open admission or removal of somebody.

    A removal waits (exit code 16) until those who stay can open all heads and their ancestors.
    """
    from cdistrim.membership import answer_proposal, open_proposal
    from cdistrim.site import Site

    site = Site(directory)
    proposal = open_proposal(site, name)
    answer_proposal(site, proposal, approve=True, anyway=anyway)
    typer.echo(f"{site.name} approves the {proposal.ballot.kind.name.lower()} of {name}.")
    if not any(each.account == proposal.account for each in site.ledger.proposals()):
        typer.echo("With that it is decided.")


@app.command()
def refuse(directory: Path = SITE, name: str = NAME) -> None:
    """Vote against the open admission or removal of somebody."""
    from cdistrim.membership import answer_proposal, open_proposal
    from cdistrim.site import Site

    site = Site(directory)
    proposal = open_proposal(site, name)
    answer_proposal(site, proposal, approve=False)
    typer.echo(f"{site.name} refuses the {proposal.ballot.kind.name.lower()} of {name}.")
