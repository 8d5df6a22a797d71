"""Where the passphrase of a site's keys comes from, so that a restart needs nobody at the keyboard.

Nothing here puts it into a message.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from cdistrim.errors import KeyFileError
from cdistrim.private_files import read_private

__all__ = ["CREDENTIAL", "ENVIRONMENT_VARIABLE", "normalised", "read_passphrase"]

ENVIRONMENT_VARIABLE = "CDISTRIM_PASSPHRASE"
CREDENTIAL = "cdistrim-passphrase"
"""Name of the passphrase among systemd's credentials (``LoadCredentialEncrypted=``)."""


def read_passphrase(
    *, file: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """The passphrase of a site's keys, without its final line break.

    Sources, the first that exists: ``file`` (0600); ``cdistrim-passphrase`` in systemd's
    ``$CREDENTIALS_DIRECTORY``; the variable ``CDISTRIM_PASSPHRASE``. A ``file`` that is missing
    falls through to the others, one that others can read does not.

    Raises:
        KeyFileError: None of them exists, or the one found is empty or readable by others.
    """
    variables = os.environ if environment is None else environment
    if file is not None and file.exists():
        return _passphrase_in(read_private(file, "passphrase file"), str(file))
    if credentials := variables.get("CREDENTIALS_DIRECTORY"):
        credential = Path(credentials) / CREDENTIAL
        if credential.exists():
            # systemd gives access by an ACL, whose mask shows as group bits.
            content = read_private(credential, "passphrase credential", forbidden=0o007)
            return _passphrase_in(content, str(credential))
    if ENVIRONMENT_VARIABLE in variables:
        return _passphrase_in(variables[ENVIRONMENT_VARIABLE].encode(), ENVIRONMENT_VARIABLE)
    where = f"{file} is missing, " if file is not None else ""
    ways = f"Set {ENVIRONMENT_VARIABLE}, or give it to the service as a credential"
    raise KeyFileError(
        f"No passphrase was found: {where}no systemd credential {CREDENTIAL} and no "
        f"{ENVIRONMENT_VARIABLE} is set.",
        hint=f"{ways}, or put it into the file (chmod 600)." if file is not None else f"{ways}.",
    )


def _passphrase_in(content: bytes, where: str) -> str:
    try:
        passphrase = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise KeyFileError(f"The passphrase in {where} is not UTF-8 text.") from None
    if not passphrase:
        raise KeyFileError(f"The passphrase in {where} is empty.", hint="Write it there.")
    return passphrase


def normalised(passphrase: str) -> str:
    """NFC, so that the same key strokes give the same key on every system."""
    return unicodedata.normalize("NFC", passphrase)
