"""The capsule: a model's data key, shared among its holders. Its SHA-256 is on the ledger.

Each holder's share is sealed to the holder's sealing key, and its salted digest stands beside it.
All shares with their salts lie in the capsule once more, encrypted under the data key itself: who
has the key (an evaluator, or whoever opened the model after a grant) can check that the dealer
dealt well, publish shares again, or share the key anew when members come and go. Who has not the
key learns nothing from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdistrim.documents import Account, Document, Encoded
from cdistrim.envelope import Context, DataKey, account_of, decrypt, encrypt
from cdistrim.errors import BadDealingError, IntegrityError, SealError
from cdistrim.sealing import OVERHEAD, Purpose, SealingKey, open_sealed, public_digest, seal
from cdistrim.shares import MAX_HOLDERS, MIN_THRESHOLD, SHARE_SIZE, Share, check_dealing, deal

__all__ = ["Capsule", "SealedShare", "open_with_any"]

Digest = Annotated[Encoded, Field(min_length=32, max_length=32)]
SEALED_SHARE = SHARE_SIZE + OVERHEAD


class SealedShare(BaseModel):
    """A holder's place in a capsule.

    ``sealed`` is 1200 bytes, ``key`` the SHA-256 of the public sealing key that it is sealed to,
    ``digest`` that of the share (:meth:`cdistrim.shares.Share.digest`).
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    digest: Digest
    key: Digest
    sealed: Annotated[Encoded, Field(min_length=SEALED_SHARE, max_length=SEALED_SHARE)]


