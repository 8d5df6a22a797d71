"""What the owner of the open slot tells the contract (``Slots.sol``)."""

from __future__ import annotations

from cdistrim.ledger.codec import candidate_fields
from cdistrim.ledger.interface import Candidate, Receipt
from cdistrim.ledger.writing import Writer
from cdistrim.protocol import LedgerEvent

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
            lambda: self._mine("FetchRequested", **step, requestKeyDigest=request_key_digest),
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
        """Redeem the fetch token. The numbers are of key shares."""
        return self._write(
            "reportOpened",
            (campaign, slot, attempt, good, bad, missing),
            lambda: self._mine("ModelOpened", campaign=campaign, slot=slot, attempt=attempt),
        )

    def request_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Fix the candidate's record. Other weights in the same attempt are refused."""
        return self._write(
            "requestUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            lambda: self._submitted(campaign, slot, attempt, candidate),
        )

    def confirm_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Redeem the upload token (reported mode)."""
        return self._write(
            "confirmUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            lambda: self._mine(
                "ModelAccepted",
                campaign=campaign,
                slot=slot,
                attempt=attempt,
                weightsHash=candidate.weights_hash,
                ciphertextHash=candidate.ciphertext_hash,
                capsuleHash=candidate.capsule_hash,
            ),
        )

    def _submitted(
        self, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> LedgerEvent | None:
        event = self._mine("CandidateSubmitted", campaign=campaign, slot=slot, attempt=attempt)
        if event is None:
            return None
        there = event.arguments["candidate"]
        same = isinstance(there, Candidate) and _hashes(there) == _hashes(candidate)
        return event if same else None


def _hashes(candidate: Candidate) -> tuple[int, bytes, bytes, bytes]:
    return (
        candidate.parent,
        candidate.weights_hash,
        candidate.ciphertext_hash,
        candidate.capsule_hash,
    )
