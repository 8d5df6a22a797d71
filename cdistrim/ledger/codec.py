"""The shipped artifacts, and the contracts' ABI in both directions.

Enums, structs and value types of ``ICDistriM`` become the project's own types here and in
``words``, nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum
from functools import cache
from importlib import resources
from typing import Any, cast

from eth_abi import abi as eth_abi
from eth_abi.exceptions import DecodingError, EncodingError
from eth_typing import ABIFunction
from eth_utils.abi import abi_to_signature, collapse_if_tuple
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from cdistrim.errors import ForeignContractError, UsageError
from cdistrim.ledger.interface import Candidate
from cdistrim.ledger.words import ballot_of, deadlines_of, evidence_of, evidence_word, name_of
from cdistrim.protocol import (
    BallotId,
    BallotKind,
    BallotState,
    CampaignState,
    FinalFetchState,
    Mode,
    RestartReason,
    RestoreReason,
    SkipReason,
    SlotState,
)

__all__ = ["ENUMS", "Artifact", "Spec", "artifact", "candidate_fields", "views_artifact"]

Spec = dict[str, Any]
"""One entry of a Solidity ABI in JSON, or one input of an entry."""

ENUMS: Mapping[str, type[IntEnum]] = {
    kind.__name__: kind
    for kind in (
        BallotKind,
        BallotState,
        CampaignState,
        FinalFetchState,
        Mode,
        RestartReason,
        RestoreReason,
        SkipReason,
        SlotState,
    )
}
"""The contract's enums, by their names there."""


class Artifact:
    """ABI and code of a contract that this release talks to.

    Args:
        document: ``abi``, ``bytecode``, ``deployedBytecode`` and ``immutableReferences``, as solc
            writes them.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        entries: list[Spec] = document["abi"]
        constructors = (entry for entry in entries if entry["type"] == "constructor")
        self._constructor: Spec = next(constructors, {"inputs": []})
        self._functions = {e["name"]: e for e in entries if e["type"] == "function"}
        self._events = {_hash(e): e for e in entries if e["type"] == "event"}
        self._errors = {_hash(e)[:4]: e for e in entries if e["type"] == "error"}
        self._bytecode = bytes.fromhex(document["bytecode"].removeprefix("0x"))
        self._deployed = bytes.fromhex(document["deployedBytecode"].removeprefix("0x"))
        self._immutables = [r for some in document["immutableReferences"].values() for r in some]

    @property
    def errors(self) -> tuple[Spec, ...]:
        """The ABI entries of the custom errors."""
        return tuple(self._errors.values())

    def has(self, function: str) -> bool:
        """Whether the contract has a function of this name."""
        return function in self._functions

    def is_code(self, found: bytes) -> bool:
        """Whether deployed code is this artifact's, whatever its immutables say."""
        return self._masked(found) == self._masked(self._deployed)

    def _masked(self, code: bytes) -> bytes:
        masked = bytearray(code)
        for reference in self._immutables:
            start, end = reference["start"], reference["start"] + reference["length"]
            masked[start:end] = bytes(len(masked[start:end]))
        return bytes(masked)

    def encode(self, function: str, arguments: Sequence[object]) -> bytes:
        """Call data of a function.

        Raises:
            UsageError: An argument does not fit its type.
        """
        spec = self._functions[function]
        return _hash(spec)[:4] + _encode(function, spec["inputs"], arguments)

    def encode_deployment(self, arguments: Sequence[object]) -> bytes:
        """Creation code with the constructor's arguments.

        Raises:
            UsageError: An argument does not fit its type.
        """
        inputs = self._constructor["inputs"]
        return self._bytecode + _encode("the constructor", inputs, arguments)

    def decode_result(self, function: str, data: bytes) -> Any:  # noqa: ANN401 - as the ABI says
        """What a view returned, a tuple where that is several; structs are dicts unless they
        have a type here.

        Raises:
            ForeignContractError: That is no answer of this contract.
        """
        try:
            values = _decode(self._functions[function]["outputs"], data)
            return values[0] if len(values) == 1 else tuple(values)
        except (DecodingError, ValueError) as error:
            raise ForeignContractError(
                f"The answer to {function} is not what this contract returns.",
                hint="Check the contract address and the release of this program.",
            ) from error

    def decode_event(self, topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, Any]]:
        """Name and arguments of a log. What a ballot's id says counts as arguments, too."""
        spec, raw = self.raw_event(topics, data)
        values = {entry["name"]: _value(entry, raw[entry["name"]]) for entry in spec["inputs"]}
        ballot = values.get("ballot")
        about = vars(ballot) if isinstance(ballot, BallotId) else {}
        return spec["name"], values | about

    def raw_event(self, topics: Sequence[bytes], data: bytes) -> tuple[Spec, dict[str, Any]]:
        """The ABI's entry of a log, and its arguments as eth_abi decodes them."""
        spec = self._events[bytes(topics[0])]
        indexed = [entry for entry in spec["inputs"] if entry["indexed"]]
        others = [entry for entry in spec["inputs"] if not entry["indexed"]]
        first = eth_abi.decode(_types(indexed), b"".join(bytes(topic) for topic in topics[1:]))
        second = eth_abi.decode(_types(others), data)
        return spec, _named(indexed, first) | _named(others, second)

    def event(self, name: str) -> Spec | None:
        """The ABI's entry of an event; None if the contract has none of this name."""
        return next((each for each in self._events.values() if each["name"] == name), None)

    def decode_error(self, data: bytes) -> tuple[str, dict[str, Any]] | None:
        """Name and arguments of a custom error; None if it is none of this contract's."""
        spec = self._errors.get(data[:4])
        if spec is None:
            return None
        try:
            return spec["name"], _named(spec["inputs"], _decode(spec["inputs"], data[4:]))
        except (DecodingError, ValueError):
            return None


