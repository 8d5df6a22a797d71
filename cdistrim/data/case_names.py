"""What a case is called outside of the site's own table: a digest under a secret of the site.

The names are HMAC-SHA256 (RFC 2104) of the patient, shortened to 16 hexadecimal digits. Without the
secret nobody can try out patients whom they know. With it lost, all cases would get other names,
and the salts of the data commitment, which are kept by name, would fit none of them: so it is in
the site's backup.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cdistrim.data.sources.interface import key_of
from cdistrim.errors import KeyFileError
from cdistrim.private_files import place_private, read_private

__all__ = ["CASE_SECRET_FILE", "SECRET_BYTES", "CaseNamer"]

CASE_SECRET_FILE = "case-names.key"  # noqa: S105  a file's name
SECRET_BYTES = 32
_DIGITS = 16


@dataclass(frozen=True)
class CaseNamer:
    """Names cases, and says in which order patients are dealt out.

    Args:
        secret: 32 bytes.
    """

    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, data: Path) -> CaseNamer:
        """The one of a site's data directory; its secret is made at the first time.

        Raises:
            KeyFileError: The file is damaged, readable by others, or can't be written.
        """
        path = data / CASE_SECRET_FILE
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            place_private(path, secrets.token_bytes(SECRET_BYTES).hex().encode())
        return cls(cls.read(path))

    @staticmethod
    def read(path: Path) -> bytes:
        """The secret in a file.

        Raises:
            KeyFileError: It is missing, damaged or readable by others.
        """
        try:
            secret = bytes.fromhex(read_private(path, "secret of the cases' names").decode("ascii"))
        except ValueError:
            secret = b""
        if len(secret) != SECRET_BYTES:
            raise KeyFileError(
                f"The secret of the cases' names {path} is damaged.",
                hint="Restore it from the site's backup: other names would fit no salts.",
            )
        return secret

    def case_of(self, patient: str) -> str:
        """The name of a patient's case, 16 hexadecimal digits."""
        return self._digest(b"case", patient)[:_DIGITS]

    def rank(self, patient: str, seed: int) -> str:
        """Who comes first when patients are dealt out: the least of these."""
        return self._digest(b"order/%d" % seed, patient)

    def _digest(self, purpose: bytes, patient: str) -> str:
        message = b"cdistrim/patient/v1\0" + purpose + b"\0" + key_of(patient).encode()
        return hmac.digest(self.secret, message, "sha256").hex()
