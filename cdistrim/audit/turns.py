"""A replay's campaigns: whose turn it is, and what follows when a slot's step ends.

Every change of a slot's state is a row of :data:`cdistrim.protocol.TRANSITIONS`.
"""

from __future__ import annotations

from cdistrim.audit.book import Accepted, Arguments, Ballot, Campaign, Objection, Slot
from cdistrim.audit.stage import Stage
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    Clock,
    IllegalTransition,
    RestartReason,
    RestoreReason,
    SlotEvent,
    SlotState,
    Transition,
    advance,
)

__all__ = ["Turns", "was_opened"]

_CLOCKS = {
    SlotState.WAITING: Clock.FETCH_REQUEST,
    SlotState.FETCH_REQUESTED: Clock.FETCH_BALLOT,
    SlotState.FETCH_GRANTED: Clock.OPENING,
    SlotState.TRAINING: Clock.TRAINING,
    SlotState.UPLOAD_REQUESTED: Clock.UPLOAD_BALLOT,
    SlotState.UPLOAD_GRANTED: Clock.CONFIRMATION,
}
_ASKING = {
    SlotState.FETCH_REQUESTED: BallotKind.FETCH,
    SlotState.UPLOAD_REQUESTED: BallotKind.UPLOAD,
}
_AFTER_OPENING = (SlotState.TRAINING, SlotState.UPLOAD_REQUESTED, SlotState.UPLOAD_GRANTED)


