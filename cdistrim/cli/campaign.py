"""``cdistrim campaign``: open, look at, approve and run campaigns."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import UsageError
from cdistrim.presets import PresetName

if TYPE_CHECKING:
    from cdistrim.final_model import OpenedFinalModel
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

__all__ = ["app"]

app = typer.Typer(
    help="Draft, open, list, review, approve, refuse and run campaigns.", no_args_is_help=True
)

SITE = typer.Argument(..., help="The site's directory.")
NUMBER = typer.Argument(..., min=1, help="The campaign's number on the ledger.")


@app.command("open")
def open_(directory: Path = SITE, spec: Path = typer.Argument(..., help="The spec, JSON.")) -> None:
    """Deposit a spec and open a campaign with its hash."""
    from cdistrim.convening import open_campaign
    from cdistrim.odds import outlook
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

    try:
        parsed = CampaignSpec.read(spec)
    except OSError as error:
        raise UsageError(
            f"Can't read {spec}: {error.strerror}.", hint="Check the path; give the spec's file."
        ) from None
    site = Site(directory)
    number = open_campaign(site, parsed)
    typer.echo(f"Campaign {number} is open; partners can enrol.")
    if len(parsed.order) == 2:
        typer.echo(
            "Two partners: either of them can block every step, and it takes both to open a model."
        )
    foreseen = outlook(parsed)
    typer.echo("\n".join(foreseen.lines()))
    _tell_of_role(site, parsed)
    if not foreseen.odds.good:
        typer.echo(
            "An open campaign's spec can't be changed. For other terms refuse this one "
            f"(cdistrim campaign refuse {directory} {number}) and open another."
        )


@app.command()
def draft(
    file: Path = typer.Argument(..., help="Where to write the spec; must not exist."),
    name: str = typer.Option(..., help="The campaign's name: a-z, 0-9 and '-'."),
    task: str = typer.Option(..., help="What is learnt, a sentence."),
    partner: list[str] = typer.Option(
        ..., help="A partner's name on the ledger; one option each, in the order of turns."
    ),
    preset: PresetName = typer.Option(PresetName.FAST, help="Model and training to begin with."),
    shape: str = typer.Option("", help="Voxels x,y,z, or features,1,1, if not the preset's."),
    classes: int = typer.Option(2, min=2, max=100, help="That labels tell apart."),
    cycles: int = typer.Option(4, min=1, max=100, help="Turns of each partner."),
    seed: int = typer.Option(2020, min=0, max=2**31, help="Of the first head and the training."),
) -> None:
    """Write a spec with all defaults and the first head's hash, to be read, changed and opened."""
    from cdistrim.drafting import draft_spec, write_draft

    spec = draft_spec(
        name=name,
        task=task,
        order=tuple(partner),
        preset=preset,
        shape=shape,
        classes=classes,
        cycles=cycles,
        seed=seed,
    )
    write_draft(spec, file)
    typer.echo(
        f"{file} is a spec with all defaults written out; docs/campaign.md explains each field. "
        "Model and genesis.seed give genesis.weights_hash: draft anew to change them."
    )


@app.command("list")
def list_(directory: Path = SITE) -> None:
    """All campaigns on the ledger: name, state, open slot and its deadline, head; no key needed."""
    from cdistrim.site import Site

    site = Site(directory)
    ledger = site.readable_ledger
    from cdistrim.cli.campaign_table import show_campaigns

    newest = ledger.campaigns()
    if not newest:
        typer.echo("No campaign is on the ledger yet. Open one: cdistrim campaign open SITE SPEC")
        return
    show_campaigns(site, map(ledger.campaign, range(1, newest + 1)), sys.stdout)


@app.command()
def review(directory: Path = SITE, number: int = NUMBER) -> None:
    """Show a campaign's spec, checked against the ledger, the odds of its votes, and the answer."""
    from cdistrim.odds import outlook
    from cdistrim.site import Site

    site = Site(directory)
    view = site.ledger.campaign(number)
    spec = site.spec(view)
    typer.echo(spec.model_dump_json(indent=2))
    if not view.state.ended:
        typer.echo("\n".join(outlook(spec, view).lines()))
        _tell_of_role(site, spec)
    typer.echo(
        f"spec {view.spec_hash.hex()}: {site.answer_to(view.spec_hash).value} at {site.name}"
    )


@app.command()
def approve(directory: Path = SITE, number: int = NUMBER) -> None:
    """Let this campaign's code run on this site's data."""
    from cdistrim.site import Site

    site = Site(directory)
    view = site.ledger.campaign(number)
    spec = site.spec(view)
    site.approve_spec(view.spec_hash)
    typer.echo(f"Spec {view.spec_hash.hex()} is approved at {site.name}.")
    if not view.state.ended:
        _tell_of_role(site, spec)


