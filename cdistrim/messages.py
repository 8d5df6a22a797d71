"""What partners leave for each other in the store, besides models and capsules.

The store is hostile, so each message is bound to what it is for, and is worth nothing by itself:
a share shows by its digest whether it is good, a key by what it opens. Signed are those whose
author matters (EIP-191, by the account on the ledger): the one-time key of an evaluator, or anybody
could have the trainer seal the model's key to a key of its own; a release, so that whoever sends
junk can be named; and a requester's report on what it was sent.

=================  =========================================  =================================
message            below its author's account, under          from, to
=================  =========================================  =================================
`OfferedKey`       ``offers/<slot>-<attempt>``                evaluator, to the slot's owner
`Grant`            ``grants/<slot>-<attempt>/<evaluator>``    slot's owner, to an evaluator
`Shares`           ``shares/<model>``                         evaluator, to all holders
`Release`          ``releases/<slot>-<attempt>``              holder, to the slot's owner
`OpeningReport`    ``openings/<slot>-<attempt>``              slot's owner, to everybody
=================  =========================================  =================================

Of the final model, releases lie under ``releases/final-<round>-<requester>`` and reports under
``openings/final``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field

from cdistrim.capsule import Capsule, open_with_any
from cdistrim.documents import Account, Document, Encoded
from cdistrim.envelope import Context, DataKey, account_of
from cdistrim.errors import SealError
from cdistrim.sealing import PUBLIC_KEY_SIZE, Purpose, SealingKey, open_sealed, seal
from cdistrim.shares import MAX_HOLDERS, Share
from cdistrim.signing import SignedDocument

__all__ = ["MOST_VOUCHED", "Grant", "OfferedKey", "OpeningReport", "Release", "Shares"]

MOST_VOUCHED = 100
"""Capsules for which a report vouches: a document has a bound."""

Number = Annotated[int, Field(ge=0, lt=1 << 32)]
Digest = Annotated[Encoded, Field(min_length=32, max_length=32)]
Sealed = Annotated[Encoded, Field(max_length=4096)]
Digests = Annotated[tuple[Digest, ...], Field(max_length=MOST_VOUCHED, strict=False)]
Accounts = Annotated[tuple[Account, ...], Field(max_length=MAX_HOLDERS, strict=False)]


class OfferedKey(SignedDocument):
    """An evaluator's one-time key, to which the trainer of ``model`` seals the evaluate grant.

    ``head`` asks for the head's key as well, by an evaluator that has never measured the head.
    """

    kind: Literal["offer"] = "offer"
    version: Literal[1] = 1
    model: Context
    evaluator: Account
    public: Annotated[Encoded, Field(min_length=PUBLIC_KEY_SIZE, max_length=PUBLIC_KEY_SIZE)]
    head: bool


class Grant(Document):
    """A data key, sealed to an evaluator that shall measure the candidate of a slot.

    ``model`` is the candidate, or the head that it is compared with.
    """

    kind: Literal["grant"] = "grant"
    version: Literal[1] = 1
    model: Context
    evaluator: Account
    slot: Number
    attempt: Number
    sealed: Sealed

    @classmethod
    def seal(
        cls, key: DataKey, offer: OfferedKey, model: Context, *, slot: int, attempt: int
    ) -> Self:
        """Seal a model's data key to an offered one-time key, whose signature was checked.

        Args:
            model: Whose key it is.
            slot: The candidate's, and its attempt.

        Raises:
            SealError: The public key is malformed.
        """
        evaluator = offer.evaluator
        about = {"slot": slot, "attempt": attempt}
        sealed = seal(key.reveal(), offer.public, model, Purpose.GRANT, evaluator, about)
        return cls(model=model, evaluator=evaluator, sealed=sealed, slot=slot, attempt=attempt)

    def open(self, one_time_key: SealingKey) -> DataKey:
        """The data key; whether it is the right one shows by what it opens.

        Raises:
            SealError: It was sealed to another key, or altered.
        """
        about = {"slot": self.slot, "attempt": self.attempt}
        secret = open_sealed(
            self.sealed, one_time_key, self.model, Purpose.GRANT, self.evaluator, about
        )
        if len(secret) != 32:
            raise SealError(f"The grant holds {len(secret)} bytes, which are no data key.")
        return DataKey(secret)


class Shares(Document):
    """All shares of a capsule, sealed to their holders again by somebody who checked them.

    So no dealer can make a model unopenable by sealing junk to others than its evaluators.
    """

    kind: Literal["shares"] = "shares"
    version: Literal[1] = 1
    model: Context
    capsule: Digest
    sealed: dict[Account, Sealed] = Field(max_length=MAX_HOLDERS)

    @classmethod
    def seal(
        cls, capsule: Capsule, shares: Mapping[str, Share], public: Mapping[str, bytes]
    ) -> Self:
        """Seal shares that :meth:`Capsule.shares` gave.

        Args:
            public: Public sealing keys by account; holders without a usable one are left out.
        """
        keys = {account_of(account): key for account, key in public.items()}
        digest = capsule.digest()
        about = {"capsule": digest.hex()}
        sealed = {}
        for account in shares.keys() & keys.keys():
            content, key = shares[account].to_bytes(), keys[account]
            with contextlib.suppress(SealError):
                sealed[account] = seal(
                    content, key, capsule.context, Purpose.SHARES, account, about
                )
        return cls(model=capsule.context, capsule=digest, sealed=sealed)

    def open_share(self, capsule: Capsule, holder: str, keys: Sequence[SealingKey]) -> Share:
        """A holder's own share, which fits the capsule.

        Raises:
            SealError: There is none, or none that opens and fits.
        """
        capsule.require(self.model)
        account = account_of(holder)
        if account not in self.sealed or self.capsule != capsule.digest():
            raise SealError(f"These shares are not of {account}, or of another capsule.")
        about = {"capsule": self.capsule.hex()}
        sealed = self.sealed[account]
        opened = open_with_any(sealed, keys, self.model, Purpose.SHARES, account, about)
        return capsule.accept(account, opened)


class Release(SignedDocument):
    """A holder's share, sealed to the one-time key of whoever was granted the fetch.

    ``slot`` and ``attempt`` are the grant's; ``capsule`` says which dealing the share is of.
    """

    kind: Literal["release"] = "release"
    version: Literal[2] = 2
    model: Context
    capsule: Digest
    holder: Account
    requester: Account
    slot: Number
    attempt: Number
    sealed: Sealed

    @classmethod
    def seal(
        cls,
        share: Share,
        capsule: Capsule,
        one_time_public: bytes,
        *,
        holder: str,
        requester: str,
        slot: int,
        attempt: int,
    ) -> Self:
        """Seal a share to the one-time key of a grant; still to be signed.

        Args:
            one_time_public: Whose :func:`~cdistrim.sealing.public_digest` the request put on the
                ledger; the caller has compared the two.

        Raises:
            SealError: The public key is malformed.
        """
        digest, model = capsule.digest(), capsule.context
        about = _release_binding(digest, holder, slot, attempt)
        sealed = seal(share.to_bytes(), one_time_public, model, Purpose.RELEASE, requester, about)
        return cls(
            model=model,
            capsule=digest,
            holder=holder,
            requester=requester,
            slot=slot,
            attempt=attempt,
            sealed=sealed,
        )

    def open(self, capsule: Capsule, one_time_key: SealingKey, *, slot: int, attempt: int) -> Share:
        """The share. Slot and attempt come from the ledger, and the document has to say the same.

        Raises:
            SealError: Of another model, capsule or grant, altered, sealed to another key, or junk.
        """
        capsule.require(self.model)
        if (self.slot, self.attempt) != (slot, attempt):
            raise SealError(
                f"The release is for slot {self.slot}, attempt {self.attempt}, not for slot "
                f"{slot}, attempt {attempt}.",
                hint="It is of another grant; other shares will do.",
            )
        about = _release_binding(capsule.digest(), self.holder, slot, attempt)
        content = open_sealed(
            self.sealed, one_time_key, capsule.context, Purpose.RELEASE, self.requester, about
        )
        return capsule.accept(self.holder, content)


class OpeningReport(SignedDocument):
    """What a requester says of the shares that it was sent: whose were good, junk, or missing.

    ``sound`` are the model's capsules whose dealing it has checked with the key, and found right.
    """

    kind: Literal["opening"] = "opening"
    version: Literal[2] = 2
    model: Context
    capsule: Digest
    requester: Account
    slot: Number
    attempt: Number
    opened: bool
    good: Accounts
    bad: Accounts
    missing: Accounts
    sound: Digests


def _release_binding(capsule: bytes, holder: str, slot: int, attempt: int) -> dict[str, int | str]:
    return {
        "capsule": capsule.hex(),
        "holder": account_of(holder),
        "slot": slot,
        "attempt": attempt,
    }
