"""How a command ends: what went wrong, its last words, and its threads."""

from __future__ import annotations

import os

import typer

from cdistrim.errors import CDistriMError, ConfigurationError

__all__ = ["abandon", "complain", "explain", "last_lines", "threads_may_work"]

TRACEBACK_VARIABLE = "CDISTRIM_TRACEBACK"
"""Environment variable: show the traceback of an unexpected error."""

_lines: list[str] = []


def abandon(line: str) -> None:
    """Threads that do a site's duty may still be at work; ``line`` is to be said last."""
    _lines.append(line)


def threads_may_work() -> bool:
    """Whether a command was abandoned with threads at work."""
    return bool(_lines)


def last_lines() -> tuple[str, ...]:
    """What is to be said below the reason why the command ended."""
    return tuple(_lines)


def explain(error: Exception, where: str = "") -> int:
    """Say why a command failed, and what to do next; the exit code that this has.

    Args:
        error: Why.
        where: What it was at, to be said before.

    Raises:
        Exception: The error itself, where it is a defect and its traceback is asked for.
    """
    before = f"{where}: " if where else ""
    if isinstance(error, CDistriMError):
        complain(before + error.what, error.hint)
        return error.exit_code
    if TRACEBACK_VARIABLE in os.environ:
        raise error
    if isinstance(error, OSError) and error.filename is not None:
        complain(
            f"{before}{error.filename} can't be used: {error.strerror or type(error).__name__}.",
            "See what lies there and whether this account may use it; then run it again.",
        )
        return ConfigurationError.exit_code
    complain(
        f"{before}Unexpected {type(error).__name__}: {str(error)[:500]}",
        "What the ledger has is kept; a rerun continues there. If it happens again, report it "
        f"with what {TRACEBACK_VARIABLE}=1 makes this command print.",
    )
    return 1


def complain(what: str, hint: str) -> None:
    """Say on standard error what was wrong, and what to do next."""
    typer.echo(f"cdistrim: {what}", err=True)
    if hint:
        typer.echo(f"  {hint}", err=True)