class Capsule(Document):
    """Shares of a data key, sealed to their holders. Holders are numbered by sorted account."""

    kind: Literal["capsule"] = "capsule"
    version: Literal[2] = 2
    context: Context
    threshold: int = Field(ge=MIN_THRESHOLD, le=MAX_HOLDERS)
    holders: dict[Account, SealedShare] = Field(max_length=MAX_HOLDERS)
    dealing: Encoded

    @model_validator(mode="after")
    def _can_open(self) -> Self:
        if self.threshold > len(self.holders):
            raise ValueError("more shares are needed than there are")
        return self

    @classmethod
    def seal(
        cls, data_key: DataKey, holders: Mapping[str, bytes], threshold: int, context: Context
    ) -> Self:
        """Share a data key among holders.

        A holder whose key is malformed gets a share that nobody can open: that is its own trouble
        and must not keep the others from sealing.

        Args:
            holders: Public sealing keys (1216 bytes) by account.
            threshold: How many of them open the model.
            context: The model.

        Raises:
            UsageError: That threshold is not possible, or an account is malformed.
        """
        public = {account_of(account): key for account, key in holders.items()}
        accounts = sorted(public)
        shares = deal(data_key, len(accounts), threshold)
        sealed = {
            account: SealedShare(
                digest=share.digest(context, account),
                key=public_digest(public[account]),
                sealed=_sealed(share, public[account], context, account),
            )
            for account, share in zip(accounts, shares, strict=True)
        }
        plain = b"".join(share.to_bytes() for share in shares)
        return cls(
            context=context,
            threshold=threshold,
            holders=sealed,
            dealing=encrypt(plain, _dealing_key(data_key), context),
        )

    def digest(self) -> bytes:
        """SHA-256 of the document, 32 bytes: the record's ``capsule_hash``."""
        return hashlib.sha256(self.to_bytes()).digest()

    @classmethod
    def parse_recorded(cls, content: bytes, recorded: bytes) -> Self:
        """Read a capsule that the ledger names.

        Raises:
            IntegrityError: It is not the one on the ledger, or it is malformed.
        """
        found = hashlib.sha256(content).digest()
        if not hmac.compare_digest(found, recorded):
            raise IntegrityError(
                f"The capsule's SHA-256 is {found.hex()}, the ledger says {recorded.hex()}.",
                hint="It was altered or swapped. Fetch it again from another copy of the store.",
            )
        return cls.parse(content)

    def index_of(self, holder: str) -> int:
        """The number of a holder's share, from 1.

        Raises:
            SealError: It holds none.
        """
        account = account_of(holder)
        if account not in self.holders:
            raise SealError(
                f"{account} holds no share of this model's key.",
                hint="It was no partner when the key was shared.",
            )
        return sorted(self.holders).index(account) + 1

    def holds(self, holder: str) -> bool:
        """Whether somebody holds a share."""
        return account_of(holder) in self.holders

    def accept(self, holder: str, content: bytes) -> Share:
        """A holder's share out of what it says its share is.

        Raises:
            SealError: It is junk: its digest is not the capsule's.
        """
        index = self.index_of(holder)
        share = Share.from_bytes(index, content)
        recorded = self.holders[account_of(holder)].digest
        if not hmac.compare_digest(share.digest(self.context, holder), recorded):
            raise SealError(
                f"The share of {account_of(holder)} is not the one in the capsule.",
                hint="It is junk, or of another model; other shares will do.",
            )
        return share

    def open_share(self, holder: str, keys: Sequence[SealingKey], context: Context) -> Share:
        """A holder's own share.

        Args:
            keys: The holder's sealing key, and former ones.
            context: The model that the caller means, from the ledger.

        Raises:
            SealError: It is another model's capsule, holds nothing for this holder, or nothing
                that opens with these keys.
        """
        self.require(context)
        self.index_of(holder)
        sealed = self.holders[account_of(holder)].sealed
        return self.accept(holder, open_with_any(sealed, keys, context, Purpose.CAPSULE, holder))

    def require(self, context: Context) -> None:
        """See that this is the capsule of the model that the caller means.

        Raises:
            SealError: It is another model's.
        """
        if context != self.context:
            raise SealError(
                f"The capsule belongs to {self.context}, not to {context}.",
                hint="It was swapped. Fetch the one that the ledger names.",
            )

    def shares(self, data_key: DataKey) -> dict[str, Share]:
        """All shares by holder, for who has the key: each fits its digest, any t give the key.

        Raises:
            BadDealingError: The dealer did not deal so.
        """
        try:
            plain = decrypt(self.dealing, _dealing_key(data_key), self.context)
            if len(plain) != len(self.holders) * SHARE_SIZE:
                raise SealError("The dealing has another length.")
            dealt = {
                account: self.accept(account, plain[i * SHARE_SIZE : (i + 1) * SHARE_SIZE])
                for i, account in enumerate(sorted(self.holders))
            }
        except SealError as error:
            raise BadDealingError(
                f"{self.context.partner} dealt shares that are not what its capsule says: "
                f"{error.what}",
                hint="Vote no: this model could not be opened.",
            ) from None
        check_dealing(data_key, list(dealt.values()), self.threshold)
        return dealt


def _sealed(share: Share, public: bytes, context: Context, holder: str) -> bytes:
    try:
        return seal(share.to_bytes(), public, context, Purpose.CAPSULE, holder)
    except SealError:
        nobodys = SealingKey.generate().public_bytes
        return seal(share.to_bytes(), nobodys, context, Purpose.CAPSULE, holder)


def open_with_any(
    sealed: bytes,
    keys: Sequence[SealingKey],
    context: Context,
    purpose: Purpose,
    holder: str,
    binding: Mapping[str, int | str] | None = None,
) -> bytes:
    """Open with a sealing key or one of the former ones.

    Raises:
        SealError: None of them opens it.
    """
    for key in keys[:-1]:
        try:
            return open_sealed(sealed, key, context, purpose, holder, binding)
        except SealError:
            continue
    return open_sealed(sealed, keys[-1], context, purpose, holder, binding)


def _dealing_key(data_key: DataKey) -> DataKey:
    """HKDF-SHA256 (RFC 5869): a key of its own for the dealing."""
    return DataKey(HKDF(SHA256(), 32, None, b"C-DistriM dealing\x00").derive(data_key.reveal()))
