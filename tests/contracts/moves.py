"""Sensible moves: what campaigns need, votes, and what members do now and then.

They are made of the reference's state; nothing here knows the contract.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from cdistrim.ledger.words import evidence_word, name_word
from cdistrim.protocol import (
    GENESIS,
    BallotState,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    RestoreReason,
    SlotState,
)
from tests.chain import BETTER, WORSE
from tests.contracts.reference import NO_HASH, Action, Ballot, Campaign, Reference, SignedVote
from tests.contracts.signing import Signing, people

__all__ = ["Moves"]

_CAMPAIGNS = 8  # of one game


class Moves:
    """Makes moves for everybody. ``now`` is the time of the next one.

    Args:
        address: Where the contract is.
    """

    def __init__(self, rng: random.Random, reference: Reference, address: str) -> None:
        self._rng = rng
        self._reference = reference
        self.signing = Signing(address)
        self.accounts = [str(account.address) for account in people()]
        self.now = reference.now

    # --------------------------------------------------------------------- pieces

    def _do(self, sender: str, function: str, *arguments: object) -> Action:
        return Action(sender, function, arguments)

    def _with_key(self, sender: str, function: str, *arguments: object) -> Action:
        """Who has no sealing key publishes one first, or mostly does."""
        member = self._reference.member(sender)
        if member and member.sealing_key_digest == NO_HASH and self._rng.random() < 0.8:
            return self._do(sender, "publishKey", self._rng.randbytes(40))
        return self._do(sender, function, *arguments)

    def _campaigns(self, *states: CampaignState) -> list[Campaign]:
        return [c for c in self._reference.campaigns if c.state in states]

    def _members(self) -> list[str]:
        """Members by their seats; a set would make a game depend on more than its seed."""
        return [member.account for member in self._reference.members if member.active]

    def _one(self, of: Sequence[str] | set[str] | frozenset[str]) -> str | None:
        return self._rng.choice(sorted(of)) if of else None

    def _somebody(self) -> str:
        return self._rng.choice(self._members())

    def _hash(self) -> bytes:
        return self._rng.randbytes(32)

    def _evidence(self) -> int:
        return evidence_word(self._rng.choice((BETTER, WORSE, None)))

    # ------------------------------------------------------------- what a campaign needs

    def _campaign_move(self) -> Action | None:
        open_ones = self._campaigns(CampaignState.ENROLLING, CampaignState.RUNNING)
        begun = len(self._reference.campaigns)
        if begun < _CAMPAIGNS and self._rng.random() < (0.5, 0.03, 0.01, 0)[min(len(open_ones), 3)]:
            return self._open_campaign()
        if not self._reference.campaigns:
            return None
        campaign = self._rng.choice(open_ones or self._reference.campaigns)
        if self._rng.random() < 0.15:
            campaign = self._rng.choice(self._reference.campaigns)
        return self._due(campaign)

    def _due(self, campaign: Campaign, *, yes: float = 0.85) -> Action | None:
        number = campaign.number
        if self._reference.removed_from(campaign):
            return self._do(self._somebody(), "applyRemovals", number)
        if campaign.state is CampaignState.ENROLLING:
            missing = campaign.invited & self._reference.active - campaign.partners
            late = self.now > campaign.enrol_deadline
            somebody = self._one(missing)
            if len(campaign.partners) > 1 and self._rng.random() < 0.1:
                self.now = max(self.now, campaign.enrol_deadline + 1)
            elif somebody and not late:
                return self._with_key(somebody, "enrol", number, *self._enrolment())
            return self._do(self._somebody(), "closeExpired", number)
        if campaign.state.ended:
            return self._afterwards(campaign)
        slot = campaign.open_slot
        if self.now > slot.deadline and self._rng.random() < 0.7:
            return self._do(self._somebody(), "closeExpired", number)
        if ballot := self._reference.open_ballot(campaign):
            return self._vote(ballot, yes=yes)
        return self._own_step(campaign)

    def _own_step(self, campaign: Campaign) -> Action | None:
        slot = campaign.open_slot
        step = campaign.number, campaign.slot, slot.attempt
        if slot.state is SlotState.WAITING:
            return self._do(slot.owner, "requestFetch", *step, self._hash())
        if slot.state is SlotState.FETCH_GRANTED:
            shares = (self._rng.randrange(256) for _ in range(3))
            return self._do(slot.owner, "reportOpened", *step, *shares)
        if slot.state is SlotState.TRAINING:
            reported = campaign.mode is Mode.REPORTED
            hashes = [NO_HASH if reported else self._hash() for _ in range(2)]
            record = campaign.head, hashes[0], self._hash(), hashes[1], self._evidence()
            return self._do(slot.owner, "requestUpload", *step, record)
        if slot.state is SlotState.UPLOAD_GRANTED:
            assert slot.candidate
            parent, _, weights_hash, _, evidence = slot.candidate
            record = parent, self._hash(), weights_hash, self._hash(), evidence
            return self._do(slot.owner, "confirmUpload", *step, record)
        return None

    def _enrolment(self) -> tuple[int, bytes, bool]:
        return self._rng.randrange(1, 500), self._hash(), self._rng.random() < 0.8

    def _open_campaign(self) -> Action:
        rng, members = self._rng, self._members()
        size = rng.choice((2, 3, len(members) - 1, len(members)))
        order = rng.sample(members, max(2, min(size, len(members))))
        seconds = [rng.choice((120, 600, 3000)) for _ in Clock]
        deadlines = sum(each << 32 * clock for clock, each in zip(Clock, seconds, strict=True))
        quorum = rng.choice((0, 0, 0, 1, len(order)))
        terms = rng.randrange(1, 4), quorum, rng.randrange(2), deadlines
        return self._do(self._somebody(), "openCampaign", self._hash(), self._hash(), order, *terms)

    def _afterwards(self, campaign: Campaign) -> Action | None:
        number, somebody = campaign.number, self._one(campaign.partners)
        if somebody is None or campaign.state is CampaignState.FAILED:
            return None
        if self._rng.random() < 0.15:
            return self._ask_restore(campaign, somebody)
        if self._rng.random() < 0.2:
            slot = self._rng.choice(campaign.lineage)
            return self._do(somebody, "addCapsule", number, slot, self._hash())
        return self._final_move(campaign, somebody)

    def _final_move(self, campaign: Campaign, somebody: str) -> Action:
        final = campaign.finals.get(somebody)
        state = final.state if final and final.head == campaign.head else FinalFetchState.NONE
        if self._rng.random() < 0.2:
            state = self._rng.choice(list(FinalFetchState))
        if state is FinalFetchState.GRANTED:
            shares = (self._rng.randrange(256) for _ in range(3))
            return self._do(somebody, "reportFinalOpened", campaign.number, *shares)
        if state is FinalFetchState.OPENED:
            return self._do(somebody, "recordUse", campaign.number, self._hash())
        return self._do(somebody, "requestFinalModel", campaign.number, self._hash())

    def _ask_restore(self, campaign: Campaign, somebody: str) -> Action:
        ended = campaign.state.ended
        step = (campaign.head, 0) if ended else (campaign.slot, campaign.open_slot.attempt)
        target = self._rng.choice([*campaign.lineage[1:], GENESIS, GENESIS])
        reason = self._rng.choice((RestoreReason.UNOPENABLE, RestoreReason.IRREPRODUCIBLE))
        number = campaign.number
        return self._do(somebody, "requestRestore", number, *step, target, int(reason))

    # ----------------------------------------------------------------------- votes

    def _vote(self, ballot: Ballot, *, yes: float) -> Action | None:
        """By transaction, or several at once that were signed."""
        waiting = sorted(ballot.electorate - ballot.approvals - ballot.refusals)
        if not waiting:
            return None
        rng = self._rng
        if rng.random() < 0.15:
            voters = rng.sample(waiting, rng.randrange(1, len(waiting) + 1))
            return self._signed(ballot, voters, yes=yes)
        asked = ballot.word, self._reference.subject_of(ballot)
        choice = rng.random() < yes, self._evidence()
        return self._do(rng.choice(waiting), "castVote", *asked, *choice)

    def _signed(self, ballot: Ballot, voters: Sequence[str], *, yes: float) -> Action:
        asked = ballot.word, self._reference.subject_of(ballot)
        votes = [
            SignedVote(voter, self._rng.random() < yes, self._evidence(), self.now + 1000)
            for voter in voters
        ]
        signed = [self.signing.sign(asked, vote) for vote in votes]
        return Action(self._somebody(), "castVotes", (*asked, signed), tuple(votes))

    def _vote_elsewhere(self) -> Action | None:
        too_late = self._rng.random() < 0.1
        alive = [
            ballot
            for ballot in self._reference.ballots.values()
            if not ballot.of_slot
            and (self._reference.ballot_state(ballot) is BallotState.OPEN) != too_late
        ]
        return self._vote(self._rng.choice(alive), yes=0.75) if alive else None

    # ------------------------------------------------------------------ now and then

    def _aside(self) -> Action | None:
        ways = (self._rotate, self._admit, self._remove_somebody, self._restore_something)
        return self._rng.choice(ways)()

    def _rotate(self) -> Action:
        return self._do(self._somebody(), "publishKey", self._rng.randbytes(40))

    def _admit(self) -> Action | None:
        outsiders = [a for a in self.accounts[:-1] if not self._reference.member(a)]
        if not outsiders or len(self._reference.active) > 6:
            return None
        applicant = self.applicant(self._rng.choice(outsiders))
        return self._do(self._somebody(), "proposeAdmission", applicant)

    def _remove_somebody(self) -> Action | None:
        if len(self._reference.active) < 4 or self._rng.random() < 0.7:
            return None
        return self._do(self._somebody(), "proposeRemoval", self._somebody())

    def _ask_to_join(self) -> Action | None:
        for campaign in self._shuffled(CampaignState.RUNNING):
            if stranger := self._one(self._reference.active - campaign.partners):
                terms = campaign.number, *self._enrolment()
                return self._with_key(stranger, "requestJoin", *terms)
        return None

    def _restore_something(self) -> Action | None:
        for campaign in self._shuffled(CampaignState.RUNNING, CampaignState.COMPLETED):
            somebody = self._one(campaign.partners)
            if somebody and (campaign.head or self._rng.random() < 0.2):
                return self._ask_restore(campaign, somebody)
        return None

    def _shuffled(self, *states: CampaignState) -> list[Campaign]:
        campaigns = self._campaigns(*states)
        return self._rng.sample(campaigns, len(campaigns))

    def applicant(self, account: str) -> tuple[str, bytes]:
        """An account and the name that belongs to it."""
        return account, name_word(f"hospital-{self.accounts.index(account)}")
