"""The unit files say what systemd understands and start commands that exist."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cdistrim.cli import app
from cdistrim.passphrase import CREDENTIAL

UNITS = sorted(
    (Path(__file__).parents[2] / "deployments" / "systemd").glob("*.service"),
    key=lambda path: path.name,
)

SANDBOX = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "CapabilityBoundingSet": "",
    "UMask": "0077",
}


def _settings(unit: Path) -> dict[str, list[str]]:
    """All assignments of a unit; a name may occur more than once."""
    settings = defaultdict(list)
    for line in unit.read_text().splitlines():
        if line and line[0] not in "#[":
            name, equals, value = line.partition("=")
            assert equals, f"{unit.name}: {line!r} is no assignment"
            settings[name].append(value)
    return settings


def _ids(unit: Path) -> str:
    return unit.name


def test_there_is_a_unit_for_sites_and_one_for_the_coordinator() -> None:
    assert [unit.name for unit in UNITS] == [
        "cdistrim-coordinator.service",
        "cdistrim-site@.service",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=_ids)
def test_a_unit_starts_a_command_that_exists(unit: Path) -> None:
    (command,) = _settings(unit)["ExecStart"]
    program, *arguments = shlex.split(command)
    assert Path(program).name == "cdistrim"
    words = [word for word in arguments if not word.startswith(("/", "$"))]
    options = [word for word in words if word.startswith("--")]
    shown = CliRunner().invoke(app, [w for w in words if w not in options] + ["--help"])
    assert shown.exit_code == 0, shown.output
    assert all(option in shown.output for option in options)


@pytest.mark.parametrize("unit", UNITS, ids=_ids)
def test_a_unit_is_started_again_whatever_happens(unit: Path) -> None:
    settings = _settings(unit)
    assert settings["Restart"] == ["always"]
    assert settings["StartLimitIntervalSec"] == ["0"]


@pytest.mark.parametrize("unit", UNITS, ids=_ids)
def test_a_unit_shuts_its_process_in(unit: Path) -> None:
    settings = _settings(unit)
    assert {name: settings[name][0] for name in SANDBOX} == SANDBOX
    assert settings["User"] != ["root"]


@pytest.mark.parametrize("unit", UNITS, ids=_ids)
def test_no_unit_carries_a_secret(unit: Path) -> None:
    environment = " ".join(_settings(unit)["Environment"])
    assert "PASSPHRASE" not in environment
    assert "AUTH_STRING" not in environment


def test_the_passphrase_comes_as_the_credential_that_sites_look_for() -> None:
    (site,) = (unit for unit in UNITS if "site" in unit.name)
    (credential,) = _settings(site)["LoadCredentialEncrypted"]
    assert credential.split(":")[0] == CREDENTIAL
