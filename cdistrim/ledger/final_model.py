"""Back to an earlier model, and the final one (``Restores.sol``, ``FinalModel.sol``)."""

from __future__ import annotations

from cdistrim.ledger.interface import Receipt
from cdistrim.ledger.writing import Writer
from cdistrim.protocol import BallotKind, LedgerEvent, RestoreReason

__all__ = ["ModelWrites"]


class ModelWrites(Writer):
    """What partners do about models that were accepted."""

    def request_restore(
        self, *, campaign: int, slot: int, attempt: int, target: int, reason: RestoreReason
    ) -> Receipt:
        """Ask the voters to take the head back to an ancestor.

        Args:
            campaign: Running, or ended.
            slot: The open slot; after the campaign's end the head.
            attempt: The slot's; 0 after the end.
            target: Slot of a strict ancestor of the head; 0 is genesis.
            reason: Not ``DEGRADED``, which is for upload ballots.
        """
        return self._write(
            "requestRestore",
            (campaign, slot, attempt, target, reason),
            lambda: self._latest_of_mine(
                "RestoreRequested",
                campaign=campaign,
                slot=slot,
                attempt=attempt,
                target=target,
                reason=reason,
            ),
        )

    def add_capsule(self, *, campaign: int, slot: int, capsule_hash: bytes) -> Receipt:
        """Tell where an accepted model's key was shared anew."""
        return self._write(
            "addCapsule",
            (campaign, slot, capsule_hash),
            lambda: self._mine(
                "CapsuleAdded", campaign=campaign, slot=slot, capsuleHash=capsule_hash
            ),
            ask_first=True,
        )

    def request_final_model(self, *, campaign: int, request_key_digest: bytes) -> Receipt:
        """Ask for the final model. Another key while the ballot is open is refused."""
        return self._write(
            "requestFinalModel",
            (campaign, request_key_digest),
            lambda: self._latest_of_mine(
                "FinalModelRequested", campaign=campaign, requestKeyDigest=request_key_digest
            ),
        )

    def report_final_opened(
        self, *, campaign: int, good: int = 0, bad: int = 0, missing: int = 0
    ) -> Receipt:
        """Redeem the token for the final model. The numbers are of key shares."""
        return self._write(
            "reportFinalOpened",
            (campaign, good, bad, missing),
            lambda: self._redeemed_final(campaign),
        )

    def _redeemed_final(self, campaign: int) -> LedgerEvent | None:
        kind = BallotKind.FINAL_FETCH
        return self._mine("TokenRedeemed", campaign=campaign, kind=kind)

    def record_use(self, *, campaign: int, purpose: bytes) -> Receipt:
        """Record a use of the final model; ``purpose`` is the digest of a statement, and the same
        statement is the same use."""
        return self._write(
            "recordUse",
            (campaign, purpose),
            lambda: self._mine("FinalModelUsed", campaign=campaign, purpose=purpose),
            ask_first=True,
        )
