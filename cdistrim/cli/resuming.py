"""Runs that can be continued: what may be said beside ``--resume``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import typer

from cdistrim.errors import UsageError

__all__ = ["refuse_empty_ids", "refuse_other_options"]


def refuse_empty_ids(context: typer.Context) -> None:
    """An empty id, e.g. of a variable that was not set, is not the same as none.

    Raises:
        UsageError: ``--resume`` or ``--run-id`` is there and empty.
    """
    for name in ("resume", "run_id"):
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE" and not context.params[name]:
            raise UsageError(
                f"--{name.replace('_', '-')} is empty.",
                hint="Give the id of a run, or leave it out.",
            )


def refuse_other_options(
    context: typer.Context,
    allowed: Collection[str],
    started: Mapping[str, object] = MappingProxyType({}),
) -> None:
    """A run goes on as it was started; an option that would be ignored is a mistake.

    Args:
        context: Of the command.
        allowed: Options of any run.
        started: What the run was started with: the same again is no mistake.

    Raises:
        UsageError: One that is neither is there.
    """
    for name, value in context.params.items():
        source = context.get_parameter_source(name)
        if name in started and started[name] == value:
            continue
        if name not in allowed and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--resume continues a run as it was started; --{name.replace('_', '-')} can't be "
                "changed.",
                hint="Leave it out, or start a new run.",
            )
