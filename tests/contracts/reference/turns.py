"""Campaigns and their slots: who takes part, whose turn it is, and how a turn ends.

Every change of a slot's state is a row of ``TRANSITIONS``, taken in :meth:`Turns._step`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cdistrim.ledger.words import ballot_word
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    Clock,
    IllegalTransition,
    Mode,
    RestartReason,
    RestoreReason,
    SlotEvent,
    SlotState,
    Transition,
    advance,
)
from tests.contracts.reference.consortium import Consortium
from tests.contracts.reference.records import (
    NO_HASH,
    Ballot,
    Campaign,
    Enrolment,
    Refused,
    Slot,
    digest_of,
)

__all__ = ["Turns"]

_MONTH = 30 * 24 * 3600
_CLOCK_OF = {
    SlotState.WAITING: Clock.FETCH_REQUEST,
    SlotState.FETCH_REQUESTED: Clock.FETCH_BALLOT,
    SlotState.FETCH_GRANTED: Clock.OPENING,
    SlotState.TRAINING: Clock.TRAINING,
    SlotState.UPLOAD_REQUESTED: Clock.UPLOAD_BALLOT,
    SlotState.UPLOAD_GRANTED: Clock.CONFIRMATION,
}


class Turns(Consortium):
    """A consortium with campaigns. ``taken`` counts the rows of the table that were taken."""

    def __init__(self, founders: Sequence[tuple[str, bytes]], views: str, now: int) -> None:
        self.campaigns: list[Campaign] = []
        self.taken: Counter[Transition] = Counter()
        super().__init__(founders, views, now)

    def deadline_of(self, ballot: Ballot) -> int:
        """Its last second; of a slot's ballot that of the slot's step."""
        if ballot.deadline is not None:
            return ballot.deadline
        return self.campaigns[ballot.id.campaign - 1].slots[ballot.id.slot].deadline

    def removed_from(self, campaign: Campaign) -> set[str]:
        """Partners that are no members any more."""
        return campaign.partners - self.active

    def open_ballot(self, campaign: Campaign) -> Ballot | None:
        """The ballot that the open slot waits for."""
        slot = campaign.open_slot
        kinds = {
            SlotState.FETCH_REQUESTED: BallotKind.FETCH,
            SlotState.UPLOAD_REQUESTED: BallotKind.UPLOAD,
        }
        if slot.state not in kinds:
            return None
        name = BallotId(kinds[slot.state], campaign.number, campaign.slot, slot.attempt, slot.owner)
        return self.ballots.get(ballot_word(name))

    def subject_of(self, ballot: Ballot) -> bytes:
        """What it is about; nothing if the slot was started over since."""
        if not ballot.of_slot:
            return ballot.subject
        slot = self._campaign(ballot.id.campaign).slots[ballot.id.slot]
        if slot.attempt != ballot.id.attempt:
            return NO_HASH
        fetch = ballot.id.kind is BallotKind.FETCH
        return slot.request_key_digest if fetch else slot.candidate_digest

    # --------------------------------------------------------------------- guards

    def _campaign(self, number: int) -> Campaign:
        if not 1 <= number <= len(self.campaigns):
            raise Refused("NoCampaign", number)
        return self.campaigns[number - 1]

    def _settled(self, number: int) -> Campaign:
        campaign = self._campaign(number)
        if removed := self.removed_from(campaign):
            raise Refused("RemovalsPending", number, self.mask(removed))
        return campaign

    def _require_state(self, campaign: Campaign, needed: CampaignState) -> None:
        if campaign.state is not needed:
            raise Refused("WrongCampaignState", campaign.state, needed)

    def _require_partner(self, campaign: Campaign) -> None:
        if self.sender not in campaign.partners:
            raise Refused("NotAPartner", campaign.number, self.sender)

    def _open_slot(self, number: int, slot: int, attempt: int) -> Campaign:
        """A running campaign whose open slot and attempt are those that the sender believes in."""
        campaign = self._settled(number)
        self._require_state(campaign, CampaignState.RUNNING)
        if slot != campaign.slot:
            raise Refused("WrongSlot", number, slot, campaign.slot)
        if attempt != campaign.open_slot.attempt:
            raise Refused("WrongAttempt", attempt, campaign.open_slot.attempt)
        return campaign

    # ------------------------------------------------------------ taking part in it

    def open_campaign(
        self,
        spec_hash: bytes,
        genesis_hash: bytes,
        order: Sequence[str],
        cycles: int,
        quorum: int,
        mode: Mode,
        deadlines: int,
    ) -> None:
        """Agree on a campaign; its order enrols from now on."""
        self._require_hash(spec_hash, genesis_hash)
        if not (cycles and cycles * len(order) <= 2000):
            raise Refused("BadCycles", cycles)
        if quorum > len(order):
            raise Refused("BadQuorum", quorum, len(order))
        for clock in Clock:
            given = deadlines >> 32 * clock & 0xFFFFFFFF
            if not 1 <= given <= _MONTH:
                raise Refused("BadDeadline", given)
        if above := deadlines >> 32 * len(Clock):
            raise Refused("BadDeadline", above)
        if not 2 <= len(order) <= 50:
            raise Refused("BadOrder", len(order))
        for place, partner in enumerate(order):
            self._require_member(partner)
            if partner in order[:place]:
                raise Refused("DuplicatePartner", partner)
        campaign = Campaign(
            number=len(self.campaigns) + 1,
            spec_hash=spec_hash,
            genesis_hash=genesis_hash,
            order=list(order),
            invited=set(order),
            cycles=cycles,
            quorum=quorum,
            mode=mode,
            deadlines=deadlines,
            enrol_deadline=self.now + (deadlines & 0xFFFFFFFF),
            place=len(order) - 1,  # as if cycle 0 were over
        )
        self.campaigns.append(campaign)
        self._tell(
            "CampaignOpened",
            campaign.number,
            self.sender,
            spec_hash,
            genesis_hash,
            tuple(order),
            cycles,
            quorum,
            mode,
            deadlines,
            campaign.enrol_deadline,
        )

    def enrol(self, number: int, cases: int, data_commitment: bytes, evaluator: bool) -> None:
        """Take part; the last one who is expected starts the campaign."""
        campaign = self._settled(number)
        self._require_state(campaign, CampaignState.ENROLLING)
        self._require_in_time(campaign.enrol_deadline)
        if self.sender not in campaign.invited:
            raise Refused("NotAPartner", number, self.sender)
        if self.sender in campaign.partners:
            raise Refused("AlreadyEnrolled", number, self.sender)
        enrolment = self._enrolment(cases, data_commitment, evaluator)
        campaign.enrolments[self.sender] = enrolment
        self._take_in(campaign, self.sender)
        self._tell("Enrolled", number, self.sender, cases, data_commitment, evaluator)
        if campaign.partners == campaign.invited & self.active:
            self._start(campaign)

    def request_join(
        self, number: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> None:
        """Ask the voters of a running campaign for a place in it."""
        campaign = self._settled(number)
        self._require_state(campaign, CampaignState.RUNNING)
        if self.sender in campaign.partners:
            raise Refused("AlreadyEnrolled", number, self.sender)
        name = self._next_round(BallotKind.JOIN, number)
        enrolment = self._enrolment(cases, data_commitment, evaluator)
        ballot = self._open(
            Ballot(
                name,
                frozenset(campaign.voters),
                campaign.quorum,
                deadline=self._ballot_end(campaign),
                subject=digest_of(cases, evaluator, data_commitment),
            ),
            campaign.head,
        )
        campaign.enrolments[self.sender] = enrolment
        self._tell("JoinRequested", ballot.word, number, cases, data_commitment, evaluator)

    def apply_removals(self, number: int) -> None:
        """Go on without former members; what the open slot asked for is asked anew, or is over."""
        campaign = self._campaign(number)
        removed = self.removed_from(campaign)
        if not removed:
            raise Refused("NoRemovals", number)
        for group in (campaign.partners, campaign.voters, campaign.evaluators, campaign.dealt):
            group -= removed
        self._tell("PartnersRemoved", number, self.mask(removed))
        if campaign.state is not CampaignState.RUNNING:
            return
        slot = campaign.open_slot
        if not campaign.can_decide:
            self._skip(campaign, SlotEvent.TOO_FEW_LEFT)
        elif slot.owner in removed:
            self._skip(campaign, SlotEvent.OWNER_REMOVED)
        elif self._is_legal(campaign, SlotEvent.PARTNER_REMOVED):
            self._restart(campaign, SlotEvent.PARTNER_REMOVED, RestartReason.PARTNER_REMOVED)

    def close_expired(self, number: int) -> None:
        """End the enrolment, or the open slot, whose time is over."""
        campaign = self._settled(number)
        enrolling = campaign.state is CampaignState.ENROLLING
        if not enrolling:
            self._require_state(campaign, CampaignState.RUNNING)
        deadline = campaign.enrol_deadline if enrolling else campaign.open_slot.deadline
        if self.now <= deadline:
            raise Refused("DeadlineNotPassed", deadline, self.now)
        if enrolling:
            self._start(campaign)
        else:
            self._skip(campaign, SlotEvent.DEADLINE_CLOSED)

    def _enrolment(self, cases: int, data_commitment: bytes, evaluator: bool) -> Enrolment:
        member = self.member(self.sender)
        if member is None or member.sealing_key_digest == NO_HASH:
            raise Refused("NoSealingKey", self.sender)
        if not cases:
            raise Refused("BadCases")
        self._require_hash(data_commitment)
        return Enrolment(cases, evaluator, data_commitment)

    def _take_in(self, campaign: Campaign, account: str) -> None:
        campaign.partners.add(account)
        if campaign.enrolments[account].evaluator:
            campaign.evaluators.add(account)

    def _join(self, campaign: Campaign, account: str) -> None:
        if account not in campaign.invited:
            campaign.invited.add(account)
            campaign.order.append(account)
        self._take_in(campaign, account)
        e = campaign.enrolments[account]
        self._tell(
            "PartnerJoined", campaign.number, account, e.cases, e.data_commitment, e.evaluator
        )

    # ----------------------------------------------------------------- turn by turn

    def _step(self, campaign: Campaign, slot: Slot, event: SlotEvent) -> Transition:
        """Take a row of the table; the next step's clock starts at once."""
        row = advance(slot.state, event, campaign.mode)
        self.taken[row] += 1
        slot.state, slot.skip_reason = row.target, row.reason
        if row.restarts:
            slot.attempt += 1
            slot.candidate = None
            if row.target is SlotState.WAITING:
                slot.request_key_digest = NO_HASH
        if not row.target.ended:
            slot.deadline = self.now + campaign.seconds_of(_CLOCK_OF[row.target])
        return row

    def _is_legal(self, campaign: Campaign, event: SlotEvent) -> bool:
        try:
            advance(campaign.open_slot.state, event, campaign.mode)
        except IllegalTransition:
            return False
        return True

    def _start(self, campaign: Campaign) -> None:
        campaign.voters = set(campaign.partners)
        if not campaign.can_decide:
            campaign.voters = set()
            return self._complete(campaign)
        campaign.state = CampaignState.RUNNING
        counts = len(campaign.partners), len(campaign.evaluators)
        self._tell("CampaignStarted", campaign.number, *counts)
        return self._open_next(campaign)

    def _open_next(self, campaign: Campaign) -> None:
        """Go on to the next slot of somebody who takes part; those between are skipped."""
        place, cycle = campaign.place, campaign.cycle
        while True:
            place += 1
            if place >= len(campaign.order):
                place, cycle = 0, cycle + 1
            if cycle > campaign.cycles:
                return self._complete(campaign)
            campaign.slot += 1
            owner = campaign.order[place]
            slot = campaign.slots[campaign.slot] = Slot(owner)
            if owner in campaign.partners:
                break
            enrolled = owner in self.active
            self._mark_skipped(
                campaign, SlotEvent.UNENROLLED if enrolled else SlotEvent.OWNER_REMOVED
            )
        campaign.place, campaign.cycle = place, cycle
        if campaign.head == GENESIS:  # everybody has that one
            self._give_votes(campaign, campaign.partners)
        campaign.dealt = campaign.partners - campaign.voters
        slot.deadline = self.now + campaign.seconds_of(Clock.FETCH_REQUEST)
        self._tell(
            "SlotOpened", campaign.number, campaign.slot, 1, owner, campaign.head, slot.deadline
        )
        return None

    def _complete(self, campaign: Campaign) -> None:
        self._settle(campaign)
        self._void_of(campaign, BallotKind.JOIN, BallotKind.RESTORE)
        accepted = len(campaign.lineage)
        self._tell("CampaignCompleted", campaign.number, campaign.state, campaign.head, accepted)

    def _settle(self, campaign: Campaign) -> None:
        failed = campaign.head == GENESIS
        campaign.state = CampaignState.FAILED if failed else CampaignState.COMPLETED

    def _give_votes(self, campaign: Campaign, dealt: set[str]) -> None:
        added = dealt - campaign.voters
        if added:
            campaign.voters |= added
            self._void_of(campaign, BallotKind.JOIN)
            self._tell("VotersAdded", campaign.number, self.mask(added))

    def _accept(self, campaign: Campaign) -> None:
        """The row into ``ACCEPTED`` was taken: the candidate is the head."""
        slot = campaign.open_slot
        campaign.head = campaign.slot
        self._void_of(campaign, BallotKind.RESTORE)
        self._tell(
            "ModelAccepted",
            campaign.number,
            campaign.slot,
            slot.attempt,
            slot.owner,
            slot.ciphertext_hash,
            slot.weights_hash,
            slot.capsule_hash,
        )
        self._give_votes(campaign, campaign.dealt)
        self._open_next(campaign)

    def _skip(self, campaign: Campaign, event: SlotEvent) -> None:
        self._end_ballots(campaign)
        self._mark_skipped(campaign, event)
        if event is SlotEvent.TOO_FEW_LEFT:
            self._complete(campaign)
        else:
            self._open_next(campaign)

    def _mark_skipped(self, campaign: Campaign, event: SlotEvent) -> None:
        slot = campaign.open_slot
        row = self._step(campaign, slot, event)
        self._tell(
            "SlotSkipped", campaign.number, campaign.slot, slot.attempt, slot.owner, row.reason
        )

    def _restart(self, campaign: Campaign, event: SlotEvent, reason: RestartReason) -> None:
        self._end_ballots(campaign)
        slot = campaign.open_slot
        row = self._step(campaign, slot, event)
        self._tell(
            "SlotRestarted",
            campaign.number,
            campaign.slot,
            slot.attempt,
            slot.owner,
            row.target,
            reason,
            slot.deadline,
        )

    def _restore(self, campaign: Campaign, target: int, reason: RestoreReason) -> None:
        self._tell("HeadRestored", campaign.number, campaign.slot, campaign.head, target, reason)
        campaign.head = target
        self._void_of(campaign, BallotKind.RESTORE, BallotKind.FINAL_FETCH)
        if campaign.state is CampaignState.RUNNING:
            self._restart(campaign, SlotEvent.HEAD_RESTORED, RestartReason.HEAD_RESTORED)
        else:
            self._settle(campaign)

    def _end_ballots(self, campaign: Campaign) -> None:
        """Slot or attempt are over, and with them what is voted on there: silence is no."""
        ballot = self.open_ballot(campaign)
        if ballot and not ballot.decided:
            self._tell_closed(ballot)
            ballot.void = True
        self._void_of(campaign, BallotKind.RESTORE)

    def _void_of(self, campaign: Campaign, *kinds: BallotKind) -> None:
        self._void(lambda b: b.id.campaign == campaign.number and b.id.kind in kinds)

    def _remove(self, account: str) -> None:
        """What a campaign with this partner votes on in its open slot is over for good."""
        super()._remove(account)
        for campaign in self.campaigns:
            runs = campaign.state is CampaignState.RUNNING and account in campaign.partners
            if runs and (ballot := self.open_ballot(campaign)):
                ballot.void = True

    def _ballot_end(self, campaign: Campaign) -> int:
        return self.now + campaign.seconds_of(Clock.FETCH_BALLOT)
