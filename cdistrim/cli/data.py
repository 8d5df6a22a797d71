"""``cdistrim data``: a site's cases."""

from __future__ import annotations

import typer

from cdistrim.cli import data_proof

__all__ = ["app"]

app = typer.Typer(help="A site's cases: prove that one was in a model.", no_args_is_help=True)
app.command("prove")(data_proof.prove)
app.command("verify")(data_proof.verify)
