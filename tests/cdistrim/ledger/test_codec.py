"""The artifact against the sources and against the protocol's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cdistrim.ledger.codec import ENUMS, Artifact, artifact

INTERFACE = Path(__file__).parents[3] / "contracts" / "src" / "ICDistriMTypes.sol"


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_an_enum_has_the_values_of_the_contracts(name: str) -> None:
    source = re.sub(r"//.*", "", INTERFACE.read_text(encoding="utf-8"))
    body = re.search(rf"enum {name} {{(.*?)}}", source, re.DOTALL)
    assert body is not None
    words = [word.strip() for word in body[1].split(",")]
    snake = [re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper() for word in words]
    assert [member.name for member in ENUMS[name]] == snake
    assert [member.value for member in ENUMS[name]] == list(range(len(words)))


def test_code_is_compared_without_what_the_constructor_writes_into_it() -> None:
    document = {
        "abi": [{"type": "constructor", "inputs": []}],
        "bytecode": "0x00",
        "deployedBytecode": "0x6001600000aa",
        "immutableReferences": {"7": [{"start": 3, "length": 2}]},
    }
    ours = Artifact(document)
    assert ours.is_code(bytes.fromhex("6001600000aa"))
    assert ours.is_code(bytes.fromhex("600160beefaa"))
    assert not ours.is_code(bytes.fromhex("600160beefab"))
    assert not ours.is_code(bytes.fromhex("600160beefaa00"))
    assert not ours.is_code(b"")


def test_data_of_another_contract_is_no_error_of_ours() -> None:
    assert artifact().decode_error(b"\x12\x34\x56\x78") is None
    assert artifact().decode_error(b"") is None
