"""Signatures on messages, by the accounts that the ledger knows (EIP-191, "personal message").

The prefix of EIP-191 keeps them apart from transactions and from votes (EIP-712).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from cdistrim.documents import Document, Encoded
from cdistrim.envelope import account_of
from cdistrim.errors import IntegrityError

if TYPE_CHECKING:
    from cdistrim.site_keys import SiteKeys

__all__ = ["SignedDocument", "sign", "signer_of"]

_PREFIX = b"C-DistriM message\x00"


def sign(message: bytes, private_key: bytes) -> bytes:
    """A signature, 65 bytes: r, s, v."""
    from eth_account import Account
    from eth_account.messages import encode_defunct

    signed = Account.sign_message(encode_defunct(primitive=_PREFIX + message), private_key)
    return bytes(signed.signature)


def signer_of(message: bytes, signature: bytes) -> str:
    """The account that signed a message (EIP-55).

    Raises:
        IntegrityError: The signature is none.
    """
    from eth_account import Account
    from eth_account.messages import encode_defunct

    try:
        found = Account.recover_message(
            encode_defunct(primitive=_PREFIX + message), signature=signature
        )
    except Exception:  # noqa: BLE001  of a malformed signature eth_keys raises what it likes
        raise IntegrityError(
            "A message has no valid signature.",
            hint="Somebody who can write to the store put it there; it is not used.",
        ) from None
    return str(found)


class SignedDocument(Document):
    """A document with its author's signature over all the rest."""

    signature: Annotated[Encoded, Field(max_length=65)] = b""

    def author(self) -> str:
        """The account that signed, in lower case.

        Raises:
            IntegrityError: The signature is none.
        """
        unsigned = self.model_copy(update={"signature": b""})
        return account_of(signer_of(unsigned.to_bytes(), self.signature))

    def signed(self, keys: SiteKeys) -> Self:
        """The same with this site's signature."""
        return self.model_copy(update={"signature": keys.sign(self.to_bytes())})

    def require_author(self, account: str) -> None:
        """See that somebody signed this.

        Raises:
            IntegrityError: Somebody else did, or nobody.
        """
        if self.author() != account_of(account):
            raise IntegrityError(
                f"The {self.kind} in the name of {account} is signed by {self.author()}.",
                hint="Somebody who can write to the store put it there; it is not used.",
            )
