"""Keys, admission and removal of members (``Members.sol``, ``Membership.sol``)."""

from __future__ import annotations

import hashlib

from cdistrim.ledger.interface import Receipt
from cdistrim.ledger.words import name_word
from cdistrim.ledger.writing import Said, Writer
from cdistrim.protocol import LedgerEvent

__all__ = ["MemberWrites"]


class MemberWrites(Writer):
    """What a member does about itself and about the consortium."""

    def publish_key(self, *, sealing_key: bytes) -> Receipt:
        """Publish this account's sealing key, or put another one in its place."""
        digest = hashlib.sha256(sealing_key).digest()
        return self._write(
            "publishKey",
            (sealing_key,),
            ("SameSealingKey",),
            lambda _: self._mine("KeyRotated", sealingKeyDigest=digest),
        )

    def propose_admission(self, *, account: str, name: str) -> Receipt:
        """Ask all members to admit somebody; the proposal is this account's yes."""
        return self._write(
            "proposeAdmission",
            ((account, name_word(name)),),
            ("BallotAlreadyOpened", "DuplicateMember"),
            lambda said: self._proposed("AdmissionProposed", said, account=account, name=name),
        )

    def propose_removal(self, *, account: str) -> Receipt:
        """Ask all members to remove one; the proposal is this account's yes."""

        def proposed(said: Said) -> LedgerEvent | None:
            if said.get("account", account) != account:  # it is this account that was removed
                return None
            return self._proposed("RemovalProposed", said, account=account)

        refusals = ("BallotAlreadyOpened", "NotAMember")
        return self._write("proposeRemoval", (account,), refusals, proposed)

    def _proposed(self, event: str, said: Said, **about: object) -> LedgerEvent | None:
        """This account's proposal, if it is the open ballot that was in the way, or has passed."""
        if "ballot" in said:
            return self._last(event, ballot=said["ballot"], **about)
        found = self._last(event, opener=self.account, **about)
        passed = found and self._last("BallotClosed", ballot=found.arguments["ballot"], passed=True)
        return found if passed else None
