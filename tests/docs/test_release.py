"""Version, changelog, licence and third-party notices fit each other."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import cdistrim
from tests.docs.pages import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
THIRD_PARTY = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")


def test_the_changelog_starts_with_the_projects_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heads = re.findall(r"^## \[([^\]]+)\] - (\d{4}-\d\d-\d\d|unreleased)$", changelog, re.MULTILINE)
    assert heads[0][0] == PROJECT["version"]
    assert len(re.findall(r"^## ", changelog, re.MULTILINE)) == len(heads)


def test_package_project_and_contracts_have_one_version() -> None:
    contracts = json.loads((ROOT / "contracts" / "package.json").read_text("utf-8"))
    assert cdistrim.__version__ == PROJECT["version"] == contracts["version"]


def test_the_licence_is_the_apache_licence_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Version 2.0, January 2004" in text
    for number in range(1, 10):
        assert re.search(rf"^   {number}\. [A-Z]", text, re.MULTILINE), f"section {number}"
    assert "APPENDIX: How to apply" in text


def test_the_wheel_carries_licence_and_notices() -> None:
    assert {"LICENSE", "NOTICE", "THIRD_PARTY.md"} <= set(PROJECT["license-files"])
    assert all((ROOT / name).is_file() for name in PROJECT["license-files"])


def test_every_direct_dependency_is_in_the_notices() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names = {re.split(r"[<>=!~\[; ]", one)[0] for group in groups for one in group}
    assert not {name for name in names if f"`{name}`" not in THIRD_PARTY}


def test_every_npm_package_is_in_the_notices() -> None:
    package = json.loads((ROOT / "contracts" / "package.json").read_text("utf-8"))
    names = {**package.get("devDependencies", {}), **package.get("optionalDependencies", {})}
    assert not {name for name in names if f"`{name}`" not in THIRD_PARTY}


def test_the_demos_data_are_attributed() -> None:
    for words in ("LIDC-IDRI", "Creative Commons Attribution 3.0", "10.7937/K9/TCIA.2015.LO9QL9SX"):
        assert words in THIRD_PARTY
