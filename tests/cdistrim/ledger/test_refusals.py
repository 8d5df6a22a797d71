"""Every custom error of the contract is a sentence with its values."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi import abi as eth_abi
from eth_utils.abi import abi_to_signature
from eth_utils.crypto import keccak

from cdistrim.errors import LedgerRefusal
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.refusals import SENTENCES, refusal

ERRORS = (*artifact().errors, *views_artifact().errors)


def refused_with(error: Any) -> LedgerRefusal:  # noqa: ANN401 - of an ABI
    """An error whose arguments are 1, 2, 3, … and hashes and accounts of these bytes."""
    types = [entry["type"] for entry in error["inputs"]]
    values: list[object] = []
    for place, kind in enumerate(types, start=1):
        of_bytes = {"address": "0x" + f"{place:02x}" * 20, "bytes32": bytes([place]) * 32}
        values.append(of_bytes.get(kind, place))
    selector = keccak(text=abi_to_signature(error))[:4]
    return refusal(selector + eth_abi.encode(types, values))


def test_there_is_a_sentence_for_every_error_and_none_too_many() -> None:
    assert set(SENTENCES) == {error["name"] for error in ERRORS}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: str(error["name"]))
def test_an_error_names_all_its_values_and_what_to_do(error: Any) -> None:  # noqa: ANN401
    types = [entry["type"] for entry in error["inputs"]]
    refused = refused_with(error)
    assert refused.name == error["name"]
    assert refused.hint
    assert list(refused.arguments) == [entry["name"] for entry in error["inputs"]]
    assert "{" not in refused.what
    for place, (kind, name) in enumerate(zip(types, refused.arguments, strict=True), start=1):
        if kind == "address":
            assert "0x" + f"{place:02x}" * 20 in refused.what.lower()
        if kind == "bytes32" and name != "name":
            assert f"{place:02x}" * 32 in refused.what


def test_every_value_stands_where_it_belongs() -> None:
    """A sentence whose placeholders were swapped would say the opposite of what is meant."""
    pairs = {
        "NotYourTurn": f"Slot 2 of campaign 1 belongs to 0x{'03' * 20}, not to 0x{'04' * 20}.",
        "NotAPartner": f"0x{'02' * 20} is no partner of campaign 1.",
        "NoSlot": "Campaign 1 has no slot 2.",
        "NoModel": "Slot 2 of campaign 1 has no accepted model.",
        "WrongCampaignState": "The campaign is running; this needs completed.",
        "WrongState": "The slot is fetch requested; this needs fetch granted.",
        "WrongFinalFetchState": "is requested; this needs granted.",
        "WrongSlot": "Asked for slot 2 of campaign 1, but slot 3 is open.",
        "WrongAttempt": "Asked for attempt 1, but attempt 2 is open.",
        "WrongParent": "started from slot 2, but the head is slot 1.",
        "NotAnAncestor": "Slot 2 is no ancestor of the head, slot 1.",
        "HeadMoved": "granted as slot 1; since then slot 2 is the head.",
        "DeadlinePassed": "The deadline was 1; the ledger's time is 2.",
        "DeadlineNotPassed": "The deadline is 1; the ledger's time is 2.",
        "WrongSubject": f"The ballot is about {'02' * 32}, not about {'01' * 32}.",
        "RecordMismatch": f"on the record {'01' * 32}; given was {'02' * 32}.",
        "BadQuorum": "A quorum of 1 of 2 partners",
    }
    for error in ERRORS:
        if error["name"] in pairs:
            assert pairs.pop(error["name"]) in refused_with(error).what
    assert not pairs


def test_a_revert_without_a_reason_is_still_a_refusal() -> None:
    refused = refusal(b"", "execution reverted")
    assert refused.name == "Reverted"
    assert "execution reverted" in refused.what
