"""What the partners of a campaign do and vote on, and the one way in: :meth:`Reference.act`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cdistrim.protocol import (
    GENESIS,
    TRANSITIONS,
    BallotId,
    BallotKind,
    BallotState,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    RestoreReason,
    SlotEvent,
    SlotState,
)
from tests.contracts.reference.records import (
    NO_HASH,
    Ballot,
    Campaign,
    Candidate,
    Event,
    FinalFetch,
    Refused,
    digest_of,
)
from tests.contracts.reference.turns import Turns

__all__ = ["Action", "Reference", "SignedVote"]

_WORDS: Mapping[str, tuple[int, type[IntEnum]]] = {
    "openCampaign": (5, Mode),
    "requestRestore": (4, RestoreReason),
}
_CAPITAL = re.compile(r"([A-Z])")
_AUC_ONE = 10**9


@dataclass(frozen=True)
class SignedVote:
    """A vote in ``castVotes``. ``signer`` is whose signature it is, None if it is nobody's."""

    signer: str | None
    approve: bool
    evidence: int
    deadline: int


@dataclass(frozen=True)
class Action:
    """A call: ``arguments`` as the contract's ABI takes them; ``votes`` says whose signatures are
    in the arguments of ``castVotes``."""

    sender: str
    function: str
    arguments: tuple[Any, ...]
    votes: tuple[SignedVote, ...] = ()


