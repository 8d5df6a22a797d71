"""Sites whose settings name a source, without keys: preparing needs none."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from cdistrim.site import Site

__all__ = ["FEATURES", "make_site", "rows_for", "tabular", "write_table"]

FEATURES = ("age", "volume")


def make_site(directory: Path, data: dict[str, object] | None) -> Site:
    """A site's directory with ``data`` in its settings."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for part in ("data", "log", "work"):
        (directory / part).mkdir(mode=0o700, exist_ok=True)
    document = {
        "name": "hospital-1",
        "ledger_url": "http://127.0.0.1:1",
        "chain_id": 1,
        "store_url": f"file://{directory}/store",
        "data": data,
    }
    (directory / "site.json").write_text(json.dumps(document))
    return Site(directory)


def tabular(table: Path, **changes: object) -> dict[str, object]:
    """Settings of a table with the columns of :func:`rows_for`."""
    return {
        "source": "tabular",
        "table": str(table),
        "patient": "patient",
        "label": "outcome",
        "classes": {"alive": 0, "dead": 1},
        "features": [{"column": "age", "centre": 60, "scale": 10}, {"column": "volume"}],
        **changes,
    }


def rows_for(patients: Sequence[str]) -> list[list[str]]:
    """A head, and a row for each patient: every third one is dead."""
    rows = [["patient", "outcome", *FEATURES]]
    for number, patient in enumerate(patients):
        outcome = "dead" if number % 3 == 0 else "alive"
        rows.append([patient, outcome, str(40 + number), f"{number / 7:.4f}"])
    return rows


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
    return path
