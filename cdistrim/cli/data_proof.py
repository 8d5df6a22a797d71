"""``cdistrim data prove`` and ``data verify``: that a case was in the training data of a model."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cdistrim.errors import IntegrityError, UsageError
from cdistrim.files import new_file, read_regular
from cdistrim.report.wording import plural, sentence_list

if TYPE_CHECKING:
    from cdistrim.audit import Audit
    from cdistrim.audit.data_proof import PartInModel

__all__ = ["prove", "verify"]

_LIMITS = (
    "That is what was committed to. That the training used the case, or used nothing else, is not "
    "in it: docs/data-proof.md."
)


def prove(
    site: Path = typer.Argument(..., help="The site's directory."),
    case: str = typer.Argument(..., help="The case's identifier, as in train.npz."),
    file: Path = typer.Argument(..., help="Where to write the proof; there must be nothing yet."),
    model: str = typer.Option(..., help="The model's name: partner and slot, e.g. hospital-a-3."),
    campaign: int | None = typer.Option(
        None, min=1, help="The model's campaign, where several have one of this name."
    ),
    with_label: bool = typer.Option(False, "--with-label", help="Disclose the case's label."),
) -> None:
    """Prove that a case was in the training data behind a model, without showing it.

    No key is needed. What a proof shows, and what it does not: docs/data-proof.md.
    """
    from cdistrim.site import Site

    here = Site(site)
    if os.path.lexists(file):
        raise _there_already(file)
    # Only for a site that is one: the rest of the imports takes a while.
    from cdistrim.proving import prove as prove_case

    proved = prove_case(here, case, model, campaign=campaign, with_label=with_label)
    _write(file, proved.proof.to_bytes())
    part = proved.part
    typer.echo(
        f"The case is one of the {plural(part.cases, 'case')} that {part.partner} committed to "
        f"when it enrolled in campaign {part.campaign}."
    )
    typer.echo(f"{part.sentence}.")
    typer.echo(_LIMITS)
    if proved.lost:
        typer.echo(
            f"{proved.lost} of the {part.cases} cases are not here any more as they were then: "
            "these can't be proven. Keep a copy of the training set of each enrolment."
        )
    label = "The label is in it." if with_label else "The label is hidden."
    typer.echo(
        f"{file}: the identifier and the scan are not in it, but whoever has the file can test "
        f"whether an identifier or a scan is this case's. {label}"
    )
    typer.echo(f"Check it with: cdistrim data verify {file} --export FILE --case IDENTIFIER")


def verify(
    proof: Path = typer.Argument(..., help="The proof."),
    site: Path | None = typer.Argument(
        None, help="A site's directory: its chain, and what it has signed of it."
    ),
    export: Path | None = typer.Option(None, help="Check by this export instead of a chain."),
    checkpoint: list[Path] = typer.Option(
        [], help="A signed checkpoint, or a directory of them; may be given several times."
    ),
    case: str | None = typer.Option(None, help="See that the case has this identifier."),
    cases: Path | None = typer.Option(
        None, help="See that one of the cases in this .npz file is the case: its scan, its label."
    ),
) -> None:
    """Check a proof, and the history that it rests on, without trusting anybody.

    Ends with exit code 7 and the first thing that is wrong. A proof without --case or --cases is
    about some case: which one is for whoever gave it to say.
    """
    from cdistrim.cli.verify import history_of

    content = _read(proof)
    source, own, _ = history_of(site, export)
    from cdistrim.audit import audit, checkpoints_at
    from cdistrim.audit.data_proof import DataProof, examine
    from cdistrim.cli.audit_table import Mark, show_rows
    from cdistrim.data.cases import CaseSet

    found = DataProof.parse(content)
    disclosed = None if cases is None else CaseSet.load(cases)
    result = audit(source, held=[*own, *checkpoints_at(checkpoint)])
    if result.first is not None:
        raise IntegrityError(
            f"The history is not right, so nothing is proven by it. {result.first}",
            hint="cdistrim verify says more about it; compare with the partners' exports.",
        )
    examination = examine(found, result.history, case=case, cases=disclosed)
    rows = [("history", Mark.GOOD, _history(result))]
    rows += [(step.what, Mark.GOOD, step.found) for step in examination.steps]
    denied, part = examination.denied, examination.part
    if denied is not None or part is None:
        rows += [] if denied is None else [(denied.what, Mark.BAD, denied.why)]
        show_rows(rows, sys.stdout, "NOT PROVEN.")
        if denied is not None and denied.given:
            raise IntegrityError(
                f"The proof is not for the case that was given: {denied}.",
                hint="Check --case and --cases, or ask the site for a proof of that case. Without "
                "them the proof is for some case that the site committed to.",
            )
        raise IntegrityError(
            f"The proof is wrong: {denied}.",
            hint="It was altered, is for another model or campaign, or the partners took the model "
            "back since. Ask the site for a new one.",
        )
    known = case is not None or cases is not None
    show_rows(rows, sys.stdout, _verdict(part, result, "the case" if known else "some case"))
    typer.echo(_LIMITS)


def _history(audit: Audit) -> str:
    """How long the history is that a proof is held against, and who signed how much of it."""
    signed = [f"{one.name} up to record {one.confirmed}" for one in audit.holding.signers]
    records = f"{audit.history.records} records that follow from each other"
    return f"{records}; signed by {sentence_list(signed)}" if signed else f"{records}; not signed"


def _verdict(part: PartInModel, audit: Audit, which: str) -> str:
    said = (
        f"{which} is one of the {part.cases} that {part.partner} committed to in campaign "
        f"{part.campaign}, and {part.sentence}."
    )
    if audit.confirmed < part.accepted:
        return (
            f"CONSISTENT, and no more: {said} But no checkpoint confirms record {part.accepted}, "
            "in which the model was accepted: a forger could have written this history."
        )
    said = f"VERIFIED: {said}"
    behind = audit.history.records - audit.confirmed
    if behind:
        said += (
            f" No checkpoint confirms the last {plural(behind, 'record')}: that the model was not "
            "taken back in them rests on whoever gave you the history."
        )
    return said


def _read(file: Path) -> bytes:
    from cdistrim.documents import MAX_DOCUMENT

    try:
        return read_regular(file, MAX_DOCUMENT + 1)
    except OSError as error:
        raise UsageError(
            f"The proof {file} can't be read: {error.strerror}.",
            hint="Check the path; give the file that `cdistrim data prove` wrote.",
        ) from None


def _write(file: Path, content: bytes) -> None:
    """A new file for its owner only, whole or not at all."""
    try:
        with new_file(file) as stream:
            stream.write(content)
    except FileExistsError:
        raise _there_already(file) from None
    except OSError as error:
        raise UsageError(
            f"The proof can't be written to {file}: {error.strerror}.",
            hint="Choose another place that this account may write to.",
        ) from error


def _there_already(file: Path) -> UsageError:
    return UsageError(
        f"{file} exists already; a proof overwrites nothing.", hint="Give another name."
    )
