"""The examples of docs/statistics.md run and give what stands there; functions it names exist."""

from __future__ import annotations

import doctest
import re

from cdistrim import statistics
from tests.docs.pages import ROOT, between, table_rows

PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_give_what_the_page_says() -> None:
    examples = "\n".join(BLOCK.findall(PAGE))
    test = doctest.DocTestParser().get_doctest(examples, {}, "docs/statistics.md", None, 0)
    told: list[str] = []
    results = doctest.DocTestRunner().run(test, out=told.append)
    assert results.attempted > 20
    assert results.failed == 0, "".join(told)


def test_every_function_that_the_page_recommends_exists() -> None:
    rows = [row for row in table_rows(PAGE.partition("## Two models")[0]) if len(row) == 3]
    named = {name for _, cell, _ in rows for name in re.findall(r"`(\w+)`", cell)}
    assert len(named) > 12
    assert named <= set(statistics.__all__)


def test_the_tables_are_filled() -> None:
    filled = between(PAGE, "coverage")
    for title in ("Sites combined", "Seeds and patients", "Mean over three classes", "A million"):
        assert f"**{title}" in filled
