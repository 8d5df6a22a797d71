"""Keys, admission and removal of members (``Members.sol``, ``Membership.sol``)."""

from __future__ import annotations

import hashlib

from cdistrim.ledger.interface import Receipt
from cdistrim.ledger.words import name_word
from cdistrim.ledger.writing import Writer

__all__ = ["MemberWrites"]


class MemberWrites(Writer):
    """What a member does about itself and about the consortium."""

    def publish_key(self, *, sealing_key: bytes) -> Receipt:
        """Publish this account's sealing key, or put another one in its place."""
        digest = hashlib.sha256(sealing_key).digest()
        return self._write(
            "publishKey",
            (sealing_key,),
            lambda: self._mine("KeyRotated", sealingKeyDigest=digest),
        )

    def propose_admission(self, *, account: str, name: str) -> Receipt:
        """Ask all members to admit somebody; the proposal is this account's yes."""
        return self._write(
            "proposeAdmission",
            ((account, name_word(name)),),
            lambda: self._latest_of_mine("AdmissionProposed", account=account, name=name),
        )

    def propose_removal(self, *, account: str) -> Receipt:
        """Ask all members to remove one; the proposal is this account's yes."""
        return self._write(
            "proposeRemoval",
            (account,),
            lambda: self._latest_of_mine("RemovalProposed", account=account),
        )
