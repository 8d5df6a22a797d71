"""How campaigns begin, who takes part, and what any member may close (``Partners.sol``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdistrim.errors import LedgerRefusal
from cdistrim.ledger.interface import Receipt
from cdistrim.ledger.node import Reorganised
from cdistrim.ledger.words import deadlines_word
from cdistrim.ledger.writing import Said, Writer
from cdistrim.protocol import LedgerEvent, Mode
from cdistrim.spec import DeadlineSpec

__all__ = ["CampaignWrites"]


class CampaignWrites(Writer):
    """Opening, enrolment, joining, removal, closing."""

    def open_campaign(
        self,
        *,
        spec_hash: bytes,
        genesis_hash: bytes,
        order: Sequence[str],
        cycles: int,
        quorum: int | None,
        mode: Mode,
        deadlines: DeadlineSpec,
    ) -> tuple[int, Receipt]:
        """Open a campaign; its number. The same spec again continues the one that has not ended."""
        mine = {"opener": self.account, "specHash": spec_hash}

        def opened(_: Said) -> LedgerEvent | None:
            found = self._events.find("CampaignOpened", **mine)
            return next((event for event in found if not self._has_ended(event)), None)

        fields = deadlines_word(deadlines)
        arguments = (spec_hash, genesis_hash, list(order), cycles, quorum or 0, mode, fields)
        # The contract does not refuse a second one, so the question comes before the sending.
        receipt = self._write("openCampaign", arguments, (), opened, ask_first=True)
        opening = self._look(
            lambda _: next(
                (
                    event
                    for event in self._events.find("CampaignOpened", **mine)
                    if event.transaction == receipt.transaction
                ),
                None,
            ),
            {},
        )
        if opening is None:
            raise Reorganised(self._node.name, receipt.block)
        return int(str(opening.arguments["campaign"])), receipt

    def enrol(
        self, *, campaign: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> Receipt:
        """Take part in a campaign."""
        return self._write(
            "enrol",
            (campaign, cases, data_commitment, evaluator),
            # Too late is said first, while nobody has closed the enrolment.
            ("AlreadyEnrolled", "WrongCampaignState", "DeadlinePassed"),
            lambda _: self._mine(
                "Enrolled",
                campaign=campaign,
                cases=cases,
                dataCommitment=data_commitment,
                evaluator=evaluator,
            ),
        )

    def request_join(
        self, *, campaign: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> Receipt:
        """Ask the voters of a running campaign to let this account join."""
        figures = {"cases": cases, "dataCommitment": data_commitment, "evaluator": evaluator}

        def requested(said: Said) -> LedgerEvent | None:
            if "ballot" in said:
                return self._last("JoinRequested", ballot=said["ballot"], **figures)
            # It is a partner. If by a ballot, this was its latest: nobody asks again after that.
            joined = self._mine("PartnerJoined", campaign=campaign, **figures)
            asked = {"campaign": campaign, "opener": self.account, **figures}
            return self._last("JoinRequested", **asked) if joined else None

        arguments = (campaign, cases, data_commitment, evaluator)
        refusals = ("BallotAlreadyOpened", "AlreadyEnrolled")
        return self._write("requestJoin", arguments, refusals, requested)

    def apply_removals(self, *, campaign: int) -> Receipt:
        """Take former members out of a campaign; nothing else happens there before."""
        return self._write(
            "applyRemovals",
            (campaign,),
            ("NoRemovals",),
            lambda _: self._last("PartnersRemoved", campaign=campaign),
        )

    def close_expired(self, *, campaign: int, slot: int) -> Receipt:
        """End the open slot, or the enrolment (slot 0), once its deadline is over."""
        refusals = ("DeadlineNotPassed", "WrongCampaignState")
        # The contract closes whatever is open and late: the next slot, too, if this one has ended.
        return self._write(
            "closeExpired",
            (campaign,),
            refusals,
            lambda _: self._ended(campaign, slot),
            ask_first=True,
        )

    def _has_ended(self, opening: LedgerEvent) -> bool:
        try:
            return self.campaign(int(str(opening.arguments["campaign"]))).state.ended
        except LedgerRefusal:
            return False  # the latest block has it, the last that counts does not

    def _ended(self, campaign: int, slot: int) -> LedgerEvent | None:
        names = ("SlotSkipped", "ModelAccepted") if slot else ("CampaignStarted",)
        which = {"campaign": campaign} | ({"slot": slot} if slot else {})
        ends: list[Iterator[LedgerEvent]] = [self._events.find(name, **which) for name in names]
        if not slot:  # too few enrolled: it ended without having started
            ends.append(self._events.find("CampaignCompleted", campaign=campaign))
        return next((event for end in ends for event in end), None)
