"""Votes, by transaction or by signature (``Votes.sol``)."""

from __future__ import annotations

from collections.abc import Sequence

from cdistrim.ledger.interface import Receipt, SignedVote
from cdistrim.ledger.words import as_kept, ballot_word, evidence_word
from cdistrim.ledger.writing import MOVED_ON, Writer
from cdistrim.protocol import BallotId, Evidence, LedgerEvent

__all__ = ["VoteWrites"]


class VoteWrites(Writer):
    """One vote a transaction, or a majority's signatures in one."""

    def cast_vote(
        self,
        *,
        ballot: BallotId,
        subject: bytes,
        approve: bool,
        evidence: Evidence | None = None,
    ) -> Receipt:
        """Vote in an open ballot. Another choice or evidence than before is refused, not repeated.

        ``subject`` is the ballot's as the voter saw it: should something else stand under the
        ballot's name by then, the vote is refused.
        """
        return self._write(
            "castVote",
            (ballot_word(ballot), subject, approve, evidence_word(evidence)),
            ("AlreadyVoted", *MOVED_ON),
            lambda _: self._mine(
                "VoteCast", ballot=ballot, approve=approve, evidence=as_kept(evidence)
            ),
        )

    def sign_vote(
        self,
        *,
        ballot: BallotId,
        subject: bytes,
        approve: bool,
        deadline: int,
        evidence: Evidence | None = None,
    ) -> SignedVote:
        """A vote that any member may hand in until ``deadline`` (seconds of ledger time).

        Nothing is sent. The signature (EIP-712) is good for this ballot and subject, chain and
        contract only.
        """
        message = {
            "ballot": ballot_word(ballot),
            "subject": subject,
            "approve": approve,
            "evidence": evidence_word(evidence),
            "deadline": deadline,
        }
        domain = {
            "name": "C-DistriM",
            "version": "1",
            "chainId": self.chain_id,
            "verifyingContract": self.address,
        }
        signer = self._signer()
        signature = signer.sign_typed(domain, {"Vote": _VOTE}, message)
        return SignedVote(ballot, subject, signer.address, approve, evidence, deadline, signature)

    def cast_votes(
        self, *, ballot: BallotId, subject: bytes, votes: Sequence[SignedVote]
    ) -> Receipt:
        """Hand in votes that others signed. Who has voted before, in whatever way, is passed over.

        If all of them have, or the ballot is closed, nothing is sent; the receipt is of what closed
        it, or of the last of these votes.
        """
        fields = [
            (
                vote.approve,
                evidence_word(vote.evidence),
                vote.deadline,
                vote.signature[:32],
                vote.signature[32:],
            )
            for vote in votes
        ]
        return self._write(
            "castVotes",
            (ballot_word(ballot), subject, fields),
            ("BallotAlreadyClosed", "DeadlinePassed", *MOVED_ON),
            lambda _: self._counted(ballot, votes),
            ask_first=True,
        )

    def _counted(self, ballot: BallotId, votes: Sequence[SignedVote]) -> LedgerEvent | None:
        """What closed the ballot, or the last of these voters' votes if there are all of them."""
        closed = self._last("BallotClosed", ballot=ballot)
        if closed is not None:
            return closed
        cast = self._events.find("VoteCast", ballot=ballot)
        voted = {str(event.arguments["account"]): event for event in cast}
        opening = self._last("BallotOpened", ballot=ballot)
        if opening is not None:
            voted[ballot.opener] = opening  # the request was its vote
        found = [voted[vote.account] for vote in votes if vote.account in voted]
        if len(found) < len(votes):
            return None
        return max(found, key=lambda event: (event.block, event.index), default=None)


_VOTE = [
    {"name": "ballot", "type": "uint256"},
    {"name": "subject", "type": "bytes32"},
    {"name": "approve", "type": "bool"},
    {"name": "evidence", "type": "uint256"},
    {"name": "deadline", "type": "uint64"},
]
