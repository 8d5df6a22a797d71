"""Every custom error of the contract is a sentence with its values."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak

from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.refusals import SENTENCES, refusal

ERRORS = (*artifact().errors, *views_artifact().errors)
VALUES = {
    "address": "0x" + "ab" * 20,
    "bytes32": b"\xcd" * 32,
    "uint128": 5,
}


def test_there_is_a_sentence_for_every_error_and_none_too_many() -> None:
    assert set(SENTENCES) == {error["name"] for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error["name"]))
def test_an_error_names_all_its_values_and_what_to_do(error: Any) -> None:  # noqa: ANN401
    types = [entry["type"] for entry in error["inputs"]]
    values = [VALUES.get(kind, 1) for kind in types]
    selector = keccak(text=abi_to_signature(error))[:4]
    refused = refusal(selector + eth_abi.encode(types, values))
    assert refused.name == error["name"]
    assert refused.hint
    assert list(refused.arguments) == [entry["name"] for entry in error["inputs"]]
    assert "{" not in refused.what
    if "address" in types:
        assert "0xabababab" in refused.what.lower()
    if "bytes32" in types and "name" not in refused.arguments:
        assert "cd" * 32 in refused.what


def test_a_revert_without_a_reason_is_still_a_refusal() -> None:
    refused = refusal(b"", "execution reverted")
    assert refused.name == "Reverted"
    assert "execution reverted" in refused.what
