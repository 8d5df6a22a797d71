"""What the contract promises, branch by branch, is tested: ``contracts/test/trees/*.tree``.

A tree is named after the function that it describes, and its first line repeats the name. Below
stand conditions ("when …", "given …") and leaves. A leaf says what happens and names the forge
tests that show it:

    it should revert with WrongParent(expected, given) <- test_a_candidate_descends_from_the_head

The tests are named by hand, not derived, since a test's name is a rule that several leaves may
share. Three things make it hard to name a wrong one: a named test exists exactly once, it is not
empty, and where a leaf speaks of an error, each of its tests mentions that error, itself or by a
function that it calls. The error's arguments are those of the ABI.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "contracts" / "test"
TREES = sorted((TESTS / "trees").glob("*.tree"))

UNREACHABLE_ERRORS: dict[str, str] = {}
"""Errors that are in the ABI only because a library declares them: name and why none can be met."""

_LEAF = re.compile(r"it should (?P<promise>.+?) <- (?P<tests>\w+(?:\.\w+)?(?:, \w+(?:\.\w+)?)*)")
_ERROR = re.compile(r"\b([A-Z]\w+)\(([\w, ]*)\)")
_FUNCTION = re.compile(r"\bfunction (\w+)\([^{;]*\{")
_CONTRACT = re.compile(r"^(?:abstract )?(?:contract|library) (\w+)", re.MULTILINE)


# ------------------------------------------------------------------- reading a tree


@dataclass
class Branch:
    """A line of a tree and what hangs on it."""

    text: str
    branches: list[Branch] = field(default_factory=list)

    def drawn(self, before: str = "") -> Iterator[str]:
        """The lines below this one, as they have to look."""
        for number, branch in enumerate(self.branches, 1):
            last = number == len(self.branches)
            yield before + ("└── " if last else "├── ") + branch.text
            yield from branch.drawn(before + ("    " if last else "│   "))

    def all(self) -> Iterator[Branch]:
        """Everything below this one."""
        for branch in self.branches:
            yield branch
            yield from branch.all()


def read_tree(text: str) -> Branch:
    """A tree from its text; what is not drawn as it has to be is refused."""
    first, *rest = text.splitlines()
    root = Branch(first)
    path = [root]
    for line in rest:
        mark = re.match(r"[│ ]*[├└]── ", line)
        assert mark, f"not a line of a tree: {line}"
        depth = len(mark[0]) // 4
        assert 0 < depth <= len(path), f"hangs on nothing: {line}"
        branch = Branch(line[mark.end() :])
        path[depth - 1].branches.append(branch)
        path[depth:] = [branch]
    assert [first, *root.drawn()] == text.splitlines(), "drawn wrongly; right is:\n" + "\n".join(
        [first, *root.drawn()]
    )
    return root


@dataclass(frozen=True)
class Leaf:
    """What a function does under the conditions above it, and the tests that show it."""

    promise: str
    tests: tuple[str, ...]

    @property
    def errors(self) -> dict[str, str]:
        """Errors that it speaks of, with their arguments' names."""
        return dict(_ERROR.findall(self.promise))


def leaves_of(tree: Branch) -> list[Leaf]:
    """All leaves; a line that is neither condition nor leaf is refused."""
    leaves = []
    for branch in tree.all():
        if re.match(r"(when|given) \w", branch.text):
            assert branch.branches, f"a condition without consequence: {branch.text}"
            assert "<-" not in branch.text, f"a condition names no test: {branch.text}"
            continue
        found = _LEAF.fullmatch(branch.text)
        assert found, f"neither 'when …', 'given …' nor 'it should … <- test': {branch.text}"
        assert not branch.branches, f"nothing hangs on a leaf: {branch.text}"
        leaves.append(Leaf(found["promise"], tuple(found["tests"].split(", "))))
    return leaves


@cache
def leaves() -> dict[str, list[Leaf]]:
    """The leaves of each tree that can be read; the test of each tree tells of the others."""
    readable = {}
    for path in TREES:
        try:
            readable[path.stem] = leaves_of(read_tree(path.read_text(encoding="utf-8")))
        except AssertionError:
            continue
    return readable


# ------------------------------------------------------- reading the ABI and the tests


@cache
def abi() -> list[dict[str, Any]]:
    """The entries of all shipped contracts."""
    artifacts = sorted((ROOT / "cdistrim" / "ledger").glob("*.json"))
    return [entry for path in artifacts for entry in json.loads(path.read_text()).get("abi", [])]


def names_of(kind: str) -> set[str]:
    """Names of the ABI's entries of one kind."""
    return {entry["name"] for entry in abi() if entry["type"] == kind}


def actions() -> set[str]:
    """Functions that change state."""
    views = ("view", "pure")
    functions = [entry for entry in abi() if entry["type"] == "function"]
    return {entry["name"] for entry in functions if entry["stateMutability"] not in views}


def plain(source: str) -> str:
    """Solidity without its comments and without what stands in its strings."""
    token = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
    return token.sub(lambda found: '""' if found[1] else " ", source)


def bodies_in(source: str) -> dict[str, str]:
    """Function bodies of a Solidity file by name, those of one name joined."""
    source = plain(source)
    bodies: dict[str, str] = {}
    for found in _FUNCTION.finditer(source):
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
        bodies[found[1]] = bodies.get(found[1], "") + source[found.end() : end - 1]
    return bodies


