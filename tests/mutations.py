"""Random damage to sealed objects: bytes turned, cut, added, moved, or taken from others; JSON.

A :class:`Specimen` is an object as it was written and the function that opens it. :func:`attack`
damages it again and again and wants each damaged one refused, by an error that is meant for it. Run
``number`` of a specimen makes the same moves each time, whatever was run before.
"""

from __future__ import annotations

import base64
import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cdistrim.errors import IntegrityError, SealError

__all__ = ["NotRefused", "Specimen", "Tally", "attack", "mutant"]


@dataclass(frozen=True)
class Specimen:
    """A sealed object.

    Args:
        name: What it is.
        original: Its bytes.
        open: Opens such bytes, whatever that means for them, and returns what was in them.
        donors: Other whole objects of its kind; parts of them are put in. One of them as a whole is
            no damage: whether it opens is not asked.
        joints: Where its parts begin, e.g. chunks: damage likes to happen there.
        refusals: Errors that are answers; any other one is a crash.
    """

    name: str
    original: bytes
    open: Callable[[bytes], object]
    donors: tuple[bytes, ...] = ()
    joints: tuple[int, ...] = ()
    refusals: tuple[type[Exception], ...] = (SealError, IntegrityError)


@dataclass
class Tally:
    """What came of the runs."""

    refused: int = 0
    opened: int = 0
    others: int = 0

    def __str__(self) -> str:
        return (
            f"{self.refused} refused; {self.opened} happened to be the original, and opened; "
            f"{self.others} another whole one"
        )


class NotRefused(Exception):
    """A damaged object was opened, or broke whoever opened it."""


def attack(specimen: Specimen, runs: int) -> Tally:
    """Damage it until ``runs`` damaged ones were refused.

    Raises:
        NotRefused: Once it was opened though its bytes were others, or ended in an error that is
            no refusal. Names the run, and has the damaged object in Base64.
    """
    content, tally = specimen.open(specimen.original), Tally()
    for number in itertools.count():
        if tally.refused == runs:
            break
        damaged = mutant(specimen, number)
        if damaged in specimen.donors:
            tally.others += 1
            continue
        try:
            opened = specimen.open(damaged)
        except specimen.refusals:
            if damaged == specimen.original:
                raise _failed(specimen, number, damaged, "the original was refused") from None
            tally.refused += 1
        except Exception as error:
            raise _failed(specimen, number, damaged, f"{type(error).__name__}: {error}") from error
        else:
            if damaged != specimen.original:
                raise _failed(specimen, number, damaged, "it was opened")
            assert opened == content
            tally.opened += 1
    return tally


def _failed(specimen: Specimen, number: int, damaged: bytes, what: str) -> NotRefused:
    shown = base64.b64encode(damaged[:20000]).decode()
    return NotRefused(f"{specimen.name}, run {number}: {what[:500]}\n{shown}")


def mutant(specimen: Specimen, number: int) -> bytes:
    """The damaged object of one run."""
    chance = random.Random(f"{specimen.name}/{number}")  # noqa: S311  chance, not secrecy
    damaged = specimen.original
    document = damaged.startswith(b"{")
    if document and chance.random() < 0.7:
        return _change_document(chance, specimen)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        damaged = chance.choice(_BYTE_MOVES)(chance, damaged, specimen)
    return damaged


# --- bytes ---


def _cut(chance: random.Random, content: bytes, specimen: Specimen) -> int:
    """A place in the content, often where a part begins."""
    joints = [joint for joint in specimen.joints if joint <= len(content)]
    if joints and chance.random() < 0.5:
        return chance.choice(joints)
    return chance.randint(0, len(content))


def _span(chance: random.Random, content: bytes, specimen: Specimen) -> tuple[int, int]:
    begin, end = sorted(_cut(chance, content, specimen) for _ in range(2))
    return begin, end


def _flip(chance: random.Random, content: bytes, _: Specimen) -> bytes:
    flipped = bytearray(content)
    for _number in range(chance.choice((1, 1, 2, 8)) if flipped else 0):
        flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
    return bytes(flipped)


