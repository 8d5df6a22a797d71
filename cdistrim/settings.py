"""How settings files are checked: ``site.json``, ``coordinator.json``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict

from cdistrim.errors import ConfigurationError
from cdistrim.handwritten import NotUnderstood, read_written, understand
from cdistrim.store import STORE_URL, STORE_URL_RULE
from cdistrim.urls import node_url_fault

__all__ = ["ContractAddress", "LedgerUrl", "Settings", "StoreUrl", "matching"]


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
            ConfigurationError: It is missing, can't be read, or is invalid. Names the setting, but
                no value that is a text: an address may have a token in it.
        """
        try:
            return understand(read_written(path), cls)
        except FileNotFoundError:
            raise missing from None
        except OSError as error:
            raise ConfigurationError(
                f"{path} can't be read: {error.strerror}.",
                hint="See what lies there and whether this account may read it.",
            ) from None
        except NotUnderstood as error:
            shown = error.value and not error.value.startswith('"')
            told = f"; it is {error.value}" if shown else ""
            raise ConfigurationError(
                f"{path} is invalid at {error.where}: {error.what}{told}.", hint="Correct the file."
            ) from None


def matching(pattern: str, rule: str) -> AfterValidator:
    """A validator of texts: the whole has to match; ``rule`` is what the user is told otherwise."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(rule)
        return text

    return AfterValidator(check)


def _node_url(text: str) -> str:
    if fault := node_url_fault(text):
        raise ValueError(fault)
    return text


LedgerUrl = Annotated[str, AfterValidator(_node_url)]
"""JSON-RPC address of a node."""
ContractAddress = Annotated[
    str, matching(r"0x[0-9a-fA-F]{40}", "it has 0x and 40 hexadecimal digits")
]
StoreUrl = Annotated[str, matching(STORE_URL, STORE_URL_RULE)]
"""Where the common store is."""
