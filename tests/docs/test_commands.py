"""Whatever a document tells a reader to type exists: make targets, commands, options, modules."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
import typer

from cdistrim.cli import app
from tests.docs.pages import ROOT, code, documents

DOCUMENTS = documents()
_PROGRAM = re.compile(r"(?:^|[\s/=(])cdistrim (.*)$")
_MODULE = re.compile(r"python -m ([\w.]+)")
_END = re.compile(r"\s[#|>&]|[;|]|\$\(")


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))


def promised_targets(text: str) -> set[str]:
    """Targets that a document tells the reader to make."""
    commands = [line for line in code(text) if re.match(r"(\$ )?make\s+[a-z]", line)]
    words = [_END.split(line)[0].split("make", 1)[1].split() for line in commands]
    return {word[0] for word in words if word}


def promised_calls(text: str) -> list[list[str]]:
    """Arguments of each call of ``cdistrim`` in a document."""
    calls = []
    for line in code(text):
        if found := _PROGRAM.search(line):
            calls.append(shlex.split(_END.split(found.group(1))[0]))
        if found := re.search(r"make (demo|up) .*?(?:DEMO|UP)=(.*)$", _END.split(line)[0]):
            calls.append([found.group(1), *shlex.split(" ".join(shlex.split(found.group(2))))])
    return calls


def unknown_word(arguments: list[str]) -> str | None:
    """The first word of a call that the command line does not know; None if it knows them all."""
    command = typer.main.get_command(app)
    for word in arguments:
        if word.startswith("-"):
            options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
            if word.split("=")[0] not in {*options, "--help"}:
                return word
        elif isinstance(command, typer.core.TyperGroup):
            if word not in command.commands:
                return word
            command = command.commands[word]
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_promised_make_target_exists(document: Path) -> None:
    missing = promised_targets(document.read_text(encoding="utf-8")) - make_targets()
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_promised_command_and_option_exists(document: Path) -> None:
    calls = promised_calls(document.read_text(encoding="utf-8"))
    unknown = {" ".join(call): word for call in calls if (word := unknown_word(call))}
    assert not unknown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_promised_module_exists(document: Path) -> None:
    modules = set(_MODULE.findall("\n".join(code(document.read_text(encoding="utf-8")))))
    assert not {name for name in modules if importlib.util.find_spec(name) is None}


def test_every_option_of_the_demo_that_its_page_explains_exists() -> None:
    text = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    explained = [shlex.split(one) for one in code(text) if one.startswith("--")]
    assert len(explained) > 5
    assert not [option for option in explained if unknown_word(["demo", *option])]


def test_the_readme_starts_with_the_two_commands() -> None:
    first_screen = "\n".join((ROOT / "README.md").read_text(encoding="utf-8").splitlines()[:40])
    assert {"demo", "test"} <= promised_targets(first_screen)


def test_what_does_not_exist_is_noticed() -> None:
    assert promised_targets("```sh\nmake dmeo  # runs\n```") == {"dmeo"}
    assert unknown_word(["demo", "--sabotage", "hospital-3"]) is None
    assert unknown_word(["demo", "--sabotgae", "hospital-3"]) == "--sabotgae"
    assert unknown_word(["site", "inti"]) == "inti"
    assert promised_calls("`make demo DEMO='--sabotgae hospital-3'`") == [
        ["demo", "--sabotgae", "hospital-3"]
    ]
