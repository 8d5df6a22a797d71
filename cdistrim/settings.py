"""How settings files are checked: ``site.json``, ``coordinator.json``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from cdistrim.errors import ConfigurationError
from cdistrim.store import STORE_URL, STORE_URL_RULE

__all__ = ["ContractAddress", "LedgerUrl", "Settings", "StoreUrl", "matching", "problem_of"]


class Settings(BaseModel):
    """What one file says: nothing else, and no text or truth value where a number belongs."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @classmethod
    def read(cls, path: Path, *, missing: ConfigurationError) -> Self:
        """The settings in a file.

        Args:
            path: A JSON document.
            missing: Raised if there is no such file.

        Raises:
            ConfigurationError: It is missing or invalid. Names the setting, never its value: an
                address may have a token in it.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise missing from None
        except ValidationError as error:
            where, what = problem_of(error, cls)
            raise ConfigurationError(
                f"{path} is invalid at {where or 'the document'}: {what}.", hint="Correct the file."
            ) from None


def matching(pattern: str, rule: str) -> AfterValidator:
    """A validator of texts: the whole has to match; ``rule`` is what the user is told otherwise."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


LedgerUrl = Annotated[str, matching(r"https?://.+", "it begins with http:// or https://")]
"""JSON-RPC address of a node."""
ContractAddress = Annotated[
    str, matching(r"0x[0-9a-fA-F]{40}", "it has 0x and 40 hexadecimal digits")
]
StoreUrl = Annotated[str, matching(STORE_URL, STORE_URL_RULE)]
"""Where the common store is."""


_IN_OUR_WORDS = {
    "int_type": "it has to be a whole number, without quotation marks",
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
    found = error.errors(include_url=False, include_input=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    where = ".".join(str(part) for part in first["loc"])
    told = first["msg"].removeprefix("Value error, ").removesuffix(".")
    told = _IN_OUR_WORDS.get(first["type"], told)
    nearest = _nearest(where, list(_names(kind))) if first["type"] == "extra_forbidden" else ""
    return where, f"{told}; the nearest is {nearest}" if nearest else told


def _names(kind: type[BaseModel], before: str = "") -> Iterator[str]:
    """Names of all settings, those inside of others with their place: ``voting.margin``."""
    for name, field in kind.model_fields.items():
        yield before + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _names(field.annotation, f"{before}{name}.")


def _nearest(where: str, names: list[str]) -> str:
    """The same name at another place, or the one that is written most alike; else nothing."""
    last = where.rpartition(".")[2]
    elsewhere = [name for name in names if name.rpartition(".")[2] == last]
    return next(iter(elsewhere or get_close_matches(where, names, 1)), "")