class Reference(Turns):
    """The contract. Actions are named as there, in Python's spelling."""

    def act(self, action: Action, now: int) -> list[Event]:
        """Do it, and what it tells.

        Raises:
            Refused: It is against the rules. Nothing has changed.
        """
        self.now, self.sender, self.events = now, action.sender, []
        arguments = list(action.arguments)
        if action.function in _WORDS:
            place, word = _WORDS[action.function]
            if arguments[place] >= len(word):
                raise Refused
            arguments[place] = word(arguments[place])
        self._require_member(self.sender)
        if action.function == "castVotes":
            arguments[2] = action.votes
        getattr(self, _CAPITAL.sub(r"_\1", action.function).lower())(*arguments)
        return self.events

    # ------------------------------------------------------------- the owner's turn

    def _own_turn(self, number: int, slot: int, attempt: int, event: SlotEvent) -> Campaign:
        """The open slot's owner, in the state that the table asks for, in time."""
        campaign = self._open_slot(number, slot, attempt)
        opened = campaign.open_slot
        if self.sender != opened.owner:
            raise Refused("NotYourTurn", number, slot, opened.owner, self.sender)
        (needed,) = {row.source for row in TRANSITIONS if row.event is event}
        if opened.state is not needed:
            raise Refused("WrongState", opened.state, needed)
        self._require_in_time(opened.deadline)
        return campaign

    def request_fetch(self, number: int, slot: int, attempt: int, key_digest: bytes) -> None:
        """Ask for the head."""
        campaign = self._own_turn(number, slot, attempt, SlotEvent.FETCH_REQUESTED)
        self._require_hash(key_digest)
        opened = campaign.open_slot
        opened.request_key_digest, opened.fetch_attempt = key_digest, attempt
        self._tell("FetchRequested", number, slot, attempt, self.sender, key_digest)
        self._step(campaign, opened, SlotEvent.FETCH_REQUESTED)
        self._ask(campaign, BallotKind.FETCH, campaign.voters)

    def report_opened(
        self, number: int, slot: int, attempt: int, good: int, bad: int, missing: int
    ) -> None:
        """The head is open. Restores that were asked for because it was not are pointless now."""
        campaign = self._own_turn(number, slot, attempt, SlotEvent.OPENED)
        self._tell("TokenRedeemed", number, slot, attempt, BallotKind.FETCH, self.sender)
        self._step(campaign, campaign.open_slot, SlotEvent.OPENED)
        self._void_of(campaign, BallotKind.RESTORE)
        shares, deadline = (good, bad, missing), campaign.open_slot.deadline
        self._tell(
            "ModelOpened", number, slot, attempt, self.sender, campaign.head, *shares, deadline
        )

    def request_upload(self, number: int, slot: int, attempt: int, candidate: Candidate) -> None:
        """Fix the candidate and have it judged: by evaluators, or in reported mode by all."""
        campaign = self._own_turn(number, slot, attempt, SlotEvent.UPLOAD_REQUESTED)
        parent, ciphertext_hash, weights_hash, capsule_hash, evidence = candidate
        if parent != campaign.head:
            raise Refused("WrongParent", campaign.head, parent)
        self._require_hash(weights_hash)
        if campaign.mode is Mode.HOLDOUT:
            self._require_hash(ciphertext_hash, capsule_hash)
        elif (ciphertext_hash, capsule_hash) != (NO_HASH, NO_HASH):
            raise Refused("HashTooEarly")
        _require_evidence(evidence)
        opened = campaign.open_slot
        opened.parent, opened.candidate, opened.weights_hash = parent, candidate, weights_hash
        opened.ciphertext_hash, opened.capsule_hash = ciphertext_hash, capsule_hash
        e = campaign.enrolments[self.sender]
        about = candidate, e.cases, e.data_commitment
        self._tell("CandidateSubmitted", number, slot, attempt, self.sender, *about)
        self._step(campaign, opened, SlotEvent.UPLOAD_REQUESTED)
        measured = campaign.mode is Mode.HOLDOUT
        judges = campaign.voters & campaign.evaluators if measured else campaign.voters
        self._ask(campaign, BallotKind.UPLOAD, judges)

    def confirm_upload(self, number: int, slot: int, attempt: int, candidate: Candidate) -> None:
        """Reported mode: the record that was voted on, now with what encryption made of it."""
        campaign = self._own_turn(number, slot, attempt, SlotEvent.CONFIRMED)
        opened = campaign.open_slot
        parent, ciphertext_hash, weights_hash, capsule_hash, evidence = candidate
        self._require_hash(ciphertext_hash, capsule_hash)
        reported = parent, NO_HASH, weights_hash, NO_HASH, evidence
        if reported != opened.candidate:
            raise Refused("RecordMismatch", opened.candidate_digest, digest_of(*reported))
        opened.ciphertext_hash, opened.capsule_hash = ciphertext_hash, capsule_hash
        self._tell("TokenRedeemed", number, slot, attempt, BallotKind.UPLOAD, self.sender)
        self._step(campaign, opened, SlotEvent.CONFIRMED)
        self._accept(campaign)

    def _ask(self, campaign: Campaign, kind: BallotKind, voters: set[str]) -> None:
        attempt = campaign.open_slot.attempt
        name = BallotId(kind, campaign.number, campaign.slot, attempt, self.sender)
        electorate = frozenset(voters | {self.sender})
        self._open(Ballot(name, electorate, campaign.quorum), campaign.head)

    # ------------------------------------------------------------------------ votes

    def cast_vote(self, word: int, subject: bytes, approve: bool, evidence: int) -> None:
        """One vote."""
        ballot = self._votable(word, subject)
        if self.sender not in ballot.electorate:
            raise Refused("NoVote", self.sender)
        if self.sender in ballot.approvals | ballot.refusals:
            raise Refused("AlreadyVoted", self.sender)
        self._require_open(ballot)
        _require_evidence(evidence)
        self._count(ballot, self.sender, approve, evidence)
        self._conclude(ballot)

    def cast_votes(self, word: int, subject: bytes, votes: Sequence[SignedVote]) -> None:
        """Votes that their voters signed. All are good, or none counts."""
        ballot = self._votable(word, subject)
        self._require_open(ballot)
        known, good = ballot.approvals | ballot.refusals, []
        for index, vote in enumerate(votes):
            self._require_in_time(vote.deadline)
            if vote.signer is None:
                raise Refused("BadSignature", index)
            if vote.signer not in ballot.electorate:
                raise Refused("NoVote", vote.signer)
            if vote.signer not in known:
                _require_evidence(vote.evidence)
                good.append((vote.signer, vote.approve, vote.evidence))
                known = known | {vote.signer}
        for voter, approve, evidence in good:
            self._count(ballot, voter, approve, evidence)
        self._conclude(ballot)

    def _votable(self, word: int, subject: bytes) -> Ballot:
        ballot = self.ballots.get(word)
        if ballot is None:
            raise Refused("NoBallot", word)
        if ballot.of_slot:
            self._open_slot(ballot.id.campaign, ballot.id.slot, ballot.id.attempt)
        elif ballot.id.campaign:
            self._settled(ballot.id.campaign)
        if subject != self.subject_of(ballot):
            raise Refused("WrongSubject", subject, self.subject_of(ballot))
        return ballot

    def _require_open(self, ballot: Ballot) -> None:
        if ballot.decided:
            raise Refused("BallotAlreadyClosed", ballot.word)
        self._require_in_time(self.deadline_of(ballot))
        if self.ballot_state(ballot) is not BallotState.OPEN:
            raise Refused("BallotVoid", ballot.word)

    def _count(self, ballot: Ballot, voter: str, approve: bool, evidence: int) -> None:
        (ballot.approvals if approve else ballot.refusals).add(voter)
        self._tell("VoteCast", ballot.word, voter, approve, evidence)

    def _conclude(self, ballot: Ballot) -> None:
        """What was asked for happens with the vote that decides it."""
        if not ballot.decided:
            return
        self._tell_closed(ballot)
        number, kind = ballot.id.campaign, ballot.id.kind
        if kind is BallotKind.FETCH:
            self._fetch_decided(self._campaign(number), ballot)
        elif kind is BallotKind.UPLOAD:
            self._upload_decided(self._campaign(number), ballot)
        elif not ballot.passed:
            return
        elif kind is BallotKind.RESTORE:
            self._restore(self._campaign(number), ballot.model, RestoreReason(ballot.reason))
        elif kind is BallotKind.JOIN:
            self._join(self._campaign(number), ballot.id.opener)
        elif kind is BallotKind.FINAL_FETCH:
            self._grant_final(self._campaign(number), ballot.id.opener)
        elif kind is BallotKind.ADMISSION:
            self._admit(*self.applicants[ballot.id.opener])
        else:
            (gone,) = (one for one in self.active if int(one, 16) == int.from_bytes(ballot.subject))
            self._remove(gone)

    def _fetch_decided(self, campaign: Campaign, ballot: Ballot) -> None:
        if not ballot.passed:
            return self._skip(campaign, SlotEvent.FETCH_OUT_OF_REACH)
        self._step(campaign, campaign.open_slot, SlotEvent.FETCH_APPROVED)
        return self._tell_token(campaign, ballot)

    def _upload_decided(self, campaign: Campaign, ballot: Ballot) -> None:
        if not ballot.passed:
            slot, reason = campaign.slot, RestoreReason.DEGRADED
            self._tell("HeadRestored", campaign.number, slot, slot, campaign.head, reason)
            return self._skip(campaign, SlotEvent.UPLOAD_OUT_OF_REACH)
        row = self._step(campaign, campaign.open_slot, SlotEvent.UPLOAD_APPROVED)
        if row.target is SlotState.ACCEPTED:
            return self._accept(campaign)
        return self._tell_token(campaign, ballot)

    def _tell_token(self, campaign: Campaign, ballot: Ballot) -> None:
        name = ballot.id
        self._tell(
            "TokenGranted",
            name.campaign,
            name.slot,
            name.attempt,
            name.kind,
            name.opener,
            campaign.open_slot.deadline,
        )

    # -------------------------------------------------------------- restores, capsules

    def request_restore(
        self, number: int, slot: int, attempt: int, target: int, reason: RestoreReason
    ) -> None:
        """Ask all voters to take the head back."""
        campaign = self._settled(number)
        if reason is RestoreReason.DEGRADED:
            raise Refused("BadReason", reason)
        opened = False
        if campaign.state is CampaignState.ENROLLING:
            raise Refused("WrongCampaignState", campaign.state, CampaignState.RUNNING)
        if campaign.state is CampaignState.RUNNING:
            self._open_slot(number, slot, attempt)
            opened = campaign.open_slot.state in (
                SlotState.TRAINING,
                SlotState.UPLOAD_REQUESTED,
                SlotState.UPLOAD_GRANTED,
            )
        elif slot != campaign.head:
            raise Refused("WrongSlot", number, slot, campaign.head)
        elif attempt:
            raise Refused("WrongAttempt", attempt, 0)
        self._require_partner(campaign)
        if target not in [*campaign.lineage[1:], GENESIS] or target == campaign.head:
            raise Refused("NotAnAncestor", campaign.head, target)
        ballot = Ballot(
            BallotId(BallotKind.RESTORE, number, slot, attempt, self.sender),
            frozenset(campaign.voters),
            campaign.quorum,
            deadline=self._ballot_end(campaign),
            subject=digest_of(*(self._digest(campaign, one) for one in (campaign.head, target))),
            model=target,
            opened=opened,
            reason=reason,
        )
        self._open(ballot, campaign.head)
        self._tell("RestoreRequested", ballot.word, number, target, reason)

    def _digest(self, campaign: Campaign, model: int) -> bytes:
        return NO_HASH if model == GENESIS else campaign.slots[model].candidate_digest

    def add_capsule(self, number: int, slot: int, capsule_hash: bytes) -> None:
        """Tell where an accepted model's key was shared anew."""
        campaign = self._settled(number)
        self._require_partner(campaign)
        state = campaign.slots[slot].state if slot in campaign.slots else SlotState.WAITING
        if state is not SlotState.ACCEPTED:
            raise Refused("WrongState", state, SlotState.ACCEPTED)
        self._require_hash(capsule_hash)
        self._tell("CapsuleAdded", number, slot, self.sender, capsule_hash)

    # -------------------------------------------------------------------- final model

    def request_final_model(self, number: int, key_digest: bytes) -> None:
        """Ask for the final model; a token that was not used is given up."""
        campaign = self._completed(number)
        self._require_hash(key_digest)
        name = self._next_round(BallotKind.FINAL_FETCH, number)
        ballot = self._open(
            Ballot(
                name,
                frozenset(campaign.voters | {self.sender}),
                campaign.quorum,
                deadline=self._ballot_end(campaign),
                subject=key_digest,
                model=campaign.head,
            ),
            campaign.head,
        )
        campaign.finals[self.sender] = FinalFetch(
            FinalFetchState.REQUESTED, name.attempt, 0, campaign.head, key_digest
        )
        self._tell("FinalModelRequested", ballot.word, number, key_digest)

    def report_final_opened(self, number: int, good: int, bad: int, missing: int) -> None:
        """The final model is open."""
        final = self._final(number, FinalFetchState.GRANTED)
        self._require_in_time(final.deadline)
        final.state = FinalFetchState.OPENED
        step, shares = (number, final.head, final.round), (good, bad, missing)
        self._tell("TokenRedeemed", *step, BallotKind.FINAL_FETCH, self.sender)
        self._tell("ModelOpened", *step, self.sender, final.head, *shares, final.deadline)

    def record_use(self, number: int, purpose: bytes) -> None:
        """The final model is used."""
        final = self._final(number, FinalFetchState.OPENED)
        self._require_hash(purpose)
        self._tell("FinalModelUsed", number, self.sender, final.head, purpose)

    def _grant_final(self, campaign: Campaign, opener: str) -> None:
        final = campaign.finals[opener]
        final.state = FinalFetchState.GRANTED
        final.deadline = self.now + campaign.seconds_of(Clock.OPENING)
        step = campaign.number, final.head, final.round
        self._tell("TokenGranted", *step, BallotKind.FINAL_FETCH, opener, final.deadline)

    def _completed(self, number: int) -> Campaign:
        campaign = self._settled(number)
        self._require_state(campaign, CampaignState.COMPLETED)
        self._require_partner(campaign)
        return campaign

    def _final(self, number: int, needed: FinalFetchState) -> FinalFetch:
        campaign = self._completed(number)
        final = campaign.finals.get(self.sender, FinalFetch())
        if final.state is not needed:
            raise Refused("WrongFinalFetchState", final.state, needed)
        if final.head != campaign.head:
            raise Refused("HeadMoved", final.head, campaign.head)
        return final


def _require_evidence(word: int) -> None:
    """AUCs are in [0, 1], and nothing stands above the five fields."""
    aucs = word & 0xFFFFFFFF, word >> 32 & 0xFFFFFFFF
    if max(aucs) > _AUC_ONE or word >> 192:
        raise Refused("BadEvidence", word)
