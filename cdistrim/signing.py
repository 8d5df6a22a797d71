"""Signatures on messages, by the accounts that the ledger knows (EIP-191, "personal message").

The prefix of EIP-191 keeps them apart from transactions and from votes (EIP-712).
"""

from __future__ import annotations

from cdistrim.errors import IntegrityError

__all__ = ["sign", "signer_of"]

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