@app.command()
def refuse(directory: Path = SITE, number: int = NUMBER) -> None:
    """Say no to a spec, or withdraw the approval: this site then votes no and does not train."""
    from cdistrim.site import Site

    site = Site(directory)
    view = site.ledger.campaign(number)
    site.refuse_spec(view.spec_hash)
    typer.echo(f"Spec {view.spec_hash.hex()} is refused at {site.name}.")


@app.command()
def join(directory: Path = SITE, number: int = NUMBER) -> None:
    """Ask the partners of a running campaign to let this site join; they answer by themselves."""
    from cdistrim.enrolment import join as ask
    from cdistrim.site import Site

    site = Site(directory)
    if ask(site, number):
        typer.echo(f"{site.name} has asked to join campaign {number}.")
    else:
        typer.echo(f"{site.name} takes part in campaign {number} already.")


@app.command("final-model")
def final_model(
    directory: Path = SITE,
    number: int = NUMBER,
    file: Path = typer.Argument(..., help="Where to write it: safetensors, in the clear."),
    timeout: float = typer.Option(600.0, min=0.0, help="Seconds to wait for the partners."),
) -> None:
    """Open the final model of a completed campaign: by a majority's grant, with its shares."""
    from cdistrim.final_model import fetch_final_model
    from cdistrim.site import Site

    site = Site(directory)
    opened = fetch_final_model(site, number, file, patience=timeout, say=typer.echo)
    name = opened.record.name
    typer.echo(f"{name} is in {file}. It is not encrypted: keep it as your patients' data.")
    _tell_of_keys(opened)


@app.command()
def reshare(
    directory: Path = SITE,
    number: int = NUMBER,
    timeout: float = typer.Option(600.0, min=0.0, help="Seconds to wait for the partners."),
) -> None:
    """Share a completed campaign's keys anew among who is a partner now; writes no model.

    In a running campaign the owner of the next slot does that.
    """
    from cdistrim.final_model import reshare_final_model
    from cdistrim.site import Site

    opened = reshare_final_model(Site(directory), number, patience=timeout, say=typer.echo)
    _tell_of_keys(opened)
    if not opened.shared_anew and not opened.still_due:
        typer.echo("All keys are shared among the present partners; the capsules were checked.")
    typer.echo(f"Who can open what, and who else has to say this: cdistrim site doctor {directory}")


def _tell_of_keys(opened: OpenedFinalModel) -> None:
    if opened.shared_anew:
        typer.echo(f"Keys shared anew: {', '.join(opened.shared_anew)}.")
    if opened.still_due:
        typer.echo(
            f"Not shared anew yet: {', '.join(opened.still_due)}. Say "
            "`cdistrim campaign reshare` once more when their holders answer."
        )


@app.command()
def status(directory: Path = SITE, number: int = NUMBER) -> None:
    """Where a campaign stands, by the ledger."""
    from cdistrim.cli.outcome import why_failed
    from cdistrim.protocol import CampaignState
    from cdistrim.site import Site

    view = Site(directory).ledger.campaign(number)
    state = view.state.name.lower()
    if view.state is CampaignState.FAILED:
        typer.echo(f"campaign {number}: {state}, {why_failed(view)}")
    else:
        typer.echo(f"campaign {number}: {state}, {view.accepted} of {view.slots}")
    typer.echo(f"head: model {view.head}")
    if view.slot is not None:
        owner = view.name_of(view.slot.owner)
        typer.echo(f"slot {view.slot.number}: {owner}, {view.slot.state.name.lower()}")


@app.command()
def run(
    directory: Path = typer.Argument(..., help="The coordinator's directory."),
    number: int = typer.Argument(0, min=0, help="The campaign's number; 0 for the open one."),
) -> None:
    """Drive a campaign from the ledger to its end, through the sites' agents."""
    from cdistrim.cli.failures import as_they_were
    from cdistrim.cli.outcome import end_with
    from cdistrim.coordinator import Coordinator, coordinator_bound_to

    coordinator = Coordinator(directory)
    newest = coordinator.ledger.campaigns()
    if number > newest:
        raise UsageError(
            f"There is no campaign {number} on the ledger, which has {newest}.",
            hint="Open it with `cdistrim campaign open`; 0 stands for the open one.",
        )
    from deployments.server import require_server

    require_server()
    from flows.campaign import campaign

    with coordinator_bound_to(directory), as_they_were():
        campaign(number)
    end_with(coordinator.ledger.campaign(number or coordinator.ledger.campaigns()))


def _tell_of_role(site: Site, spec: CampaignSpec) -> None:
    """Warn where this site's own hold-out is too small to judge others with."""
    from cdistrim.enrolment import about_role

    for line in about_role(site, spec):
        typer.echo(f"WARNING: {site.name}: {line}")
