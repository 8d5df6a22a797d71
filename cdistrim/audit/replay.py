"""The contract's rules, applied to its events alone: what can't have happened is refused.

Each event either begins something (a member's action, of which the events show all that matters)
or is a consequence that the rules name in full: which, with which arguments, in the same
transaction. So a history that passes is one that the contract could have written, had its members
sent what the events say. Whether they did is not in the events: only signed checkpoints tell.
"""

from __future__ import annotations

from collections.abc import Callable

from cdistrim.audit.book import Arguments, Ballot, Campaign, Objection, ballot_id
from cdistrim.audit.deeds import SEALED, Deeds
from cdistrim.ledger import LoggedEvent
from cdistrim.ledger.plain import problem_of_event
from cdistrim.protocol import BallotKind, RestoreReason, SlotEvent, SlotState

__all__ = ["Replay"]


class Replay(Deeds):
    """A history as far as it was read. Feed it all events in order, then :meth:`finish`.

    After an objection nothing more can be said: what follows would be judged by what never was.
    """

    def __init__(self) -> None:
        super().__init__()
        self._last: LoggedEvent | None = None
        self._transactions: set[str] = set()
        self._founding = True
        self._votes: Ballot | None = None
        self._begins: dict[str, Callable[[Arguments], None]] = {
            "KeyRotated": self.key_rotated,
            "CampaignOpened": self.campaign_opened,
            "Enrolled": self.enrolled,
            "BallotOpened": self.ballot_opened,
            "FetchRequested": self.fetch_requested,
            "TokenRedeemed": self.token_redeemed,
            "CandidateSubmitted": self.candidate_submitted,
            "VoteCast": self._vote_cast,
            "CapsuleAdded": self.capsule_added,
            "FinalModelUsed": self.final_model_used,
        }
        # Of these the first event is a consequence already: of time, or of a removal.
        self._follows: dict[str, Callable[[Arguments], None]] = {
            "CampaignStarted": self._expired,
            "CampaignCompleted": self._expired,
            "SlotSkipped": self._expired,
            "BallotClosed": self._ballot_expired,
            "PartnersRemoved": self._removals_applied,
        }

    # --- reading ---

    def feed(self, event: LoggedEvent) -> None:
        """The next event.

        Raises:
            Objection: It can't follow from those before it.
        """
        self.number += 1
        if problem := problem_of_event(event.name, event.arguments):
            raise Objection(problem)
        self._see_where(event)
        self._see_votes_end(event)
        self.now = event.timestamp
        last, self._last = self._last, event
        if self.due:
            if last is not None and last.transaction != event.transaction:
                raise Objection(
                    f"{self.due} is missing before it, in the transaction of {last.name}"
                )
            self.take(event.name, event.arguments)
        elif self._founding and event.name == "MemberAdmitted" and not self._is_new(event, last):
            self.found(event.arguments)
        else:
            self._begin(event)

    def finish(self) -> None:
        """Nothing follows.

        Raises:
            Objection: Something that the last event leads to is missing.
        """
        self.number += 1
        self._conclude()
        self.require_founded()
        if self.due:
            raise Objection(f"{self.due} is missing: the history ends within a transaction")

    def _begin(self, event: LoggedEvent) -> None:
        """Nothing had to come: a member did something."""
        if self._founding:
            self.require_founded()
            self._founding = False
        if event.name in self._begins:
            self._begins[event.name](event.arguments)
        elif event.name in self._follows:
            self._follows[event.name](event.arguments)
            self.take(event.name, event.arguments)
        else:
            raise Objection("nothing before it leads to this")

    def _is_new(self, event: LoggedEvent, last: LoggedEvent | None) -> bool:
        return last is not None and last.transaction != event.transaction

    def _see_where(self, event: LoggedEvent) -> None:
        """Blocks, logs and transactions are in order, and none is there twice."""
        last = self._last
        if last is None or event.transaction != last.transaction:
            if event.transaction in self._transactions:
                raise Objection("its transaction was over before")
            self._transactions.add(event.transaction)
        if last is None:
            return
        if event.block < last.block:
            raise Objection(f"its block is before block {last.block} of the record before")
        same = event.block == last.block
        if same and event.index <= last.index:
            raise Objection(f"its log index is not above {last.index} of the record before")
        if same != (event.block_hash == last.block_hash):
            raise Objection("its block's hash and number don't fit those of the record before")
        if event.timestamp < last.timestamp or (same and event.timestamp != last.timestamp):
            raise Objection(f"its time does not fit {last.timestamp} of the record before")
        if not same and event.transaction == last.transaction:
            raise Objection("its transaction was in another block")

    def _expired(self, found: Arguments) -> None:
        self.close_expired(found["campaign"])

    def _ballot_expired(self, found: Arguments) -> None:
        self.close_expired(found["ballot"]["campaign"])

    def _removals_applied(self, found: Arguments) -> None:
        self.apply_removals(found["campaign"])

    # --- votes ---

    def _vote_cast(self, found: Arguments) -> None:
        ballot = self._ballot(found["ballot"])
        if self._votes is None:  # several may come in one transaction, signed: all of them count
            self._require_votable(ballot)
            self.require_open(ballot)
        self._votes = ballot
        self.count(ballot, found)

    def _ballot(self, found: Arguments) -> Ballot:
        name = ballot_id(found)
        if name not in self.ballots:
            raise Objection("no such ballot was opened before")
        return self.ballots[name]

    def _require_votable(self, ballot: Ballot) -> None:
        if ballot.of_slot:
            self.running(ballot.id.campaign, ballot.id.slot, ballot.id.attempt)
        elif ballot.id.campaign:
            self.settled(ballot.id.campaign)

    def _see_votes_end(self, event: LoggedEvent) -> None:
        last = self._last
        if self._votes is None or last is None:
            return
        goes_on = event.name == "VoteCast" and event.transaction == last.transaction
        if not goes_on or event.arguments["ballot"] != last.arguments["ballot"]:
            self._conclude()

    def _conclude(self) -> None:
        """What was asked for happens with the transaction that decides it."""
        ballot, self._votes = self._votes, None
        if ballot is None or not ballot.decided:
            return
        self.tell_closed(ballot)
        kind, number, opener = ballot.id.kind, ballot.id.campaign, ballot.id.opener
        if kind is BallotKind.FETCH:
            self._fetch_decided(self.campaign(number), ballot)
        elif kind is BallotKind.UPLOAD:
            self._upload_decided(self.campaign(number), ballot)
        elif not ballot.passed:
            return
        elif kind is BallotKind.RESTORE:
            reason = RestoreReason[ballot.terms["reason"]]
            self.restore(self.campaign(number), ballot.model, reason)
        elif kind is BallotKind.JOIN:
            self.join(self.campaign(number), opener, ballot.terms)
        elif kind is BallotKind.FINAL_FETCH:
            self.grant_final(self.campaign(number), opener)
        elif kind is BallotKind.ADMISSION:
            admitted = self.admit(ballot.terms["account"], ballot.terms["name"])
            self.tell("MemberAdmitted", **admitted)
        else:
            self.remove(ballot.terms["account"])

    def _fetch_decided(self, campaign: Campaign, ballot: Ballot) -> None:
        if not ballot.passed:
            self.skip(campaign, SlotEvent.FETCH_OUT_OF_REACH)
            return
        self.step(campaign, SlotEvent.FETCH_APPROVED)
        self._tell_token(campaign, ballot)

    def _upload_decided(self, campaign: Campaign, ballot: Ballot) -> None:
        if not ballot.passed:
            reason = RestoreReason.DEGRADED
            self.tell_restored(campaign, campaign.slot, campaign.head, reason)
            self.skip(campaign, SlotEvent.UPLOAD_OUT_OF_REACH)
            return
        candidate = campaign.open_slot.candidate or {}
        if self.step(campaign, SlotEvent.UPLOAD_APPROVED).target is not SlotState.ACCEPTED:
            self._tell_token(campaign, ballot)
            return
        hashes = {name: candidate[name] for name in ("weightsHash", *SEALED)}
        self.tell("ModelAccepted", **self.about(campaign), **hashes)
        self.accept(campaign)

    def _tell_token(self, campaign: Campaign, ballot: Ballot) -> None:
        deadline = campaign.open_slot.deadline
        about = self.about(campaign)
        self.tell("TokenGranted", **about, kind=ballot.id.kind.name, deadline=deadline)
