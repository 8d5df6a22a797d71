"""``cdistrim verify``: a history, checked without trusting anybody."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from cdistrim.audit import Held, Source
    from cdistrim.audit.history import Finding
    from cdistrim.store import ObjectStore

__all__ = ["history_of", "verify"]


def verify(
    site: Path | None = typer.Argument(
        None, help="A site's directory: its chain, its checkpoints and the store are checked."
    ),
    export: Path | None = typer.Option(None, help="Check this export instead of a chain."),
    checkpoint: list[Path] = typer.Option(
        [], help="A signed checkpoint, or a directory of them; may be given several times."
    ),
    against: Path | None = typer.Option(
        None, help="Another export of the same contract: name the first record that differs."
    ),
    store: str = typer.Option(
        "", help="URL of the consortium's store: take its checkpoints and look for the models."
    ),
) -> None:
    """Check the ledger's history: rules, signed checkpoints, another export, models in the store.

    Ends with exit code 7 if something is wrong, and names the first record. What is checked and
    what can't be: docs/audit.md.
    """
    source, own, shop = history_of(site, export)
    if store:
        from cdistrim.store import ObjectStore

        shop = ObjectStore(store)
    from cdistrim.audit import Source, audit, checkpoints_at
    from cdistrim.cli.audit_table import show_audit

    result = audit(
        source,
        held=[*own, *checkpoints_at(checkpoint)],
        other=None if against is None else Source.of_export(against),
        store=shop,
    )
    show_audit(result, sys.stdout)
    if result.first is not None:
        raise IntegrityError(str(result.first), hint=_advice(result.first))


def _advice(finding: Finding) -> str:
    """What to do about what is wrong with a record, or with the store."""
    from cdistrim.audit.history import Ground

    if finding.ground is Ground.STORE:
        return (
            "The record is right, the store is not: put the object back from a copy of the store, "
            "under the same name. Or --store names another store than the consortium's."
        )
    return (
        "Compare with the partners' exports: cdistrim verify --export FILE --against OTHER. What "
        "each line means is in docs/audit.md."
    )


def history_of(
    site: Path | None, export: Path | None
) -> tuple[Source, list[Held], ObjectStore | None]:
    """The history that is to be checked; with a site's, what it has signed itself, and its store.

    Raises:
        UsageError: Neither of them is given, or both.
    """
    if (site is None) == (export is None):
        raise UsageError(
            "What is to be checked is not clear.",
            hint="Give a site's directory, or --export FILE.",
        )
    if site is None:
        from cdistrim.audit import Source

        return Source.of_export(export or Path()), [], None
    from cdistrim.site import Site

    here = Site(site)
    ledger = here.readable_ledger
    from cdistrim.audit import Source
    from cdistrim.audit.checkpoint import kept_by

    return Source.of_ledger(ledger), list(kept_by(here)), here.store
