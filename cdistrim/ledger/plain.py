"""An event's arguments as JSON can have them: one form for each value, nothing rounded.

=============================  ====================================================================
in the contract                here
=============================  ====================================================================
number, truth value            the same
``address``                    text with its checksum (EIP-55)
``bytes32``, ``bytes``         text, "0x" and hexadecimal digits in lower case
a name in 32 bytes             text without the zeros
a mask of seats (``uint128``)  the seats, ascending
an enum                        its name, as in :mod:`cdistrim.protocol`
``BallotId``                   kind, campaign, slot, attempt, opener
``Evidence``                   aucHead and aucCandidate in 1e-9, variance in 1e-18, positives,
                               negatives
``Deadlines``                  seconds, by the clock's name in lower case
``Candidate``                  its fields by the contract's names
=============================  ====================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from eth_utils.address import is_checksum_address, to_checksum_address

from cdistrim.ledger.codec import ENUMS, Spec, artifact
from cdistrim.ledger.interface import NAME_PATTERN
from cdistrim.ledger.words import name_of
from cdistrim.protocol import BallotKind, Clock

__all__ = ["plain_event", "problem_of_event"]

Widths = tuple[tuple[str, int], ...]
"""Fields of a word and their bits, lowest first."""

_EVIDENCE: Final[Widths] = (
    ("aucHead", 32),
    ("aucCandidate", 32),
    ("variance", 64),
    ("positives", 32),
    ("negatives", 32),
)
_DEADLINES: Final[Widths] = tuple((clock.name.lower(), 32) for clock in Clock)
_BALLOT: Final[Widths] = (("campaign", 40), ("slot", 32), ("attempt", 16))
_KIND_BITS, _OPENER_BITS = 8, 160
_MASK = "uint128"
_SEATS = 128
_HEX = re.compile(r"0x([0-9a-f]{2})*")
_NAME = re.compile(NAME_PATTERN)


def plain_event(topics: Sequence[bytes], data: bytes) -> tuple[str, dict[str, object]]:
    """Name and arguments of a log.

    Raises:
        DecodingError, LookupError, ValueError: It is none of the contract's.
    """
    spec, raw = artifact().raw_event(topics, data)
    return spec["name"], {
        entry["name"]: _plain(entry, raw[entry["name"]]) for entry in spec["inputs"]
    }


def problem_of_event(name: str, arguments: Mapping[str, object]) -> str:
    """What keeps this from being an event of the contract in the form above; empty if nothing."""
    spec = artifact().event(name)
    if spec is None:
        return f"the contract has no event {name[:50]!r}"
    return _problem_of_fields(spec["inputs"], arguments)


# --- from the chain -------------------------------------------------------------------------------


def _plain(spec: Spec, raw: Any) -> object:  # noqa: ANN401 - as eth_abi decodes it
    kind, word = str(spec["type"]), _word_of(spec)
    if kind.endswith("[]"):
        return [_plain(_element(spec), each) for each in raw]
    if kind == "tuple":
        parts = spec["components"]
        return {part["name"]: _plain(part, each) for part, each in zip(parts, raw, strict=True)}
    if kind == "address":
        return str(to_checksum_address(raw))
    if kind == "bytes32" and spec["name"] == "name":
        return name_of(raw)
    if kind.startswith("bytes"):
        return "0x" + bytes(raw).hex()
    if word in ENUMS:
        return ENUMS[word](raw).name
    if word in _WORDS:
        return _WORDS[word][0](raw)
    return [seat for seat in range(_SEATS) if raw >> seat & 1] if kind == _MASK else raw


def _fields(widths: Widths) -> Callable[[int], dict[str, object]]:
    def split(word: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, bits in widths:
            found[name] = word & ((1 << bits) - 1)
            word >>= bits
        if word:
            raise ValueError("more than its fields")
        return found

    return split


def _ballot(word: int) -> dict[str, object]:
    kind = BallotKind(word & ((1 << _KIND_BITS) - 1)).name
    middle = word >> _KIND_BITS & ((1 << sum(bits for _, bits in _BALLOT)) - 1)
    opener = (word >> (256 - _OPENER_BITS)).to_bytes(_OPENER_BITS // 8)
    return {"kind": kind, **_fields(_BALLOT)(middle), "opener": str(to_checksum_address(opener))}


# --- from a file ----------------------------------------------------------------------------------


def _problem_of_fields(specs: Sequence[Spec], found: object) -> str:
    names = {spec["name"] for spec in specs}
    if not isinstance(found, Mapping) or found.keys() != names:
        return f"it does not have exactly the arguments {', '.join(sorted(names))}"
    problems = (_problem(spec, found[spec["name"]]) for spec in specs)
    return next((problem for problem in problems if problem), "")


def _problem(spec: Spec, found: object) -> str:
    kind, word = str(spec["type"]), _word_of(spec)
    if kind.endswith("[]"):
        if not isinstance(found, list):
            return _is_no(spec, "list", found)
        return next((what for each in found if (what := _problem(_element(spec), each))), "")
    if kind == "tuple":
        return _problem_of_fields(spec["components"], found)
    if word in _WORDS:
        return "" if _WORDS[word][1](found) else _is_no(spec, word, found)
    if word in ENUMS:
        there = isinstance(found, str) and found in ENUMS[word].__members__
        return "" if there else _is_no(spec, word, found)
    if kind == "bytes32" and spec["name"] == "name":
        kind = "name"
    return "" if _FITS[kind](found) else _is_no(spec, kind, found)


def _is_no(spec: Spec, kind: str, found: object) -> str:
    return f"{spec['name']} {str(found)[:80]!r} is no {kind}"


def _is_number(bits: int) -> Callable[[object], bool]:
    return lambda found: type(found) is int and 0 <= found < 1 << bits


def _is_account(found: object) -> bool:
    return isinstance(found, str) and found.startswith("0x") and is_checksum_address(found)


def _is_mask(found: object) -> bool:
    return (
        isinstance(found, list)
        and all(type(seat) is int and 0 <= seat < _SEATS for seat in found)
        and all(one < two for one, two in pairwise(found))
    )


def _is_bytes(found: object) -> bool:
    return isinstance(found, str) and _HEX.fullmatch(found) is not None


def _has(widths: Widths) -> Callable[[object], bool]:
    def fits(found: object) -> bool:
        return (
            isinstance(found, Mapping)
            and found.keys() == {name for name, _ in widths}
            and all(_is_number(bits)(found[name]) for name, bits in widths)
        )

    return fits


def _is_ballot(found: object) -> bool:
    if not isinstance(found, Mapping) or not found.keys() >= {"kind", "opener"}:
        return False
    rest = {name: value for name, value in found.items() if name not in ("kind", "opener")}
    kind = found["kind"]
    known = isinstance(kind, str) and kind in BallotKind.__members__
    return known and _is_account(found["opener"]) and _has(_BALLOT)(rest)


_WORDS: Mapping[str, tuple[Callable[[int], object], Callable[[object], bool]]] = {
    "BallotId": (_ballot, _is_ballot),
    "Evidence": (_fields(_EVIDENCE), _has(_EVIDENCE)),
    "Deadlines": (_fields(_DEADLINES), _has(_DEADLINES)),
}

_FITS: Mapping[str, Callable[[object], bool]] = {
    **{f"uint{bits}": _is_number(bits) for bits in (8, 16, 32, 48, 64, 256)},
    _MASK: _is_mask,
    "bool": lambda found: type(found) is bool,
    "address": _is_account,
    "bytes": _is_bytes,
    "bytes32": lambda found: _is_bytes(found) and len(str(found)) == 66,
    "name": lambda found: isinstance(found, str) and _NAME.fullmatch(found) is not None,
}


def _word_of(spec: Spec) -> str:
    return str(spec["internalType"]).rpartition(".")[2].rpartition(" ")[2]


def _element(spec: Spec) -> Spec:
    return {**spec, "type": spec["type"][:-2], "internalType": spec["internalType"][:-2]}
