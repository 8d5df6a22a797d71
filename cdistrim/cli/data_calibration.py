"""``cdistrim data calibrate``: a final model's scores made probabilities at one site."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import UsageError
from cdistrim.files import new_file
from cdistrim.report.wording import plural, sentence_list

if TYPE_CHECKING:
    from cdistrim.calibrating import ModelCalibration

__all__ = ["calibrate"]


def calibrate(
    site: Path = typer.Argument(..., help="The site's directory."),
    model: Path = typer.Argument(..., help="The model, as `campaign final-model` wrote it."),
    campaign: int = typer.Option(..., min=1, help="The campaign that accepted it."),
    out: Path | None = typer.Option(
        None, help="Write temperature and line to this file (JSON); must not exist."
    ),
) -> None:
    """Make a model's scores probabilities, on cases of this site that neither trained nor voted.

    They are in data/calibration.npz, which `cdistrim data prepare` makes where site.json has
    `calibration`. No key is needed, and nothing leaves the site. docs/data.md says how to use
    what comes out.
    """
    from cdistrim.site import Site

    here = Site(site)
    if out is not None and out.exists():
        raise _there_already(out)
    from cdistrim.calibrating import calibrate as fit

    found = fit(here, campaign, model)
    _show(found)
    if out is not None:
        _write(out, found)
        typer.echo(f"Written to {out}.")


def _show(found: ModelCalibration) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    counts = sentence_list([f"{n} of class {label}" for label, n in enumerate(found.cases)])
    typer.echo(f"{found.model}, on {plural(sum(found.cases), 'case')}: {counts}")
    table = Table("scores", "Brier", "calibration error", box=box.SIMPLE_HEAD, pad_edge=False)
    for way, quality in found.quality.items():
        table.add_row(way, f"{quality.brier:.3f}", f"{quality.calibration_error:.3f}")
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 100).print(table)
    if found.temperature is not None:
        typer.echo(f"temperature: {found.temperature:.3f}")
    if found.platt is not None:
        slope, intercept = found.platt
        typer.echo(f"Platt: expit({slope:.3f} * logit {intercept:+.3f})")
    if found.temperature is None and found.platt is None:
        typer.echo("No scale makes these scores better: they say little about the classes.")
    typer.echo("Scaled figures are cross-validated; 0 is best in both columns.")


def _write(out: Path, found: ModelCalibration) -> None:
    try:
        with new_file(out) as stream:
            stream.write(found.model_dump_json(indent=1).encode() + b"\n")
    except FileExistsError:
        raise _there_already(out) from None
    except OSError as error:
        raise UsageError(
            f"Can't write {out}: {error.strerror}.", hint="Give a place that can be written to."
        ) from None


def _there_already(out: Path) -> UsageError:
    return UsageError(f"{out} is there already.", hint="Nothing is overwritten.")
