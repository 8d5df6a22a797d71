"""How a command ends: what went wrong, its last words, and its threads."""

from __future__ import annotations

import typer

__all__ = ["abandon", "complain", "last_lines", "threads_may_work"]

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


def complain(what: str, hint: str) -> None:
    """Say on standard error what was wrong, and what to do next."""
    typer.echo(f"cdistrim: {what}", err=True)
    if hint:
        typer.echo(f"  {hint}", err=True)
