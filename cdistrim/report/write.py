"""Writes ``report.json`` and ``report.html`` into a run's directory, each whole or not at all."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cdistrim.errors import StoreUnavailableError
from cdistrim.report.figures import CampaignReport, to_json
from cdistrim.report.page import render_page

__all__ = ["ReportFiles", "write_report"]


@dataclass(frozen=True)
class ReportFiles:
    """Where a report lies."""

    json: Path
    html: Path


def write_report(report: CampaignReport, directory: Path) -> ReportFiles:
    """Write both files, replacing older ones.

    Raises:
        StoreUnavailableError: The directory can't be written to.
    """
    files = ReportFiles(directory / "report.json", directory / "report.html")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(files.json, to_json(report))
        _replace(files.html, render_page(report).encode())
    except OSError as error:
        raise StoreUnavailableError(
            f"The report can't be written to {directory}: {error.strerror}.",
            hint="Make the directory writable or choose another one.",
        ) from error
    return files


def _replace(path: Path, content: bytes) -> None:
    """Write beside ``path`` and rename: a reader sees the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
