"""The table in this directory's README has each adversary of SECURITY.md, and each test here."""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.pages import ROOT, table_rows

HERE = Path(__file__).parent
README = (HERE / "README.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def names_of_tests() -> set[str]:
    """Names of all tests of this directory but this file's."""
    files = set(HERE.glob("test_*.py")) - {Path(__file__)}
    return {
        name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }


def test_each_adversary_of_the_security_page_has_a_row() -> None:
    page = SECURITY.split("## Who can do what")[1].split("\n### ")[0]
    adversaries = {row[0].strip("*") for row in table_rows(page)}
    assert adversaries
    assert adversaries <= {row[0] for row in table_rows(README)}


def test_each_test_is_in_the_table_once_and_exists() -> None:
    cells = [row[2] for row in table_rows(README)]
    named = [name for cell in cells for name in re.findall(r"`(test_\w+)`", cell)]
    assert len(set(named)) == len(named)
    assert set(named) == names_of_tests()


def test_each_file_in_the_table_exists() -> None:
    named = {name for row in table_rows(README) for name in re.findall(r"`([\w/]+\.py)`", row[2])}
    assert {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name} <= named
    assert all((HERE / name).exists() or (ROOT / name).exists() for name in named)
