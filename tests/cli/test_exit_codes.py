"""Exit codes are documented where they are defined, and nowhere differently."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import cdistrim
import deployments
import flows
import tasks
from cdistrim import errors

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"[├└]── (\w+) +(\d+)? *(.*)$", re.MULTILINE)


def _classes() -> dict[str, type[errors.CDistriMError]]:
    return {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.CDistriMError)
    }


def _tree() -> dict[str, tuple[int | None, str, int]]:
    """Name, exit code and text of each line of the docstring's tree, and how deep it stands."""
    tree = {}
    for line in (errors.__doc__ or "").splitlines():
        found = ROW.search(line)
        if found:
            name, code, text = found.groups()
            tree[name] = (int(code) if code else None, text, found.start() // 4)
    return tree


def test_the_tree_in_the_docstring_shows_every_class_with_its_exit_code() -> None:
    tree, classes = _tree(), _classes()

    assert set(tree) == set(classes) - {"CDistriMError"}
    for name, (code, _, _) in tree.items():
        assert classes[name].exit_code == (1 if code is None else code), name


def test_the_tree_in_the_docstring_is_the_inheritance() -> None:
    parents = ["CDistriMError"]
    for name, (_, _, depth) in _tree().items():
        parents[depth:] = [name]
        assert [kind.__name__ for kind in _classes()[name].__bases__] == [parents[depth - 1]]


def test_verdicts_on_a_campaign_have_exit_codes_of_their_own() -> None:
    codes = [kind.exit_code for kind in _classes().values()]

    for verdict in (errors.CampaignIncomplete, errors.CampaignFailed):
        assert codes.count(verdict.exit_code) == 1


def test_the_documentation_lists_the_same_exit_codes() -> None:
    page = (ROOT / "docs" / "exit-codes.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)
    defined = {
        (str(kind.exit_code), name) for name, kind in _classes().items() if kind.exit_code != 1
    }

    assert set(rows) == defined
    assert [int(code) for code, _ in rows] == sorted(int(code) for code, _ in rows)


def _modules() -> list[str]:
    names = []
    for package in (cdistrim, deployments, flows, tasks):
        found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [module.name for module in found if not module.name.endswith("__main__")]
    return names


@pytest.mark.parametrize("name", _modules())
def test_what_a_module_exports_is_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])

    # As ruff's RUF022 has it: constants, then classes, then functions.
    def rank(one: str) -> tuple[int, str]:
        return (0 if one.isupper() else 1 if one[0].isupper() else 2), one

    assert exported == sorted(exported, key=rank)
    assert [one for one in exported if not hasattr(module, one)] == []
