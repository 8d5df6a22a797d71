"""Results as tables in files: a row each, a column a field, nested ones by their path."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

__all__ = ["load", "save"]

Result = TypeVar("Result")


def save(path: Path, results: Iterable[Any]) -> None:
    """Write results of one dataclass, as they come."""
    with path.open("w", newline="") as stream:
        writer: csv.DictWriter[str] | None = None
        for result in results:
            row = _flat(dataclasses.asdict(result))
            if writer is None:
                writer = csv.DictWriter(stream, list(row), lineterminator="\n")
                writer.writeheader()
            writer.writerow(row)


def load(path: Path, kind: type[Result]) -> list[Result]:
    """Read what :func:`save` wrote."""
    reader = TypeAdapter(list[kind])  # type: ignore[valid-type]
    with path.open(newline="") as stream:
        return reader.validate_python([_nested(row) for row in csv.DictReader(stream)])


def _flat(fields: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, Mapping):
            row |= _flat(value, f"{before}{name}.")
        else:
            row[before + name] = round(value, 6) if isinstance(value, float) else value
    return row


def _nested(row: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in row.items():
        *parents, last = name.split(".")
        place = fields
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value or None
    return fields
