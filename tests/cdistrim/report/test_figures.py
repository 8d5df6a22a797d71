"""report.json is the report: it reads back the same, and damage is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdistrim.errors import IntegrityError, StoreUnavailableError
from cdistrim.report.figures import IntervalFigure, from_json, to_json
from cdistrim.report.write import write_report
from tests.cdistrim.report.sample import Story, report


def test_a_report_reads_back_the_same() -> None:
    made = report(Story(late=(6,)))
    assert from_json(to_json(made)) == made
    assert to_json(from_json(to_json(made))) == to_json(made)


@pytest.mark.parametrize("cut", [0, 1, 1000, -3])
def test_a_truncated_report_is_refused(cut: int) -> None:
    with pytest.raises(IntegrityError, match="damaged"):
        from_json(to_json(report())[:cut])


def test_a_report_of_another_version_is_refused() -> None:
    document = json.loads(to_json(report())) | {"version": 2}
    with pytest.raises(IntegrityError, match="version"):
        from_json(json.dumps(document).encode())


@pytest.mark.parametrize("bounds", [(float("nan"), 0.0, 1.0), (0.5, 0.6, 0.7), (0.5, 0.1, 0.4)])
def test_an_interval_that_is_none_is_refused(bounds: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"finite|outside"):
        IntervalFigure(*bounds)


def test_both_files_are_written_and_replaced_whole(tmp_path: Path) -> None:
    made = report()
    write_report(replace(made, run_id="before"), tmp_path / "run")
    files = write_report(made, tmp_path / "run")
    assert from_json(files.json.read_bytes()) == made
    assert made.run_id in files.html.read_text(encoding="utf-8")
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["report.html", "report.json"]


def test_a_directory_that_is_a_file_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StoreUnavailableError, match="can't be written"):
        write_report(report(), tmp_path / "run")
