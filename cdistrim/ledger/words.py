"""The contract's records of one word (``ValueTypes.sol``), and names of 32 bytes. No I/O."""

from __future__ import annotations

import math

from eth_utils.address import is_checksum_address, is_hex_address, to_checksum_address

from cdistrim.errors import DataError, UsageError
from cdistrim.ledger.interface import NO_EVIDENCE
from cdistrim.protocol import BallotId, BallotKind, Clock, Evidence
from cdistrim.spec import DeadlineSpec

__all__ = [
    "account_word",
    "as_kept",
    "ballot_of",
    "ballot_word",
    "deadlines_of",
    "deadlines_word",
    "evidence_of",
    "evidence_word",
    "name_of",
    "name_word",
]

_AUC = 10**9
_VARIANCE = 10**18
_NAME_BYTES = 31

# Field and width in bits, lowest first.
_BALLOT = (("kind", 8), ("campaign", 40), ("slot", 32), ("attempt", 16), ("opener", 160))
_EVIDENCE = (
    ("auc_head", 32),
    ("auc_candidate", 32),
    ("variance", 64),
    ("positives", 32),
    ("negatives", 32),
)
_DEADLINES = tuple((clock.name.lower(), 32) for clock in Clock)

Fields = tuple[tuple[str, int], ...]


def ballot_word(ballot: BallotId) -> int:
    """The contract's ``BallotId``.

    Raises:
        UsageError: A number is too large or negative, or the opener no account.
    """
    values = vars(ballot) | {"opener": int(ballot.opener, 16), "kind": int(ballot.kind)}
    return _pack("ballot", _BALLOT, values)


def ballot_of(word: int) -> BallotId:
    """What a ballot's id says."""
    values = _unpack(_BALLOT, word)
    return BallotId(
        kind=BallotKind(values["kind"]),
        campaign=values["campaign"],
        slot=values["slot"],
        attempt=values["attempt"],
        opener=str(to_checksum_address(values["opener"].to_bytes(20))),
    )


def evidence_word(evidence: Evidence | None) -> int:
    """The contract's ``Evidence``: AUCs in 1e-9, the variance in 1e-18.

    Raises:
        DataError: An AUC is outside [0, 1], a variance negative, or something not finite.
        UsageError: A count does not fit 32 bits.
    """
    given = evidence or NO_EVIDENCE
    for name in ("auc_head", "auc_candidate", "variance"):
        value = getattr(given, name)
        if not math.isfinite(value) or value < 0 or (name != "variance" and value > 1):
            raise DataError(
                f"Evidence with {name} {value!r} can't go to the ledger.",
                hint="AUCs are in [0, 1] and variances at least 0.",
            )
    values = {
        "auc_head": round(given.auc_head * _AUC),
        "auc_candidate": round(given.auc_candidate * _AUC),
        "variance": round(given.variance * _VARIANCE),
        "positives": given.positives,
        "negatives": given.negatives,
    }
    return _pack("evidence", _EVIDENCE, values)


def evidence_of(word: int) -> Evidence:
    """The evidence in a word."""
    values = _unpack(_EVIDENCE, word)
    return Evidence(
        auc_head=values["auc_head"] / _AUC,
        auc_candidate=values["auc_candidate"] / _AUC,
        variance=values["variance"] / _VARIANCE,
        positives=values["positives"],
        negatives=values["negatives"],
    )


def as_kept(evidence: Evidence | None) -> Evidence:
    """Evidence as it comes back from the ledger: rounded, and zeros for none.

    Raises:
        DataError, UsageError: As of :func:`evidence_word`.
    """
    return evidence_of(evidence_word(evidence))


def deadlines_word(deadlines: DeadlineSpec) -> int:
    """The contract's ``Deadlines``, in seconds.

    Raises:
        UsageError: One does not fit 32 bits.
    """
    values = {name: int(getattr(deadlines, name)) for name, _ in _DEADLINES}
    return _pack("deadlines", _DEADLINES, values)


def deadlines_of(word: int) -> DeadlineSpec:
    """The deadlines in a word."""
    # Unchecked: a planned campaign that does not exist has zeros, which no spec may have.
    return DeadlineSpec.model_construct(None, **_unpack(_DEADLINES, word))


def account_word(text: str) -> str:
    """An account or a contract's address as everything here has it: with its checksum (EIP-55).

    Raises:
        UsageError: It is none, or its upper and lower case say that a digit is wrong.
    """
    digits = text.removeprefix("0x")
    if not text.startswith("0x") or not is_hex_address(text):
        raise UsageError(f"{text!r} is no address.", hint="It has 0x and 40 hexadecimal digits.")
    if digits not in (digits.lower(), digits.upper()) and not is_checksum_address(text):
        raise UsageError(
            f"{text!r} has a typing error: upper and lower case are not its checksum (EIP-55).",
            hint="Copy it from where it was printed.",
        )
    return str(to_checksum_address(text))


def name_word(name: str) -> bytes:
    """A member's name as the contract keeps it: ASCII, zeros behind.

    Raises:
        UsageError: It is not ASCII, or longer than 31 characters.
    """
    if not name.isascii() or len(name) > _NAME_BYTES:
        raise UsageError(
            f"{name!r} can't be a member's name on the ledger.",
            hint="Use at most 31 of a-z, 0-9 and '-'.",
        )
    return name.encode().ljust(32, b"\0")


def name_of(word: bytes) -> str:
    """The name in 32 bytes, printable whatever they are.

    The contract has checked what it stores; a node may say anything.
    """
    name = word.rstrip(b"\0").decode("ascii", errors="replace")
    return "".join(each if each.isprintable() else "\ufffd" for each in name)


def _pack(what: str, fields: Fields, values: dict[str, int]) -> int:
    word, shift = 0, 0
    for name, bits in fields:
        value = int(values[name])
        if not 0 <= value < 1 << bits:
            raise UsageError(
                f"{name} {value} of the {what} does not fit the ledger's {bits} bits.",
                hint="Numbers there are not negative and bounded.",
            )
        word |= value << shift
        shift += bits
    return word


def _unpack(fields: Fields, word: int) -> dict[str, int]:
    values = {}
    for name, bits in fields:
        values[name] = word & ((1 << bits) - 1)
        word >>= bits
    return values
