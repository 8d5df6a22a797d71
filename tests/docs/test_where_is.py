"""The table "Where is …?" of ARCHITECTURE.md points at things that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, between, table_rows

_PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
ROWS = [
    (question, file.strip("`"), symbol.strip("`"))
    for question, file, symbol in table_rows(between(_PAGE, "where-is"))
]
ASKED = (
    "the vote decided",
    "a key released",
    "a partner skipped",
    "a crashed demo continued",
    "a crashed site's work taken up again",
)


def python_symbols(path: Path) -> set[str]:
    """Names that a module defines at its top, and ``Class.method``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef)}
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def solidity_symbols(path: Path) -> set[str]:
    """Names of functions, errors, events, structs, enums and contracts."""
    kinds = "function|error|event|struct|enum|contract|library|interface|modifier"
    return set(re.findall(rf"\b(?:{kinds})\s+(\w+)", path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("question", "file", "symbol"), ROWS, ids=[row[0] for row in ROWS])
def test_each_answer_exists(question: str, file: str, symbol: str) -> None:
    path = ROOT / file
    assert path.is_file(), f"{question}: there is no {file}"
    found = solidity_symbols(path) if path.suffix == ".sol" else python_symbols(path)
    assert symbol in found, f"{question}: {file} defines no {symbol}"


def test_the_questions_that_everybody_asks_are_answered() -> None:
    assert set(ASKED) <= {question for question, _, _ in ROWS}


def test_no_question_is_asked_twice() -> None:
    questions = [question for question, _, _ in ROWS if not question.startswith("…")]
    assert len(set(questions)) == len(questions)


def test_every_package_and_contract_file_named_in_the_text_exists() -> None:
    named = re.findall(
        r"`((?:cdistrim|flows|tasks|deployments|contracts|bench|tests)/[\w./]*)`", _PAGE
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert named
    assert not missing
