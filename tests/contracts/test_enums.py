"""Python's enums are the contract's: same names, same values."""

from __future__ import annotations

import re
from enum import IntEnum
from pathlib import Path

import pytest

from cdistrim import protocol

INTERFACE = Path(__file__).resolve().parents[2] / "contracts" / "src" / "ICDistriMTypes.sol"


def _solidity_enums() -> dict[str, list[str]]:
    source = re.sub(r"//[^\n]*", "", INTERFACE.read_text(encoding="utf-8"))
    return {
        name: [member.strip() for member in members.split(",")]
        for name, members in re.findall(r"enum (\w+) \{([^}]*)\}", source)
    }


def _python_enums() -> list[type[IntEnum]]:
    return [
        value
        for value in vars(protocol).values()
        if isinstance(value, type) and issubclass(value, IntEnum) and value is not IntEnum
    ]


@pytest.mark.parametrize("enum", _python_enums(), ids=lambda enum: enum.__name__)
def test_an_enum_of_the_protocol_is_the_contracts(enum: type[IntEnum]) -> None:
    contract = _solidity_enums()[enum.__name__]
    as_python = [re.sub(r"(?<!^)(?=[A-Z])", "_", member).upper() for member in contract]
    assert {name: value for value, name in enumerate(as_python)} == {
        member.name: member.value for member in enum
    }


def test_every_state_of_the_contract_is_known_to_python() -> None:
    known = {enum.__name__ for enum in _python_enums()}
    # What a voter said is told by the lists of approvals and refusals, never by itself.
    assert set(_solidity_enums()) - known <= {"Choice"}
