"""What members do, as events show it, and what it takes: the guards of the contract's functions."""

from __future__ import annotations

from collections.abc import Callable

from cdistrim.audit.book import (
    FEWEST_MEMBERS,
    MAX_SLOTS,
    MAX_STEP_S,
    MEMBERSHIP_BALLOT_S,
    MOST_MEMBERS,
    NO_DIGEST,
    Arguments,
    Ballot,
    Campaign,
    Final,
    Objection,
    ballot_id,
)
from cdistrim.audit.stage import Check, require_evidence, require_hashes, require_same
from cdistrim.audit.turns import Turns, was_opened
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    RestoreReason,
    SlotEvent,
    SlotState,
)

__all__ = ["SEALED", "Deeds"]

SEALED = ("ciphertextHash", "capsuleHash")
"""What reported mode fills in after the grant only."""

_DATA = ("cases", "dataCommitment")


class Deeds(Turns):
    """Each method takes the arguments of the event that a member's action begins with."""

    @staticmethod
    def about(campaign: Campaign) -> Arguments:
        """What events of the open slot's owner begin with."""
        slot = campaign.open_slot
        where = {"campaign": campaign.number, "slot": campaign.slot, "attempt": slot.attempt}
        return {**where, "account": slot.owner}

    # --- campaigns ---

    def campaign_opened(self, found: Arguments) -> None:
        """A campaign that the members can have agreed on."""
        self.require_member(found["opener"])
        require_hashes(found["specHash"], found["genesisWeightsHash"])
        order: list[str] = found["order"]
        if not FEWEST_MEMBERS <= len(order) <= MOST_MEMBERS or len(set(order)) < len(order):
            raise Objection("its order is not of 2 to 50 different members")
        for partner in order:
            self.require_member(partner)
        if not 0 < found["cycles"] * len(order) <= MAX_SLOTS or found["quorum"] > len(order):
            raise Objection("its cycles or its quorum are not possible")
        deadlines: dict[str, int] = found["deadlines"]
        if not all(0 < seconds <= MAX_STEP_S for seconds in deadlines.values()):
            raise Objection("one of its deadlines is not possible")
        campaign = Campaign(
            number=len(self.campaigns) + 1,
            order=list(order),
            invited=set(order),
            cycles=found["cycles"],
            asked=found["quorum"],
            mode=Mode[found["mode"]],
            deadlines=deadlines,
            enrol_deadline=self.now + deadlines[Clock.ENROL.name.lower()],
            place=len(order) - 1,  # as if cycle 0 were over
        )
        expected = {"campaign": campaign.number, "enrolDeadline": campaign.enrol_deadline}
        require_same(found, expected)
        self.campaigns.append(campaign)

    def enrolled(self, found: Arguments) -> None:
        """The last one who is expected starts the campaign."""
        account = found["account"]
        self.require_member(account)
        campaign = self.settled(found["campaign"])
        self.require_state(campaign, CampaignState.ENROLLING)
        self.require_in_time(campaign.enrol_deadline)
        if account not in campaign.invited:
            raise Objection(f"{self.name_of(account)} is not in the campaign's order")
        if account in campaign.partners:
            raise Objection(f"{self.name_of(account)} has enrolled before")
        self.take_in(campaign, account, self._terms(account, found))
        if campaign.partners == campaign.invited & self.active:
            self.start(campaign)

    def _terms(self, account: str, found: Arguments) -> Arguments:
        """Cases, commitment and role of a partner."""
        self.require_key(account)
        require_hashes(found["dataCommitment"])
        if not found["cases"]:
            raise Objection("it is of no cases")
        return {name: found[name] for name in ("cases", "dataCommitment", "evaluator")}

    def join(self, campaign: Campaign, account: str, terms: Arguments) -> None:
        """A ballot lets somebody take part."""
        if account not in campaign.invited:
            campaign.invited.add(account)
            campaign.order.append(account)
        self.take_in(campaign, account, terms)
        self.tell("PartnerJoined", campaign=campaign.number, account=account, **terms)

    # --- the owner's turn ---

    def fetch_requested(self, found: Arguments) -> None:
        """The owner asks for the head."""
        campaign = self.turn(found, SlotEvent.FETCH_REQUESTED)
        require_hashes(found["requestKeyDigest"])
        self.ask(campaign, BallotKind.FETCH, campaign.voters)

    def token_redeemed(self, found: Arguments) -> None:
        """A head or the final model was opened, or an upload is confirmed."""
        kind = BallotKind[found["kind"]]
        if kind is BallotKind.FETCH:
            campaign = self.turn(found, SlotEvent.OPENED)
            expected = self.about(campaign) | {
                "head": campaign.head,
                "deadline": campaign.open_slot.deadline,
            }
            self.expect("ModelOpened", lambda opened: require_same(opened, expected))
        elif kind is BallotKind.UPLOAD:
            self._confirmed(found)
        elif kind is BallotKind.FINAL_FETCH:
            self._final_opened(found)
        else:
            raise Objection(f"there are no tokens of the kind {kind.name}")

    def candidate_submitted(self, found: Arguments) -> None:
        """The owner fixes its candidate, whose parent is the head."""
        campaign = self.turn(found, SlotEvent.UPLOAD_REQUESTED)
        candidate: Arguments = found["candidate"]
        require_same(candidate, {"parent": campaign.head})
        require_same(found, {k: campaign.enrolments[found["account"]][k] for k in _DATA})
        require_hashes(candidate["weightsHash"])
        require_evidence(candidate["evidence"])
        sealed = {name: candidate[name] for name in SEALED}
        if campaign.mode is Mode.HOLDOUT:
            require_hashes(*sealed.values())
        else:
            require_same(sealed, dict.fromkeys(SEALED, NO_DIGEST))
        slot = campaign.open_slot
        slot.candidate, slot.parent = candidate, campaign.head
        measured = campaign.mode is Mode.HOLDOUT
        voters = campaign.voters & campaign.evaluators if measured else campaign.voters
        self.ask(campaign, BallotKind.UPLOAD, voters)

    def _confirmed(self, found: Arguments) -> None:
        campaign = self.turn(found, SlotEvent.CONFIRMED)
        about = self.about(campaign)
        weights = (campaign.open_slot.candidate or {}).get("weightsHash")

        def check(accepted: Arguments) -> None:
            require_same(accepted, about | {"weightsHash": weights})
            require_hashes(*(accepted[name] for name in SEALED))

        self.expect("ModelAccepted", check)
        self.accept(campaign)

    # --- requests ---

    def ballot_opened(self, found: Arguments) -> None:
        """A request that is no slot's: its own event follows at once."""
        name = ballot_id(found["ballot"])
        self.require_member(name.opener)
        requests: dict[BallotKind, Callable[[Arguments, BallotId], None]] = {
            BallotKind.RESTORE: self._restore_asked,
            BallotKind.JOIN: self._join_asked,
            BallotKind.FINAL_FETCH: self._final_asked,
            BallotKind.ADMISSION: self._membership_asked,
            BallotKind.REMOVAL: self._membership_asked,
        }
        if name.kind not in requests:
            raise Objection("the slot's owner has not asked for this ballot before")
        requests[name.kind](found, name)

    def _begin_ballot(
        self, found: Arguments, ballot: Ballot, head: int, request: str
    ) -> Callable[[Check], None]:
        """Open a request's ballot; what it gives takes the check of the request itself."""
        require_same(found, self.open(ballot, head))

        def then(check: Check) -> None:
            def whole(asked: Arguments) -> None:
                require_same(asked, {"ballot": found["ballot"]})
                ballot.terms = asked
                check(asked)

            self.expect(request, whole)

        return then

    def _restore_asked(self, found: Arguments, name: BallotId) -> None:
        campaign = self.settled(name.campaign)
        self.require_partner(campaign, name.opener)
        opened = False
        if campaign.state is CampaignState.ENROLLING:
            raise Objection("the campaign had no model yet")
        if campaign.state is CampaignState.RUNNING:
            self.running(name.campaign, name.slot, name.attempt)
            opened = was_opened(campaign)
        elif (name.slot, name.attempt) != (campaign.head, 0):
            raise Objection(f"the head was model {campaign.head}")
        end = campaign.end_of(Clock.FETCH_BALLOT, self.now)
        voters = frozenset(campaign.voters)
        ballot = Ballot(name, voters, campaign.asked, end, opened=opened)
        ancestors = {*campaign.lineage[1:], GENESIS} - {campaign.head}

        def check(asked: Arguments) -> None:
            require_same(asked, {"campaign": campaign.number})
            if asked["target"] not in ancestors:
                raise Objection(f"model {asked['target']} is no ancestor of model {campaign.head}")
            if asked["reason"] == RestoreReason.DEGRADED.name:
                raise Objection("that is no reason to ask for a restore")
            ballot.model = asked["target"]

        self._begin_ballot(found, ballot, campaign.head, "RestoreRequested")(check)

    def _join_asked(self, found: Arguments, name: BallotId) -> None:
        campaign = self.settled(name.campaign)
        self.require_state(campaign, CampaignState.RUNNING)
        if name.opener in campaign.partners:
            raise Objection(f"{self.name_of(name.opener)} took part already")
        self.require_next_round(name)
        end = campaign.end_of(Clock.FETCH_BALLOT, self.now)
        ballot = Ballot(name, frozenset(campaign.voters), campaign.asked, end)

        def check(asked: Arguments) -> None:
            require_same(asked, {"campaign": campaign.number})
            ballot.terms = self._terms(name.opener, asked)

        self._begin_ballot(found, ballot, campaign.head, "JoinRequested")(check)

    def _membership_asked(self, found: Arguments, name: BallotId) -> None:
        self.require_next_round(name)
        ballot = Ballot(name, frozenset(self.active), 0, self.now + MEMBERSHIP_BALLOT_S)

        def admission(asked: Arguments) -> None:
            self.require_room()
            self.require_applicant(asked["account"], asked["name"])

        def removal(asked: Arguments) -> None:
            self.require_member(asked["account"])
            if len(self.active) <= FEWEST_MEMBERS:
                raise Objection("two members can't remove one")

        admits = name.kind is BallotKind.ADMISSION
        request = "AdmissionProposed" if admits else "RemovalProposed"
        then = self._begin_ballot(found, ballot, GENESIS, request)
        then(admission if admits else removal)

    # --- capsules, the final model ---

    def capsule_added(self, found: Arguments) -> None:
        """An accepted model's key was shared anew."""
        campaign = self.settled(found["campaign"])
        self.require_partner(campaign, found["account"])
        slot = campaign.slots.get(found["slot"])
        if slot is None or slot.state is not SlotState.ACCEPTED:
            raise Objection(f"slot {found['slot']} has no accepted model")
        require_hashes(found["capsuleHash"])

    def _completed(self, number: int, account: str) -> Campaign:
        campaign = self.settled(number)
        self.require_state(campaign, CampaignState.COMPLETED)
        self.require_partner(campaign, account)
        return campaign

    def _final(self, found: Arguments, needed: FinalFetchState) -> Final:
        campaign = self._completed(found["campaign"], found["account"])
        final = campaign.finals.get(found["account"])
        if final is None or final.state is not needed:
            raise Objection(f"the fetch of the final model was not {needed.name}")
        if final.head != campaign.head:
            raise Objection("the final model was another one by then")
        return final

    def _final_asked(self, found: Arguments, name: BallotId) -> None:
        campaign = self._completed(name.campaign, name.opener)
        self.require_next_round(name)
        voters = frozenset(campaign.voters | {name.opener})
        end = campaign.end_of(Clock.FETCH_BALLOT, self.now)
        ballot = Ballot(name, voters, campaign.asked, end, model=campaign.head)
        final = Final(FinalFetchState.REQUESTED, name.attempt, campaign.head)

        def check(asked: Arguments) -> None:
            require_same(asked, {"campaign": campaign.number})
            require_hashes(asked["requestKeyDigest"])
            campaign.finals[name.opener] = final

        self._begin_ballot(found, ballot, campaign.head, "FinalModelRequested")(check)

    def grant_final(self, campaign: Campaign, account: str) -> None:
        """A ballot lets a partner open the final model."""
        final = campaign.finals[account]
        final.state = FinalFetchState.GRANTED
        final.deadline = campaign.end_of(Clock.OPENING, self.now)
        self.tell(
            "TokenGranted",
            campaign=campaign.number,
            slot=final.head,
            attempt=final.round,
            kind=BallotKind.FINAL_FETCH.name,
            account=account,
            deadline=final.deadline,
        )

    def _final_opened(self, found: Arguments) -> None:
        final = self._final(found, FinalFetchState.GRANTED)
        self.require_in_time(final.deadline)
        require_same(found, {"slot": final.head, "attempt": final.round})
        final.state = FinalFetchState.OPENED
        expected = {name: found[name] for name in ("campaign", "slot", "attempt", "account")}
        expected |= {"head": final.head, "deadline": final.deadline}
        self.expect("ModelOpened", lambda opened: require_same(opened, expected))

    def final_model_used(self, found: Arguments) -> None:
        """Who opened the final model uses it."""
        final = self._final(found, FinalFetchState.OPENED)
        require_same(found, {"head": final.head})
        require_hashes(found["purpose"])