def _truncate(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    return content[: _cut(chance, content, specimen)]


def _insert(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    at = _cut(chance, content, specimen)
    size = chance.choice((1, 1, 2, 16, 300))
    more = bytes(size) if chance.random() < 0.3 else chance.randbytes(size)
    return content[:at] + more + content[at:]


def _remove(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    begin, end = _span(chance, content, specimen)
    return content[:begin] + content[end:]


def _repeat(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    begin, end = _span(chance, content, specimen)
    return content[:end] + content[begin:end] + content[end:]


def _move(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    begin, end = _span(chance, content, specimen)
    rest = content[:begin] + content[end:]
    at = min(_cut(chance, rest, specimen), len(rest))
    return rest[:at] + content[begin:end] + rest[at:]


def _overwrite(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    begin, end = _span(chance, content, specimen)
    value = chance.choice((b"\0", b"\xff", None))
    written = chance.randbytes(end - begin) if value is None else value * (end - begin)
    return content[:begin] + written + content[end:]


def _splice(chance: random.Random, content: bytes, specimen: Specimen) -> bytes:
    """The same place of another object: a header, a tail, or something between."""
    if not specimen.donors:
        return _flip(chance, content, specimen)
    donor = chance.choice(specimen.donors)
    begin, end = chance.choice((_span(chance, content, specimen), (0, 0), (0, 0)))
    if begin == end:
        at = _cut(chance, content, specimen)
        begin, end = chance.choice(((0, at), (at, max(len(content), len(donor)))))
    return content[:begin] + donor[begin:end] + content[end:]


_ByteMove = Callable[[random.Random, bytes, Specimen], bytes]
_BYTE_MOVES: Sequence[_ByteMove] = (
    _flip,
    _truncate,
    _insert,
    _remove,
    _repeat,
    _move,
    _overwrite,
    _splice,
    _splice,
)


# --- documents ---


def _change_document(chance: random.Random, specimen: Specimen) -> bytes:
    """One to three values changed, then written down again, mostly as it has to be."""
    document = json.loads(specimen.original)
    donors = [json.loads(donor) for donor in specimen.donors if donor.startswith(b"{")]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _change_somewhere(chance, document, donors)
    return _written(chance, document)


def _change_somewhere(chance: random.Random, document: Any, donors: list[Any]) -> None:  # noqa: ANN401
    """Walk to some value and change it; ``donors`` walk along."""
    while document:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        key = chance.choice(keys)
        below = document[key]
        if isinstance(below, dict | list) and below and chance.random() < 0.7:
            document, donors = below, [one for one in _below(donors, key) if one]
            continue
        _change_entry(chance, document, key, _below(donors, key))
        return


def _below(donors: list[Any], key: Any) -> list[Any]:  # noqa: ANN401
    found = []
    for donor in donors:
        try:
            found.append(donor[key])
        except (LookupError, TypeError):
            continue
    return found


def _change_entry(chance: random.Random, holder: Any, key: Any, donors: list[Any]) -> None:  # noqa: ANN401
    move = chance.choice(("value", "value", "value", "donor", "drop", "add", "swap", "rename"))
    if move == "donor" and donors:
        holder[key] = chance.choice(donors)
    elif move == "drop":
        del holder[key]
    elif move == "add" and isinstance(holder, dict):
        holder[_text(chance, "more")] = _value(chance, holder[key])
    elif move == "swap":
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        other = chance.choice(keys)
        holder[key], holder[other] = holder[other], holder[key]
    elif move == "rename" and isinstance(holder, dict):
        holder[_text(chance, key)] = holder.pop(key)
    else:
        holder[key] = _value(chance, holder[key])


def _value(chance: random.Random, value: Any) -> Any:  # noqa: ANN401
    """Something near the value, or of another kind."""
    if chance.random() < 0.25:
        return chance.choice(
            (None, True, False, 0, 1, -1, 0.5, 1e400, 1 << 64, -(1 << 200), "", "0", [], {}, [1])
        )
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        other = value + chance.choice((-1, 1, 1 << 31, 1 << 32, 1 << 63))
        return chance.choice((other, other, float(value), str(value), -value, [value]))
    if isinstance(value, str):
        return _text(chance, value)
    return chance.choice((None, [value], {"": value}, json.dumps(value, default=str)))


def _text(chance: random.Random, text: str) -> str:
    """A text near this one; as Base64 and as an address it may still be fine."""
    at = chance.randrange(len(text)) if text else 0
    alphabet = "0123456789abcdefABCDEFxX+/=-_ \n\0\u00e9\u2028\ud800"
    kinds: Sequence[Callable[[], str]] = (
        lambda: text[:at] + chance.choice(alphabet) + text[at + 1 :],
        lambda: text[:at] + chance.choice(alphabet) + text[at:],
        lambda: text[:at] + text[at + 1 :],
        lambda: text[:at],
        lambda: text + text,
        text.upper,
        text.swapcase,
        lambda: text[:-1] + chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567+/"),
        lambda: text.rstrip("=") + "=" * chance.randrange(4),
        lambda: " " + text,
        lambda: base64.b64encode(chance.randbytes(3 * len(text) // 4)).decode(),
    )
    return chance.choice(kinds)()


def _written(chance: random.Random, document: Any) -> bytes:  # noqa: ANN401
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    if chance.random() < 0.8:
        return canonical
    first, _, rest = canonical.partition(b",")
    ways: Sequence[Callable[[], bytes]] = (
        lambda: json.dumps(document).encode(),
        lambda: json.dumps(document, indent=1).encode(),
        lambda: json.dumps(document, ensure_ascii=False).encode(errors="surrogatepass"),
        lambda: json.dumps(document).encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + canonical,
        lambda: canonical + chance.choice((b"\n", b" ", b"\0", b"{}", canonical)),
        lambda: first + b"," + first.lstrip(b"{") + b"," + rest,
        lambda: b"[" * 100_000,
        lambda: canonical[:-1] + b',"deep":' + b"[" * 3000 + b"]" * 3000 + b"}",
        lambda: canonical[:-1] + b',"more":' + b"9" * 5000 + b"}",
    )
    return chance.choice(ways)()
