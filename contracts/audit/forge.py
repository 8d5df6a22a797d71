"""Running forge, and reading what it says about tests."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).resolve().parents[1]
PAGE = CONTRACTS.parent / "docs" / "contract.md"
FORGE = CONTRACTS / "node_modules" / "@foundry-rs" / "forge-linux-amd64" / "bin"
AUDIT_BIN = CONTRACTS.parent / ".venv-audit" / "bin"


class AuditFailed(Exception):
    """A check could not be made, or found something; the text says what to do."""


@dataclass(frozen=True)
class Outcome:
    """One forge test: who it is, how it ended, and what it logged, in order."""

    contract: str
    name: str
    passed: bool
    reason: str
    kind: Mapping[str, Mapping[str, Any]]
    logs: tuple[str, ...]


def environment(profile: str | None) -> dict[str, str]:
    """Forge on PATH, where the analysers look for it, and the profile of foundry.toml."""
    path = f"{FORGE}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**os.environ, "PATH": path} | ({"FOUNDRY_PROFILE": profile} if profile else {})


def run(*command: str, profile: str | None = None) -> subprocess.CompletedProcess[str]:
    """A command in ``contracts/``; whether it failed is for the caller to judge."""
    return subprocess.run(
        command,
        cwd=CONTRACTS,
        env=environment(profile),
        check=False,
        capture_output=True,
        text=True,
    )


def forge(*arguments: str, profile: str | None = None) -> subprocess.CompletedProcess[str]:
    """The pinned forge."""
    if not (FORGE / "forge").exists():
        raise AuditFailed("forge is not installed. Run `make setup`.")
    return run(str(FORGE / "forge"), *arguments, profile=profile)


def outcomes_of(*arguments: str, profile: str | None = None) -> list[Outcome]:
    """Outcomes of ``forge test``; raises if it did not run or a test failed."""
    done = forge("test", "--json", "-vv", *arguments, profile=profile)
    start = done.stdout.find("{")
    try:
        suites = json.loads(done.stdout[start:]) if start >= 0 else {}
    except json.JSONDecodeError as error:
        raise AuditFailed(f"forge did not answer in JSON:\n{done.stdout}{done.stderr}") from error
    outcomes = list(_outcomes(suites))
    if not outcomes:
        raise AuditFailed(f"forge ran no test:\n{done.stdout}{done.stderr}")
    failed = [f"{one.contract}.{one.name}: {one.reason}" for one in outcomes if not one.passed]
    if failed or done.returncode != 0:
        raise AuditFailed("tests failed:\n" + "\n".join(failed or [done.stderr]))
    return outcomes


def _outcomes(suites: Mapping[str, Any]) -> Iterator[Outcome]:
    for suite, results in suites.items():
        for name, result in results["test_results"].items():
            yield Outcome(
                contract=suite.rpartition(":")[2],
                name=name.partition("(")[0],
                passed=result["status"] == "Success",
                reason=result["reason"] or "",
                kind=result["kind"],
                logs=tuple(result["decoded_logs"]),
            )


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """A Markdown table, which a terminal shows well enough."""
    lines = [head, tuple("---" for _ in head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def today(command: str) -> str:
    """Which command gave a result of the page, and when."""
    return f"`make {command}`, {datetime.now(tz=UTC):%Y-%m-%d}"


def writes(prog: str, description: str | None) -> bool:
    """Whether the command line asks for the result to be written into the page."""
    parser = argparse.ArgumentParser(prog=f"python -m {prog}", description=description)
    parser.add_argument("--write", action="store_true", help=f"write the result into {PAGE.name}")
    return bool(parser.parse_args().write)


def fill(page: Path, name: str, lines: list[str]) -> None:
    """Put lines between the comments ``name:begin`` and ``name:end`` of a page."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = page.read_text(encoding="utf-8")
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise AuditFailed(f"{page} lacks the comments {begin} and {end}")
    page.write_text("\n".join([before + begin, *lines, end]) + after, encoding="utf-8")


def say(*lines: str) -> None:
    """Print lines."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
