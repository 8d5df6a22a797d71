"""How figures and names are written, the same on the terminal, in the report and in its JSON.

Names come from the ledger, where anybody with an account may have put anything: :func:`printable`
takes control characters (terminal escapes) and direction marks out before they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

__all__ = [
    "EN_DASH",
    "NONE",
    "auc",
    "auc_with_interval",
    "count",
    "duration",
    "moment",
    "p_value",
    "plural",
    "printable",
    "sentence_list",
    "short_hash",
    "short_path",
    "signed",
    "times",
]

EN_DASH = "\u2013"
"""Stands between the bounds of an interval."""

NONE = EN_DASH
"""What stands where there is no figure."""

_MINUS = "\u2212"
_LONGEST_NAME = 80


def printable(text: str, longest: int = _LONGEST_NAME) -> str:
    """``text`` without anything that could steer a terminal or turn the direction of writing."""
    clean = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return clean if len(clean) <= longest else clean[: longest - 1] + "…"


def auc(value: float | None) -> str:
    """An AUC with three decimals, e.g. ``0.842``."""
    return NONE if value is None else f"{value:.3f}"


def auc_with_interval(value: float, low: float, high: float) -> str:
    """An AUC with its interval, e.g. ``0.842 (0.79-0.92)``."""
    return f"{value:.3f} ({low:.2f}{EN_DASH}{high:.2f})"


def signed(value: float, digits: int = 3) -> str:
    """A difference with its sign, e.g. ``+0.012`` or ``-0.130`` (with a real minus sign)."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0.0:
        return text
    return (_MINUS if value < 0 else "+") + text


def count(value: int) -> str:
    """A whole number with separators, e.g. ``1,234,567``."""
    return f"{value:,}"


def plural(number: int, thing: str, things: str = "") -> str:
    """How many of something there are, e.g. ``1 model``, ``2 models``."""
    return f"{count(number)} {thing if number == 1 else things or thing + 's'}"


def duration(seconds: float | None) -> str:
    """Seconds as people say them, e.g. ``4.2 s``, ``1 min 23 s``, ``2 h 5 min``."""
    if seconds is None:
        return NONE
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment(timestamp: float) -> str:
    """A time of the ledger, e.g. ``2026-12-01 09:30:00 UTC``."""
    return f"{datetime.fromtimestamp(timestamp, UTC):%Y-%m-%d %H:%M:%S} UTC"


def p_value(value: float) -> str:
    """A p-value with three decimals, e.g. ``p = 0.412`` or ``p < 0.001``."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def short_hash(text: str) -> str:
    """The ends of a long hash or address, e.g. ``0x12ab34…9f0c``."""
    return text if len(text) <= 16 else f"{text[:8]}…{text[-4:]}"


def short_path(path: str) -> str:
    """An object's path in the store, with the ends of accounts and digests in it only."""
    return "/".join(short_hash(part) if len(part) > 40 else part for part in path.split("/"))


def times(number: int) -> str:
    """``once``, ``twice``, ``3 times``."""
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def sentence_list(items: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"
