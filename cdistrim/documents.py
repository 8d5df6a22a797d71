"""How documents that partners leave for each other in the store are written and read.

Canonical JSON (sorted keys, no white space, ASCII; the idea of RFC 8785) with ``kind`` and
``version``; strict types, bounded size, nothing unknown; what is not byte for byte its own
canonical form is refused, so that one document has one hash.
"""

from __future__ import annotations

import base64
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from cdistrim.envelope import account_of, canonical_json
from cdistrim.errors import IntegrityError, UsageError

__all__ = ["MAX_DOCUMENT", "Account", "Document", "Encoded"]

MAX_DOCUMENT = 1 << 18
"""Upper bound of a document in bytes; a capsule of 50 holders needs 95 kB."""


def _decoded(value: object) -> object:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


def _account(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("an account is text")
    try:
        return account_of(value)
    except UsageError as error:
        raise ValueError(error.what) from None


Encoded = Annotated[
    bytes,
    BeforeValidator(_decoded),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
]
"""Bytes, in the document as Base64."""

Account = Annotated[str, BeforeValidator(_account)]
"""An account, in lower case."""


class Document(BaseModel):
    """A document. Subclasses fix ``kind`` and ``version``, as literals with a default."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    kind: str
    version: int

    def to_bytes(self) -> bytes:
        """The document, canonical JSON: equal documents give equal bytes."""
        return canonical_json(self.model_dump(mode="json"))

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a document. Nobody has vouched for it.

        Raises:
            IntegrityError: It is too large, malformed, or not in its canonical form.
        """
        if len(content) > MAX_DOCUMENT:
            raise IntegrityError(
                f"The {cls.word()} has {len(content)} bytes; {MAX_DOCUMENT} are possible.",
                hint="It was not written by C-DistriM. Ask its author.",
            )
        try:
            found = cls.model_validate_json(content)
        except (ValueError, UsageError, RecursionError):
            raise cls.malformed() from None
        if found.to_bytes() != content:
            raise cls.malformed()
        return found

    @classmethod
    def word(cls) -> str:
        """What such a document is called."""
        return str(cls.model_fields["kind"].default)

    @classmethod
    def malformed(cls) -> IntegrityError:
        """What to raise where a document says what it can't."""
        version = cls.model_fields["version"].default
        return IntegrityError(
            f"The {cls.word()} is not a canonical document of version {version}.",
            hint="It was altered, or written by another release of C-DistriM. Ask its author.",
        )
