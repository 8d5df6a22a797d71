"""Back to an earlier model, and the final one (``Restores.sol``, ``FinalModel.sol``)."""

from __future__ import annotations

from cdistrim.ledger.interface import Receipt
from cdistrim.ledger.writing import MOVED_ON, Said, Writer
from cdistrim.protocol import BallotKind, FinalFetchState, LedgerEvent, RestoreReason

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
            ("BallotAlreadyOpened", *MOVED_ON),
            lambda _: self._last(
                "RestoreRequested",
                opener=self.account,
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
            (),
            lambda _: self._mine(
                "CapsuleAdded", campaign=campaign, slot=slot, capsuleHash=capsule_hash
            ),
            ask_first=True,
        )

    def request_final_model(self, *, campaign: int, request_key_digest: bytes) -> Receipt:
        """Ask for the final model. Another key while the ballot is open is refused."""
        return self._write(
            "requestFinalModel",
            (campaign, request_key_digest),
            ("BallotAlreadyOpened",),
            lambda said: self._last(
                "FinalModelRequested", ballot=said["ballot"], requestKeyDigest=request_key_digest
            ),
        )

    def report_final_opened(
        self, *, campaign: int, good: int = 0, bad: int = 0, missing: int = 0
    ) -> Receipt:
        """Redeem the token for the final model. The numbers are of key shares.

        A token is redeemed once: a repeat with other numbers is a repeat, and the first ones stay.
        """
        return self._write(
            "reportFinalOpened",
            (campaign, good, bad, missing),
            ("WrongFinalFetchState",),
            lambda said: self._redeemed_final(campaign, said),
        )

    def _redeemed_final(self, campaign: int, said: Said) -> LedgerEvent | None:
        """The latest redemption, if the latest request is what was redeemed."""
        if said["state"] is not FinalFetchState.OPENED:
            return None
        return self._mine("TokenRedeemed", campaign=campaign, kind=BallotKind.FINAL_FETCH)

    def record_use(self, *, campaign: int, purpose: bytes) -> Receipt:
        """Record a use of the final model; ``purpose`` is the digest of a statement, and the same
        statement is the same use."""
        return self._write(
            "recordUse",
            (campaign, purpose),
            ("WrongFinalFetchState", "HeadMoved"),
            lambda _: self._mine("FinalModelUsed", campaign=campaign, purpose=purpose),
            ask_first=True,
        )
