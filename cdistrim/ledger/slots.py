"""What the owner of the open slot tells the contract (``Slots.sol``)."""

from __future__ import annotations

from dataclasses import replace

from cdistrim.ledger.codec import candidate_fields
from cdistrim.ledger.interface import NO_HASH, Candidate, Receipt
from cdistrim.ledger.words import as_kept
from cdistrim.ledger.writing import MOVED_ON, Writer
from cdistrim.protocol import BallotKind, LedgerEvent

__all__ = ["SlotWrites"]


class SlotWrites(Writer):
    """Requests and reports of a slot's owner. Every one is of one attempt."""

    def request_fetch(
        self, *, campaign: int, slot: int, attempt: int, request_key_digest: bytes
    ) -> Receipt:
        """Ask for the head. Another key in the same attempt is refused, not repeated."""
        step = {"campaign": campaign, "slot": slot, "attempt": attempt}
        return self._write(
            "requestFetch",
            (campaign, slot, attempt, request_key_digest),
            MOVED_ON,
            lambda _: self._mine("FetchRequested", **step, requestKeyDigest=request_key_digest),
        )

    def report_opened(
        self,
        *,
        campaign: int,
        slot: int,
        attempt: int,
        good: int = 0,
        bad: int = 0,
        missing: int = 0,
    ) -> Receipt:
        """Redeem the fetch token. The numbers are of key shares.

        A token is redeemed once: a repeat with other numbers is a repeat, and the first ones stay.
        """
        token = {"campaign": campaign, "slot": slot, "attempt": attempt, "kind": BallotKind.FETCH}
        return self._write(
            "reportOpened",
            (campaign, slot, attempt, good, bad, missing),
            MOVED_ON,
            # Not ModelOpened: that can be of the final model, whose rounds count like attempts.
            lambda _: self._mine("TokenRedeemed", **token),
        )

    def request_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Fix the candidate's record. Another one in the same attempt is refused, not repeated."""
        return self._write(
            "requestUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            MOVED_ON,
            lambda _: self._submitted(campaign, slot, attempt, candidate),
        )

    def confirm_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Redeem the upload token (reported mode)."""
        return self._write(
            "confirmUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            MOVED_ON,
            lambda _: self._confirmed(campaign, slot, attempt, candidate),
        )

    def _submitted(
        self, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> LedgerEvent | None:
        event = self._mine("CandidateSubmitted", campaign=campaign, slot=slot, attempt=attempt)
        expected = replace(candidate, evidence=as_kept(candidate.evidence))
        return event if event and event.arguments["candidate"] == expected else None

    def _confirmed(
        self, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> LedgerEvent | None:
        asked = replace(candidate, ciphertext_hash=NO_HASH, capsule_hash=NO_HASH)
        if self._submitted(campaign, slot, attempt, asked) is None:
            return None
        return self._mine(
            "ModelAccepted",
            campaign=campaign,
            slot=slot,
            attempt=attempt,
            weightsHash=candidate.weights_hash,
            ciphertextHash=candidate.ciphertext_hash,
            capsuleHash=candidate.capsule_hash,
        )