@cache
def artifact() -> Artifact:
    """The ledger's artifact that the package ships."""
    return _shipped("CDistriM")


@cache
def views_artifact() -> Artifact:
    """The artifact of the derived views that the package ships."""
    return _shipped("CDistriMViews")


def _shipped(contract: str) -> Artifact:
    path = resources.files("cdistrim.ledger").joinpath(f"{contract}.json")
    return Artifact(json.loads(path.read_bytes()))


def candidate_fields(candidate: Candidate) -> tuple[object, ...]:
    """The contract's ``Candidate``."""
    return (
        candidate.parent,
        candidate.ciphertext_hash,
        candidate.weights_hash,
        candidate.capsule_hash,
        evidence_word(candidate.evidence),
    )


def _candidate(fields: Mapping[str, Any], spec: Spec, raw: object) -> Candidate:
    # Of the fields as they came: figures that became floats are not always the same again.
    digest = keccak(eth_abi.encode([collapse_if_tuple(spec)], [raw]))
    return Candidate(**{_snake(name): value for name, value in fields.items()}, digest=digest)


_VALUE_TYPES: Mapping[str, Callable[[int], object]] = {
    "BallotId": ballot_of,
    "Deadlines": deadlines_of,
    "Evidence": evidence_of,
}


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower()


def _hash(spec: Spec) -> bytes:
    return keccak(text=abi_to_signature(cast("ABIFunction", spec)))


def _types(specs: Iterable[Spec]) -> list[str]:
    return [collapse_if_tuple(spec) for spec in specs]


def _encode(function: str, specs: Sequence[Spec], arguments: Sequence[object]) -> bytes:
    try:
        return eth_abi.encode(_types(specs), list(arguments))
    except (EncodingError, TypeError, ValueError) as error:
        raise UsageError(
            f"The arguments of {function} do not fit the contract's types: {error}",
            hint="Hashes have 32 bytes, accounts 20, and numbers are not negative.",
        ) from error


def _decode(specs: Sequence[Spec], data: bytes) -> list[Any]:
    values = eth_abi.decode(_types(specs), data)
    return [_value(spec, value) for spec, value in zip(specs, values, strict=True)]


def _named(specs: Sequence[Spec], values: Sequence[Any]) -> dict[str, Any]:
    return {spec["name"]: value for spec, value in zip(specs, values, strict=True)}


def _value(spec: Spec, raw: Any) -> Any:  # noqa: ANN401 - as the ABI says
    """A decoded value in the project's own types."""
    kind = str(spec["type"])
    if kind.endswith("[]"):
        element = {**spec, "type": kind[:-2], "internalType": spec["internalType"][:-2]}
        return tuple(_value(element, each) for each in raw)
    word = str(spec["internalType"]).rpartition(".")[2]
    if kind == "tuple":
        parts = spec["components"]
        values = [_value(part, each) for part, each in zip(parts, raw, strict=True)]
        fields = _named(parts, values)
        return _candidate(fields, spec, raw) if word == "Candidate" else fields
    if kind == "address":
        return to_checksum_address(raw)
    if word in _VALUE_TYPES:
        return _VALUE_TYPES[word](raw)
    if kind == "bytes32" and spec["name"] == "name":
        return name_of(raw)
    return ENUMS[word](raw) if word in ENUMS else raw
