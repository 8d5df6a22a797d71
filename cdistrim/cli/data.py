"""``cdistrim data``: a hospital's scans and tables become its cases."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.cli import data_calibration, data_proof
from cdistrim.errors import UsageError

if TYPE_CHECKING:
    from cdistrim.site import Site
    from cdistrim.spec import CampaignSpec

__all__ = ["app"]

app = typer.Typer(
    help="Make a site's cases, look at them, prove that one was in a model, calibrate a model.",
    no_args_is_help=True,
)
app.command("prove")(data_proof.prove)
app.command("verify")(data_proof.verify)
app.command("calibrate")(data_calibration.calibrate)

SITE = typer.Argument(..., help="The site's directory.")
CAMPAIGN = typer.Option(
    None, min=1, help="Take shape and preprocessing, or features, from this campaign's spec."
)
SPEC = typer.Option(
    None, help="Take shape and preprocessing, or features, from a spec in this file."
)
WORKERS = typer.Option(
    None, min=1, max=64, help="Processes that read scans; default: the machine's cores, up to 4."
)


@app.command()
def prepare(
    directory: Path = SITE,
    campaign: int | None = CAMPAIGN,
    spec: Path | None = SPEC,
    workers: int | None = WORKERS,
) -> None:
    """Make training set, hold-out and calibration set out of the source that site.json names.

    Each case is built once: a rerun, also of a run that was killed, goes on from what is there.
    Who is left out, and why, is shown and written to data/exclusions.json. docs/data.md explains
    sources, labels and files.
    """
    from cdistrim.site import Site

    site = Site(directory)
    agreed = _spec_of(site, campaign, spec)
    _require_source(site)
    from cdistrim.cli.data_tables import Progress, show_exclusions, show_preparation
    from cdistrim.data.preparation import prepare as prepare_data

    with Progress(sys.stderr) as progress:
        made = prepare_data(
            site,
            agreed,
            workers=workers or _cores(),
            progress=progress.tell,
            left_out=lambda exclusions: show_exclusions(exclusions, sys.stdout),
        )
    show_preparation(made, site.directory / "data", sys.stdout)


@app.command()
def check(
    directory: Path = SITE,
    campaign: int | None = CAMPAIGN,
    spec: Path | None = SPEC,
    cases: int = typer.Option(
        6, min=1, max=12, help="Cases of each class that are built and drawn."
    ),
    out: Path | None = typer.Option(
        None, help="Draw them to this PNG file: crops with outlines, or ranges of features."
    ),
    workers: int | None = WORKERS,
) -> None:
    """Look at a site's cases before anything else: how many, which classes, who can't be used.

    Works before and after `cdistrim data prepare`. Estimates batch size and memory of a training,
    and warns of what will not do. Writes nothing but built cases into the cache, and the picture,
    which names nobody but shows scans: it stays at the site.
    """
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError(f"{out} is no name of a PNG file.", hint="Give one that ends with .png.")
    from cdistrim.site import Site

    site = Site(directory)
    agreed = _spec_of(site, campaign, spec)
    from cdistrim.cli.data_tables import Progress, show_findings
    from cdistrim.data.preflight import check_data

    with Progress(sys.stderr) as progress:
        findings = check_data(
            site, agreed, sample=cases, workers=workers or _cores(), progress=progress.tell
        )
    show_findings(findings, sys.stdout)
    if out is not None:
        from cdistrim.data.contact_sheet import draw

        draw(findings, out)
        shown = "patients' values" if findings.look.is_table else "scans"
        typer.echo(f"Drawn to {out}. It shows {shown}: it stays at the site.")
    findings.require_usable(site.settings.data)


def _spec_of(site: Site, campaign: int | None, file: Path | None) -> CampaignSpec | None:
    if campaign is not None and file is not None:
        raise UsageError(
            "--campaign and --spec both name a spec.", hint="Leave one of the two out."
        )
    if file is not None:
        from cdistrim.spec import CampaignSpec

        try:
            return CampaignSpec.read(file)
        except OSError as error:
            raise UsageError(
                f"Can't read {file}: {error.strerror}.",
                hint="Check the path; give the spec's file.",
            ) from None
    if campaign is not None:
        return site.spec(site.readable_ledger.campaign(campaign))
    return None


def _require_source(site: Site) -> None:
    """Before anything heavy is imported."""
    if site.settings.data is None:
        from cdistrim.data.sources.settings import no_source

        raise no_source(site.name)


def _cores() -> int:
    import os

    return min(4, os.cpu_count() or 1)
