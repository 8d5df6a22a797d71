"""Lines that a command says last, below the reason why it ended."""

from __future__ import annotations

__all__ = ["last_lines", "say_at_the_end"]

_lines: list[str] = []


def say_at_the_end(line: str) -> None:
    """Have the command line print ``line`` as the last thing if the command fails."""
    _lines.append(line)


def last_lines() -> tuple[str, ...]:
    """What is to be said."""
    return tuple(_lines)