class Turns(Stage):
    """Members, ballots and campaigns. ``accepted`` are the models, in order of their records."""

    def __init__(self) -> None:
        super().__init__()
        self.campaigns: list[Campaign] = []
        self.accepted: list[Accepted] = []

    # --- guards ---

    def campaign(self, number: int) -> Campaign:
        """A campaign that was opened."""
        if not 1 <= number <= len(self.campaigns):
            raise Objection(f"no campaign {number} was opened before")
        return self.campaigns[number - 1]

    def settled(self, number: int) -> Campaign:
        """A campaign whose partners are all members; nothing else happens in others."""
        campaign = self.campaign(number)
        if gone := campaign.partners - self.active:
            names = ", ".join(sorted(map(self.name_of, gone)))
            raise Objection(f"the removal of {names} was not applied to the campaign before")
        return campaign

    def running(self, number: int, slot: int, attempt: int) -> Campaign:
        """A campaign whose open slot is in this attempt."""
        campaign = self.settled(number)
        self.require_state(campaign, CampaignState.RUNNING)
        found = campaign.slot, campaign.open_slot.attempt
        if found != (slot, attempt):
            raise Objection(f"slot {found[0]}, attempt {found[1]}, was open then")
        return campaign

    def turn(self, found: Arguments, event: SlotEvent) -> Campaign:
        """A campaign in whose open slot the owner does its next step, in time."""
        self.require_member(found["account"])
        campaign = self.running(found["campaign"], found["slot"], found["attempt"])
        slot = campaign.open_slot
        if found["account"] != slot.owner:
            raise Objection(f"it was the turn of {self.name_of(slot.owner)}")
        deadline = slot.deadline
        self.step(campaign, event)
        self.require_in_time(deadline)
        return campaign

    def require_state(self, campaign: Campaign, needed: CampaignState) -> None:
        """See that a campaign is in a state."""
        if campaign.state is not needed:
            raise Objection(f"the campaign was {campaign.state.name}, not {needed.name}")

    def require_partner(self, campaign: Campaign, account: str) -> None:
        """See that somebody takes part."""
        self.require_member(account)
        if account not in campaign.partners:
            raise Objection(f"{self.name_of(account)} is no partner of the campaign")

    # --- ballots ---

    def deadline_of(self, ballot: Ballot) -> int:
        """A ballot's last second; of a slot's that of the slot's step."""
        if ballot.deadline is not None:
            return ballot.deadline
        return self.campaign(ballot.id.campaign).slots[ballot.id.slot].deadline

    def holds(self, ballot: Ballot) -> bool:
        """Whether everything that a ballot presupposes is still so."""
        kind, number = ballot.id.kind, ballot.id.campaign
        if number == 0:
            return ballot.removals == self.removals and ballot.electorate == self.active
        campaign = self.campaign(number)
        if ballot.of_slot:
            asked = _ASKING.get(campaign.open_slot.state) if campaign.slot else None
            return campaign.partners <= self.active and self._is_open(ballot.id) and asked is kind
        if ballot.removals != self.removals:
            return False
        if kind is BallotKind.JOIN:
            runs = campaign.state is CampaignState.RUNNING
            return runs and ballot.electorate == campaign.voters
        if kind is BallotKind.FINAL_FETCH:
            return campaign.head == ballot.model
        if ballot.id.attempt == 0:  # a restore after the campaign's end
            return campaign.head == ballot.id.slot
        return self._is_open(ballot.id) and ballot.opened == was_opened(campaign)

    def _is_open(self, ballot: BallotId) -> bool:
        campaign = self.campaign(ballot.campaign)
        if campaign.state is not CampaignState.RUNNING:
            return False
        return (campaign.slot, campaign.open_slot.attempt) == (ballot.slot, ballot.attempt)

    def ask(self, campaign: Campaign, kind: BallotKind, voters: set[str]) -> None:
        """The owner's request opens the slot's ballot."""
        slot = campaign.open_slot
        name = BallotId(kind, campaign.number, campaign.slot, slot.attempt, slot.owner)
        ballot = Ballot(name, frozenset(voters | {slot.owner}), campaign.asked)
        self.tell("BallotOpened", **self.open(ballot, campaign.head))

    def _close_undecided(self, campaign: Campaign) -> None:
        """The ballot that the open slot waits for ends with it: silence is no."""
        slot = campaign.open_slot
        if slot.state not in _ASKING:
            return
        kind = _ASKING[slot.state]
        name = BallotId(kind, campaign.number, campaign.slot, slot.attempt, slot.owner)
        if not self.ballots[name].decided:
            self.tell_closed(self.ballots[name])

    # --- a campaign's course ---

    def start(self, campaign: Campaign) -> None:
        """The enrolment is over."""
        campaign.voters = set(campaign.partners)
        if not campaign.can_decide:
            campaign.voters = set()
            self._complete(campaign)
            return
        campaign.state = CampaignState.RUNNING
        self.tell(
            "CampaignStarted",
            campaign=campaign.number,
            enrolled=len(campaign.partners),
            evaluators=len(campaign.evaluators),
        )
        self._open_next(campaign)

    def close_expired(self, number: int) -> None:
        """Somebody ends the enrolment, or the open slot, whose time is over."""
        campaign = self.settled(number)
        enrolling = campaign.state is CampaignState.ENROLLING
        if not enrolling:
            self.require_state(campaign, CampaignState.RUNNING)
        deadline = campaign.enrol_deadline if enrolling else campaign.open_slot.deadline
        if self.now <= deadline:
            raise Objection("nothing before it leads to this, and no deadline was over")
        if enrolling:
            self.start(campaign)
        else:
            self.skip(campaign, SlotEvent.DEADLINE_CLOSED)

    def apply_removals(self, number: int) -> None:
        """Somebody takes former members out of a campaign."""
        campaign = self.campaign(number)
        gone = campaign.partners - self.active
        if not gone:
            raise Objection("no partner of the campaign had been removed")
        for group in (campaign.partners, campaign.voters, campaign.evaluators, campaign.dealt):
            group -= gone
        self.tell("PartnersRemoved", campaign=number, seats=self.seats(gone))
        if campaign.state is not CampaignState.RUNNING:
            return
        slot = campaign.open_slot
        if not campaign.can_decide:
            self.skip(campaign, SlotEvent.TOO_FEW_LEFT)
        elif slot.owner in gone:
            self.skip(campaign, SlotEvent.OWNER_REMOVED)
        elif slot.state in (*_ASKING, SlotState.UPLOAD_GRANTED):
            self._restart(campaign, SlotEvent.PARTNER_REMOVED, RestartReason.PARTNER_REMOVED)

    def take_in(self, campaign: Campaign, account: str, terms: Arguments) -> None:
        """Somebody takes part from now on."""
        campaign.enrolments[account] = terms
        campaign.partners.add(account)
        if terms["evaluator"]:
            campaign.evaluators.add(account)

    def _open_next(self, campaign: Campaign) -> None:
        """The next slot of somebody who takes part; those between are skipped."""
        place, cycle = campaign.place, campaign.cycle
        while True:
            place += 1
            if place >= len(campaign.order):
                place, cycle = 0, cycle + 1
            if cycle > campaign.cycles:
                self._complete(campaign)
                return
            campaign.slot += 1
            owner = campaign.order[place]
            slot = campaign.slots[campaign.slot] = Slot(owner)
            if owner in campaign.partners:
                break
            member = owner in self.active
            self._mark_skipped(
                campaign, SlotEvent.UNENROLLED if member else SlotEvent.OWNER_REMOVED
            )
        campaign.place, campaign.cycle = place, cycle
        if campaign.head == GENESIS:  # everybody has that one
            self._give_votes(campaign, campaign.partners)
        campaign.dealt = campaign.partners - campaign.voters
        slot.deadline = campaign.end_of(Clock.FETCH_REQUEST, self.now)
        self.tell(
            "SlotOpened",
            campaign=campaign.number,
            slot=campaign.slot,
            attempt=1,
            owner=owner,
            head=campaign.head,
            deadline=slot.deadline,
        )

    def _complete(self, campaign: Campaign) -> None:
        self._settle(campaign)
        self.tell(
            "CampaignCompleted",
            campaign=campaign.number,
            state=campaign.state.name,
            head=campaign.head,
            accepted=len(campaign.lineage),
        )

    def _settle(self, campaign: Campaign) -> None:
        failed = campaign.head == GENESIS
        campaign.state = CampaignState.FAILED if failed else CampaignState.COMPLETED

    def _give_votes(self, campaign: Campaign, dealt: set[str]) -> None:
        added = dealt - campaign.voters
        if added:
            campaign.voters |= added
            self.tell("VotersAdded", campaign=campaign.number, seats=self.seats(added))

    # --- a slot's course ---

    def step(self, campaign: Campaign, event: SlotEvent) -> Transition:
        """Take a row of the table; the next step's clock starts at once."""
        slot = campaign.open_slot
        try:
            row = advance(slot.state, event, campaign.mode)
        except IllegalTransition:
            raise Objection(f"the slot was {slot.state.name}") from None
        slot.state, slot.reason = row.target, row.reason
        if row.restarts:
            slot.attempt += 1
            slot.candidate = None
        if not row.target.ended:
            slot.deadline = campaign.end_of(_CLOCKS[row.target], self.now)
        return row

    def accept(self, campaign: Campaign) -> None:
        """The candidate is the head; the event of it stands in the queue."""
        campaign.head = campaign.slot
        self._give_votes(campaign, campaign.dealt)
        self._open_next(campaign)

    def taken(self, name: str, arguments: Arguments) -> None:
        """What had to come has come; an accepted model is remembered."""
        super().taken(name, arguments)
        if name == "ModelAccepted":
            self.accepted.append(
                Accepted(
                    self.number,
                    arguments["campaign"],
                    arguments["slot"],
                    arguments["account"],
                    self.name_of(arguments["account"]),
                    arguments["ciphertextHash"],
                    arguments["capsuleHash"],
                )
            )

    def skip(self, campaign: Campaign, event: SlotEvent) -> None:
        """The open slot ends without a model; with too few left the campaign ends, too."""
        self._close_undecided(campaign)
        self._mark_skipped(campaign, event)
        if event is SlotEvent.TOO_FEW_LEFT:
            self._complete(campaign)
        else:
            self._open_next(campaign)

    def _mark_skipped(self, campaign: Campaign, event: SlotEvent) -> None:
        row = self.step(campaign, event)
        self.tell(
            "SlotSkipped",
            campaign=campaign.number,
            slot=campaign.slot,
            attempt=campaign.open_slot.attempt,
            owner=campaign.open_slot.owner,
            reason=row.reason.name,
        )

    def _restart(self, campaign: Campaign, event: SlotEvent, reason: RestartReason) -> None:
        self._close_undecided(campaign)
        row = self.step(campaign, event)
        slot = campaign.open_slot
        self.tell(
            "SlotRestarted",
            campaign=campaign.number,
            slot=campaign.slot,
            attempt=slot.attempt,
            owner=slot.owner,
            state=row.target.name,
            reason=reason.name,
            deadline=slot.deadline,
        )

    def tell_restored(
        self, campaign: Campaign, left: int, target: int, reason: RestoreReason
    ) -> None:
        """Work goes on from ``target``."""
        self.tell(
            "HeadRestored",
            campaign=campaign.number,
            slot=campaign.slot,
            to=target,
            reason=reason.name,
            **{"from": left},
        )

    def restore(self, campaign: Campaign, target: int, reason: RestoreReason) -> None:
        """A majority takes the head back to an ancestor."""
        self.tell_restored(campaign, campaign.head, target, reason)
        campaign.head = target
        if campaign.state is CampaignState.RUNNING:
            self._restart(campaign, SlotEvent.HEAD_RESTORED, RestartReason.HEAD_RESTORED)
        else:
            self._settle(campaign)


def was_opened(campaign: Campaign) -> bool:
    """Whether the open slot's owner has opened the head in this attempt."""
    return campaign.open_slot.state in _AFTER_OPENING
