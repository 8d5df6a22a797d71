"""JSON that people write: settings and campaign specs. Bounded, and understood in one way only.

Another reader of the same file may take the first of two equal keys where this one would take the
last, and may take ``true`` for 1. So whatever can be read in two ways is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from cdistrim.files import read_regular

__all__ = ["MAX_FILE", "NotUnderstood", "problem_of", "read_written", "understand"]

MAX_FILE = 1 << 20
"""Upper bound of such a file in bytes; a spec has some thousand."""

_LONGEST = 60

Kind = TypeVar("Kind", bound=BaseModel)


class NotUnderstood(ValueError):
    """A document that is not what it should be.

    Args:
        where: The field; empty for the document as a whole.
        what: What is wrong there. Never has the field's value: an address may have a token in it.
        value: The value, as JSON, for who may show it; empty where it is no single one.
    """

    def __init__(self, where: str, what: str, value: str = "") -> None:
        super().__init__(f"{where or 'the document'}: {what}")
        self.where = where or "the document"
        self.what = what
        self.value = value


def read_written(path: Path) -> bytes:
    """A file's content. Of one that is too large, enough for :func:`understand` to refuse it.

    Raises:
        OSError: It can't be read, or is no regular file.
    """
    return read_regular(path, MAX_FILE + 1)


def understand(document: bytes, kind: type[Kind]) -> Kind:
    """What a document says.

    Args:
        document: JSON, any formatting.
        kind: A model in strict mode: numbers are no texts, truth values no numbers.

    Raises:
        NotUnderstood: It is too large, no JSON, has a key twice in one object, or is no ``kind``.
    """
    if len(document) > MAX_FILE:
        raise NotUnderstood("", f"it has more than {MAX_FILE} bytes")
    try:
        from_json(document)
    except ValueError as error:
        raise NotUnderstood("", f"it is no JSON, {error}") from None
    # After that one, which bounds how deeply things are nested: Python's own reader ends the whole
    # process on what is too deep. Numbers stay texts, which may have any number of digits.
    json.loads(document, object_pairs_hook=_each_once, parse_int=str, parse_float=str)
    try:
        return kind.model_validate_json(document)
    except ValidationError as error:
        where, what = problem_of(error, kind)
        raise NotUnderstood(where, what, _value_of(error)) from None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise NotUnderstood("", f"the key {_clipped(key)} is there twice in one object")
        found[key] = value
    return found


_IN_OUR_WORDS = {
    "bool_type": "it has to be true or false, without quotation marks",
    "int_type": "it has to be a whole number, without quotation marks or a decimal point",
    "float_type": "it has to be a number, without quotation marks",
    "string_type": "it has to be a text in quotation marks",
    "extra_forbidden": "there is no such setting",
    "missing": "it is missing",
}


def problem_of(error: ValidationError, kind: type[BaseModel]) -> tuple[str, str]:
    """Where the first problem is, an empty string for the whole, and what it is.

    A name that does not exist comes before what else is wrong, e.g. that the right one is missing,
    and the nearest name is told.

    Args:
        error: What pydantic found.
        kind: Of what: says which names there are.
    """
    first = error.errors(include_url=False, include_input=False)[_first(error)]
    where = ".".join(_place(first["loc"], kind))
    told = first["msg"].removeprefix("Value error, ").removesuffix(".")
    told = _IN_OUR_WORDS.get(first["type"], told)
    if first["type"].startswith("union_tag"):
        context = first["ctx"]
        where = f"{where}.{context['discriminator']}".replace("'", "")
        tags = context.get("expected_tags")
        told = f"it has to be one of {tags}" if tags else _IN_OUR_WORDS["missing"]
    nearest = _nearest(where, list(_names(kind))) if first["type"] == "extra_forbidden" else ""
    return where, f"{told}; the nearest is {nearest}" if nearest else told


def _first(error: ValidationError) -> int:
    """Which of the problems is told."""
    kinds = [each["type"] for each in error.errors(include_url=False, include_input=False)]
    return kinds.index("extra_forbidden") if "extra_forbidden" in kinds else 0


def _value_of(error: ValidationError) -> str:
    """The value that the first problem is about, as JSON; empty if it says nothing, or too much."""
    first = error.errors(include_url=False)[_first(error)]
    value = first["input"]
    single = value is None or isinstance(value, str | int | float)
    return _clipped(value) if single and first["type"] not in ("extra_forbidden", "missing") else ""


def _clipped(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=True)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _names(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    """Names of all settings, those inside of others with their place: ``voting.margin``."""
    for name, field in kind.model_fields.items():
        yield before + name
        for inner in _models_in(field.annotation):
            yield from _names(inner, f"{before}{name}.")


def _models_in(annotation: object) -> list[type[BaseModel]]:
    """The objects that a setting may be: itself, or the alternatives of a choice."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _place(location: tuple[int | str, ...], kind: type[BaseModel]) -> list[str]:
    """Names and numbers that lead to a value, without the tags that pydantic puts between them."""
    place: list[str] = []
    kinds = [kind]
    for part in location:
        if len(kinds) > 1 and (chosen := [one for one in kinds if part in _tags(one)]):
            kinds = chosen
            continue
        place.append(str(part))
        fields = [one.model_fields[str(part)] for one in kinds if str(part) in one.model_fields]
        # An element of a list is of the kind that the list is of.
        kinds = [m for field in fields for m in _models_in(field.annotation)] if fields else kinds
    return place


def _tags(kind: type[BaseModel]) -> set[object]:
    """Values of fields that may have one value only."""
    annotations = [field.annotation for field in kind.model_fields.values()]
    return {get_args(one)[0] for one in annotations if len(get_args(one)) == 1}


def _nearest(where: str, names: list[str]) -> str:
    """The same name at another place, or the one that is written most alike; else nothing."""
    last = where.rpartition(".")[2]
    elsewhere = [name for name in names if name.rpartition(".")[2] == last]
    return next(iter(elsewhere or get_close_matches(where, names, 1)), "")
