"""Shamir shares of a model's data key: any t of n give it, fewer say nothing about it.

The package ``pycryptodome`` does the sharing, over GF(2^128) (Shamir, "How to share a secret",
CACM 22(11), 1979). A data key has 256 bits, so its two halves are shared separately, each share of
32 bytes being a share of either. Each has a random *salt*, and its digest is published: whoever
gets a share can tell a good one from junk, and the digest says nothing about it.

Who deals could deal inconsistently. Whoever has the key and all shares can check that they fit
(:func:`check_dealing`); evaluators do, before they approve.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from Crypto.Protocol.SecretSharing import Shamir

from cdistrim.envelope import Context, DataKey, account_of, canonical_json
from cdistrim.errors import BadDealingError, SealError, UsageError
from cdistrim.report.wording import plural

__all__ = [
    "MAX_HOLDERS",
    "MIN_THRESHOLD",
    "SHARE_SIZE",
    "Share",
    "check_dealing",
    "deal",
    "recover",
]

MIN_THRESHOLD = 2
"""With a threshold of one, every holder could open a model alone."""
MAX_HOLDERS = 128
"""As many members as the ledger has seats for; shares are numbered from 1."""

_HALF, _VALUE, _SALT = 16, 32, 32
SHARE_SIZE = _VALUE + _SALT
"""Bytes of a share with its salt, as it is sealed to its holder."""


@dataclass(frozen=True)
class Share:
    """One share of a data key. Shows nothing in repr and refuses to be pickled.

    Args:
        index: 1 to n: where the holder stands among the capsule's holders.
        value: 32 secret bytes: shares of the key's first and second half.
        salt: 32 random bytes, secret as long as the share is.
    """

    index: int
    value: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.index <= MAX_HOLDERS:
            raise UsageError(f"{self.index} is no number of a share.")
        if (len(self.value), len(self.salt)) != (_VALUE, _SALT):
            raise UsageError("A share has 32 bytes, and so has its salt.")

    @classmethod
    def from_bytes(cls, index: int, content: bytes) -> Share:
        """The share that :meth:`to_bytes` wrote.

        Raises:
            SealError: It has another length.
        """
        if len(content) != SHARE_SIZE:
            raise SealError(f"A share with its salt has {SHARE_SIZE} bytes, not {len(content)}.")
        return cls(index, content[:_VALUE], content[_VALUE:])

    def to_bytes(self) -> bytes:
        """64 secret bytes: value, salt. Only sealed do they leave memory."""
        return self.value + self.salt

    def digest(self, model: Context, holder: str) -> bytes:
        """What a capsule says of this share: SHA-256 over model, holder, index, salt and value."""
        about = canonical_json(
            {"model": model.encode().decode(), "holder": account_of(holder), "index": self.index}
        )
        return hashlib.sha256(b"C-DistriM share\x00" + about + self.salt + self.value).digest()

    def __reduce__(self) -> NoReturn:
        raise TypeError("shares are not pickled")


def deal(key: DataKey, holders: int, threshold: int) -> tuple[Share, ...]:
    """Fresh shares of a key for holders 1 to n, of which any ``threshold`` give it.

    Raises:
        UsageError: The threshold is below 2 or above the number of holders.
    """
    if not MIN_THRESHOLD <= threshold <= holders <= MAX_HOLDERS:
        raise UsageError(
            f"{threshold} of {holders} shares are not possible.",
            hint=f"At least {MIN_THRESHOLD} holders, and no more than there are, have to agree.",
        )
    secret = key.reveal()
    halves = [
        Shamir.split(threshold, holders, secret[i : i + _HALF], ssss=False) for i in (0, _HALF)
    ]
    return tuple(
        Share(index, first + second, os.urandom(_SALT))
        for (index, first), (_, second) in zip(*halves, strict=True)
    )


def recover(shares: Sequence[Share], threshold: int) -> DataKey:
    """The key of which these are shares; the first ``threshold`` of them are used.

    Nothing tells whether it is the right one but what it opens.

    Raises:
        SealError: There are fewer than ``threshold`` different shares.
    """
    chosen = list({share.index: share for share in shares}.values())[:threshold]
    if len(chosen) < max(threshold, MIN_THRESHOLD):
        raise SealError(
            f"{plural(len(chosen), 'share')} {'is' if len(chosen) == 1 else 'are'} not enough: "
            f"{threshold} are needed.",
            hint="Wait for more holders to release theirs.",
        )
    return _combined(chosen)


def _combined(shares: Sequence[Share]) -> DataKey:
    halves = [
        Shamir.combine([(share.index, share.value[i : i + _HALF]) for share in shares], ssss=False)
        for i in (0, _HALF)
    ]
    return DataKey(b"".join(halves))


def check_dealing(key: DataKey, shares: Sequence[Share], threshold: int) -> None:
    """See that any ``threshold`` of these shares give this key, and fewer don't.

    A polynomial of degree below t through the key and t-1 shares is unique; every further share
    is on it if and only if it gives the key together with these. If t-1 of them give the key, too,
    then its degree is lower than it should be, and any t-1 open the model.

    Raises:
        BadDealingError: They don't.
    """
    if not MIN_THRESHOLD <= threshold <= len(shares):
        raise BadDealingError(
            f"{plural(len(shares), 'share')} with a threshold of {threshold} can't open anything.",
            hint="Vote no: whoever dealt it did not follow the protocol.",
        )
    base, others = shares[: threshold - 1], shares[threshold - 1 :]
    if _combined(base) == key:
        raise BadDealingError(
            f"Fewer than {threshold} shares give the model's key.",
            hint="Vote no: whoever dealt them did not follow the protocol.",
        )
    if any(_combined([*base, other]) != key for other in others):
        raise BadDealingError(
            "The shares do not all give the model's key.",
            hint="Vote no: whoever dealt them did not follow the protocol.",
        )