@cache
def shared_bodies() -> dict[str, str]:
    """Functions that all tests may call."""
    sources = [path.read_text(encoding="utf-8") for path in sorted((TESTS / "base").glob("*.sol"))]
    return {name: body for source in sources for name, body in bodies_in(source).items()}


@dataclass(frozen=True)
class ForgeTest:
    """A test function with its own body and with those of all functions that it calls."""

    contract: str
    name: str
    body: str
    reach: str


@cache
def forge_tests() -> list[ForgeTest]:
    """All tests in ``contracts/test/*.t.sol``."""
    found = []
    for path in sorted(TESTS.glob("*.t.sol")):
        source = plain(path.read_text(encoding="utf-8"))
        parts = _CONTRACT.split(source)[1:]
        for contract, text in zip(parts[::2], parts[1::2], strict=True):
            own = bodies_in(text)
            bodies = shared_bodies() | own
            found += [
                ForgeTest(contract, name, body, reach(name, bodies))
                for name, body in own.items()
                if name.startswith(("test", "invariant"))
            ]
    return found


def reach(name: str, bodies: dict[str, str]) -> str:
    """The bodies of a function and of all that it calls."""
    seen: dict[str, str] = {}
    todo = [name]
    while todo:
        one = todo.pop()
        if one in bodies and one not in seen:
            seen[one] = bodies[one]
            todo += re.findall(r"\b(\w+)\(", bodies[one])
    return "\n".join(seen.values())


def meant_by(reference: str) -> list[ForgeTest]:
    """Tests that a leaf means with ``test_name`` or ``Contract.test_name``."""
    contract, _, name = reference.rpartition(".")
    return [test for test in forge_tests() if test.name == name and contract in ("", test.contract)]


# ---------------------------------------------------------------------------- tests


@pytest.mark.parametrize("path", TREES, ids=lambda path: path.stem)
def test_a_tree_is_drawn_right_and_named_as_a_function(path: Path) -> None:
    tree = read_tree(path.read_text(encoding="utf-8"))
    assert tree.text == path.stem
    assert path.stem in names_of("function") | {"constructor"}
    assert leaves_of(tree)


def test_every_action_has_a_tree() -> None:
    drawn = {path.stem for path in TREES}
    assert actions()
    assert actions() <= drawn


@pytest.mark.parametrize("function", leaves())
def test_every_leaf_names_tests_that_exist_once_and_are_not_empty(function: str) -> None:
    wrong = []
    for leaf in leaves()[function]:
        for reference in leaf.tests:
            meant = meant_by(reference)
            if len(meant) != 1:
                wrong.append(f"{reference}: there are {len(meant)} tests of this name")
            elif not meant[0].body.strip():
                wrong.append(f"{reference}: the test is empty")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("function", leaves())
def test_an_error_in_a_leaf_is_the_abis_and_its_tests_mention_it(function: str) -> None:
    known = {
        entry["name"]: ", ".join(argument["name"] for argument in entry["inputs"])
        for entry in abi()
        if entry["type"] == "error"
    }
    wrong = []
    for leaf in leaves()[function]:
        if "revert" in leaf.promise and not leaf.errors:
            wrong.append(f"{leaf.promise}: reverts with what? Write Name(arguments)")
        for error, arguments in leaf.errors.items():
            if known.get(error) != arguments:
                wrong.append(f"{error}({arguments}): the ABI has {error}({known.get(error)})")
            wrong += [
                f"{test.name} does not mention {error}"
                for reference in leaf.tests
                for test in meant_by(reference)
                if not re.search(rf"\b{error}\b", test.reach)
            ]
    assert not wrong, "\n".join(wrong)


def test_every_error_of_the_abi_is_in_a_leaf() -> None:
    told = {error for one in leaves().values() for leaf in one for error in leaf.errors}
    assert names_of("error") >= UNREACHABLE_ERRORS.keys()
    assert not told & UNREACHABLE_ERRORS.keys()
    assert names_of("error") <= told | UNREACHABLE_ERRORS.keys()


# ------------------------------------------------------------- tests of the checker


@pytest.mark.parametrize(
    "text",
    [
        "f\n├── it should work <- test_x",  # the last branch has another mark
        "f\n└── when a\n        └── it should work <- test_x",  # hangs on nothing
        "f\nit should work <- test_x",
    ],
)
def test_a_tree_that_is_drawn_wrongly_is_refused(text: str) -> None:
    with pytest.raises(AssertionError):
        read_tree(text)


@pytest.mark.parametrize(
    "text",
    [
        "f\n└── it should work",  # names no test
        "f\n└── when a",  # a condition without consequence
        "f\n└── it works <- test_x",
        "f\n└── it should work <- test_x\n    └── it should work <- test_y",
    ],
)
def test_a_line_that_promises_nothing_is_refused(text: str) -> None:
    with pytest.raises(AssertionError):
        leaves_of(read_tree(text))


def test_a_commented_out_test_is_no_test_and_a_body_of_comments_is_empty() -> None:
    source = """
    // function test_a() public { assert(true); }
    function test_b() public { /* } */ // later }
    }
    function test_c() public { _help("// {"); }
    function _help(string memory) private { revert Refused(); }
    """
    bodies = bodies_in(source)
    assert "test_a" not in bodies
    assert not bodies["test_b"].strip()
    assert "Refused" in reach("test_c", bodies)
