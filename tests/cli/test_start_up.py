"""Nothing heavy is imported before it is needed: for help, errors, and turns without a model."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    "cryptography",
    "eth_account",
    "fsspec",
    "matplotlib",
    "numpy",
    "prefect",
    "pytorch_lightning",
    "scipy",
    "sklearn",
    "torch",
    "torchio",
    "web3",
}

SCRIPT = """
import sys
from cdistrim.cli import main
sys.argv[0] = "cdistrim"
try:
    main()
except SystemExit as ended:
    code = ended.code
sys.stderr.write("\\nIMPORTED " + " ".join(sys.modules))
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["demo", "--help"], 0),
        (["site", "init", "--help"], 0),
        (["site", "backup", "--help"], 0),
        (["site", "restore", "--help"], 0),
        (["campaign", "run", "--help"], 0),
        (["verify", "--help"], 0),
        (["ledger", "export", "--help"], 0),
        (["data", "prove", "--help"], 0),
        (["data", "verify", "--help"], 0),
        (["data", "prepare", "--help"], 0),
        (["data", "check", "--help"], 0),
        (["--version"], 0),
        (["frobnicate"], 2),
        (["demo", "--frobnicate"], 2),
        (["demo", "--sabotage", "hospital-9"], 2),
        (["demo", "--resume", "no-such-run"], 3),
        (["site", "check", "/nowhere"], 3),
        (["site", "backup", "/nowhere", "/nowhere/backup"], 3),
        (["campaign", "status", "/nowhere", "1"], 3),
        (["data", "prepare", "/nowhere"], 3),
        (["data", "check", "/nowhere"], 3),
        (["verify"], 2),
        (["verify", "/nowhere"], 3),
        (["ledger", "export", "/nowhere", "/nowhere/export"], 3),
        (["site", "checkpoint", "/nowhere"], 3),
        (["data", "prove", "/nowhere", "case", "/nowhere/proof", "--model", "a-1"], 3),
        (["coordinator", "serve", "/nowhere", "--frobnicate"], 2),
    ],
)
def test_help_and_mistakes_are_answered_without_heavy_imports(
    arguments: list[str], code: int
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    said, _, imported = ended.stderr.rpartition("IMPORTED ")
    assert ended.returncode == code, said
    assert said.strip() or ended.stdout.strip()
    assert HEAVY & set(imported.split()) == set()


def imported_by(module: str) -> set[str]:
    """All modules that a process has after it imported one."""
    ended = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(ended.stdout.split())


@pytest.mark.parametrize("part", ["agent", "coordinator", "minder"])
def test_flows_load_torch_only_for_a_model(part: str) -> None:
    """Each flow run is a process of its own, and most of them enrol, vote on tokens, or release."""
    learning = {"torch", "torchio", "pytorch_lightning", "scipy.optimize", "matplotlib"}
    assert learning & imported_by(f"deployments.{part}") == set()


def test_who_votes_needs_no_lightning() -> None:
    imported = imported_by("cdistrim.prediction")
    assert "torch" in imported
    assert {"pytorch_lightning", "torchio"} & imported == set()
