"""A random player: mostly sensible moves of all partners, and the pursuit of what was rarely seen.

It knows the reference's state and nothing of the contract. The same seed plays the same game.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount

from cdistrim.devnet import CHAIN_ID
from cdistrim.ledger.words import evidence_word, name_word
from cdistrim.protocol import (
    GENESIS,
    TRANSITIONS,
    BallotState,
    CampaignState,
    Clock,
    FinalFetchState,
    Mode,
    RestoreReason,
    SlotEvent,
    SlotState,
    Transition,
)
from tests.chain import BETTER, WORSE, digest
from tests.contracts.reference import NO_HASH, Action, Ballot, Campaign, Reference, SignedVote

__all__ = ["VOTE", "Player", "people"]

VOTE = [
    {"name": "ballot", "type": "uint256"},
    {"name": "approve", "type": "bool"},
    {"name": "evidence", "type": "uint256"},
    {"name": "deadline", "type": "uint64"},
]
_CAMPAIGNS = 8  # of one game
_PATIENCE = 3  # tries
_AT_ONCE = 30  # moves to lead a campaign somewhere
_DETOURS = (
    SlotEvent.DEADLINE_CLOSED,
    SlotEvent.HEAD_RESTORED,
    SlotEvent.PARTNER_REMOVED,
    SlotEvent.OWNER_REMOVED,
    SlotEvent.TOO_FEW_LEFT,
)


@cache
def people() -> tuple[LocalAccount, ...]:
    """Everybody who ever plays; the last one is never proposed as a member."""
    return tuple(Account.from_key(digest("differential", index)) for index in range(11))


class Player:
    """Makes moves for everybody.

    Args:
        address: Where the contract is: signatures are good there only.
        seen: How often each row of the table was taken so far, in this and in other games.
    """

    def __init__(
        self, rng: random.Random, reference: Reference, address: str, seen: Counter[Transition]
    ) -> None:
        self._rng = rng
        self._reference = reference
        self._address = address
        self._seen = seen
        self._plan: Iterator[Action] = self._prelude()
        self.accounts = [str(account.address) for account in people()]
        self.now = reference.now

    # --------------------------------------------------------------- choosing a move

    def move(self) -> Action:
        """The next move, a sensible one. It may move ``now``."""
        rng = self._rng
        self.now += rng.choice((0, 1, 1, 5))
        if rng.random() < 0.03:
            self._let_time_pass()
        self._reference.now = self.now
        if rng.random() < 0.8:
            if planned := next(self._plan, None):
                return planned
            self._plan = self._detour()
        choices: list[Callable[[], Action | None]] = [
            *(7 * [self._campaign_move]),
            *(2 * [self._vote_elsewhere]),
            self._aside,
            self._ask_to_join,
        ]
        while True:
            move = rng.choice(choices)()
            if move:
                return move

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

    def _let_time_pass(self) -> None:
        """To the edge of some deadline: the last second, the one before or the one behind."""
        reference, ends = self._reference, []
        for campaign in reference.campaigns:
            if campaign.state is CampaignState.ENROLLING:
                ends.append(campaign.enrol_deadline)
            if campaign.state is CampaignState.RUNNING:
                ends += 2 * [campaign.open_slot.deadline]
            ends += [final.deadline for final in campaign.finals.values()]
        ends += [
            reference.deadline_of(ballot)
            for ballot in reference.ballots.values()
            if reference.ballot_state(ballot) is BallotState.OPEN
        ]
        near = [end for end in ends if self.now <= end < self.now + 10_000]
        pool = near if self._rng.random() < 0.8 else [end for end in ends if end >= self.now]
        if pool:
            self.now = max(self.now, self._rng.choice(pool) + self._rng.choice((-1, 0, 1, 1)))

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
            record = slot.parent, self._hash(), slot.weights_hash, self._hash(), slot.evidence
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
        ways = [self._final_move]
        if self._rng.random() < 0.15:
            ways = [self._ask_restore]
        elif self._rng.random() < 0.2:
            slot = self._rng.choice(campaign.lineage)
            known = campaign.capsules.get((slot, somebody)) if self._rng.random() < 0.3 else None
            return self._do(somebody, "addCapsule", number, slot, known or self._hash())
        return ways[0](campaign, somebody)

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
            return self._signed(ballot.word, voters, yes=yes)
        voter = rng.choice(waiting)
        return self._do(voter, "castVote", ballot.word, rng.random() < yes, self._evidence())

    def _signed(self, word: int, voters: Sequence[str], *, yes: float) -> Action:
        votes = [
            SignedVote(voter, self._rng.random() < yes, self._evidence(), self.now + 1000)
            for voter in voters
        ]
        signed = [self.sign(word, vote) for vote in votes]
        return Action(self._somebody(), "castVotes", (word, signed), tuple(votes))

    def sign(self, word: int, vote: SignedVote) -> tuple[Any, ...]:
        """The contract's ``SignedVote``."""
        (signer,) = (account for account in people() if account.address == vote.signer)
        signature = signer.sign_typed_data(self.domain(), {"Vote": VOTE}, self.message(word, vote))
        vs = (signature.s | (signature.v - 27) << 255).to_bytes(32)
        return vote.approve, vote.evidence, vote.deadline, signature.r.to_bytes(32), vs

    def domain(self) -> dict[str, object]:
        """What signatures are good for."""
        return {
            "name": "C-DistriM",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": self._address,
        }

    def message(self, word: int, vote: SignedVote) -> dict[str, object]:
        """What is signed."""
        values = word, vote.approve, vote.evidence, vote.deadline
        return {field["name"]: value for field, value in zip(VOTE, values, strict=True)}

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
            voter = self._one(campaign.voters)
            if voter and campaign.head:
                return self._ask_restore(campaign, voter)
        return None

    def _shuffled(self, *states: CampaignState) -> list[Campaign]:
        campaigns = self._campaigns(*states)
        return self._rng.sample(campaigns, len(campaigns))

    def applicant(self, account: str) -> tuple[str, bytes]:
        """An account and the name that belongs to it."""
        return account, name_word(f"hospital-{self.accounts.index(account)}")

    # -------------------------------------------------------------------------- plans

    def _prelude(self) -> Iterator[Action]:
        """Nearly everybody publishes a key, and a campaign opens in which nearly all enrol."""
        for account in self._members():
            if self._rng.random() < 0.9:
                yield self._do(account, "publishKey", self._rng.randbytes(40))
        yield self._open_campaign()

    def _detour(self) -> Iterator[Action]:
        """A plan to take the row of the table that was taken least, or for a model's use or a
        joiner."""
        rarest = min(
            (row for row in TRANSITIONS if row.event in _DETOURS),
            key=lambda row: (self._seen[row], self._rng.random()),
        )
        # Seldom where all were seen before: a campaign should get somewhere, too.
        if self._rng.random() < 0.5 / (1 + self._seen[rarest]) ** 2:
            return self._pursue(rarest)
        if self._rng.random() < 0.1:
            plan, state = self._rng.choice(
                ((self._use, CampaignState.COMPLETED), (self._take_in, CampaignState.RUNNING))
            )
            for campaign in self._shuffled(state)[:1]:
                return plan(campaign)
        return iter(())

    def _pursue(self, row: Transition) -> Iterator[Action]:
        """Lead a campaign into the row's state, then let happen what takes it."""
        ways = {
            SlotEvent.DEADLINE_CLOSED: self._expire,
            SlotEvent.HEAD_RESTORED: self._restore,
            SlotEvent.PARTNER_REMOVED: self._remove_another,
            SlotEvent.OWNER_REMOVED: self._remove_owner,
            SlotEvent.TOO_FEW_LEFT: self._remove_most,
        }
        fits = (row.mode,) if row.mode is not None else tuple(Mode)
        if row.source is SlotState.UPLOAD_GRANTED:
            fits = (Mode.REPORTED,)
        for campaign in self._shuffled(CampaignState.ENROLLING, CampaignState.RUNNING):
            if campaign.mode not in fits:
                continue
            for _ in range(_AT_ONCE):
                if campaign.state is CampaignState.RUNNING:
                    there = campaign.open_slot.state is row.source
                    if there and self._possible(campaign, row.event):
                        yield from ways[row.event](campaign)
                        return
                if campaign.state.ended or not (move := self._due(campaign, yes=1)):
                    break
                yield move

    def _possible(self, campaign: Campaign, event: SlotEvent) -> bool:
        spare = len(self._reference.active) - 2
        if event is SlotEvent.HEAD_RESTORED:
            return campaign.head != GENESIS
        if event is SlotEvent.TOO_FEW_LEFT:
            return len(self._judges(campaign)) - 1 <= spare
        if event is SlotEvent.OWNER_REMOVED:
            return spare > 0 and campaign.open_slot.owner in self._dispensable(campaign)
        if event is SlotEvent.PARTNER_REMOVED:
            return spare > 0 and bool(self._dispensable(campaign) - {campaign.open_slot.owner})
        return True

    def _judges(self, campaign: Campaign) -> set[str]:
        reported = campaign.mode is Mode.REPORTED
        return campaign.voters if reported else campaign.voters & campaign.evaluators

    def _dispensable(self, campaign: Campaign) -> set[str]:
        """Partners without whom the campaign goes on."""
        judges = self._judges(campaign)
        return campaign.partners - judges if len(judges) <= 2 else campaign.partners

    def _expire(self, campaign: Campaign) -> Iterator[Action]:
        self.now = max(self.now, campaign.open_slot.deadline + 1)
        yield self._do(self._somebody(), "closeExpired", campaign.number)

    def _restore(self, campaign: Campaign) -> Iterator[Action]:
        head = campaign.head
        for _ in range(_PATIENCE):
            voter = self._one(campaign.voters & self._reference.active)
            if voter and campaign.head == head:
                yield self._ask_restore(campaign, voter)
                yield from self._pass_latest()

    def _use(self, campaign: Campaign) -> Iterator[Action]:
        """Somebody opens the final model and uses it; then it is not the final model any more."""
        number, somebody = campaign.number, self._one(campaign.partners)
        if not somebody:
            return
        for _ in range(2 * _PATIENCE):
            yield self._final_move(campaign, somebody)
            yield from self._pass_latest()
        if len(campaign.lineage) > 1 or self._rng.random() < 0.2:
            final = campaign.finals.get(somebody)
            yield from self._restore(campaign)
            if final and final.state is FinalFetchState.OPENED:
                yield self._do(somebody, "recordUse", number, self._hash())
            else:
                yield self._do(somebody, "reportFinalOpened", number, 2, 0, 0)

    def _take_in(self, campaign: Campaign) -> Iterator[Action]:
        """Somebody joins, who may have to be admitted first."""
        for _ in range(_PATIENCE):
            stranger = self._one(self._reference.active - campaign.partners)
            if stranger:
                terms = campaign.number, *self._enrolment()
                yield self._with_key(stranger, "requestJoin", *terms)
            elif admission := self._admit():
                yield admission
            yield from self._pass_latest()

    def _remove_another(self, campaign: Campaign) -> Iterator[Action]:
        others = self._dispensable(campaign) - {campaign.open_slot.owner}
        return self._remove(campaign, self._rng.sample(sorted(others), 1))

    def _remove_owner(self, campaign: Campaign) -> Iterator[Action]:
        return self._remove(campaign, [campaign.open_slot.owner])

    def _remove_most(self, campaign: Campaign) -> Iterator[Action]:
        judges = sorted(self._judges(campaign))
        return self._remove(campaign, self._rng.sample(judges, len(judges) - 1))

    def _remove(self, campaign: Campaign, accounts: Sequence[str]) -> Iterator[Action]:
        for account in accounts:
            for _ in range(_PATIENCE):  # what is planned may be spoiled
                if account in self._reference.active:
                    yield self._do(self._somebody(), "proposeRemoval", account)
                    yield from self._pass_latest()
        for _ in range(_PATIENCE):
            if self._reference.removed_from(campaign):
                yield self._do(self._somebody(), "applyRemovals", campaign.number)

    def _pass_latest(self) -> Iterator[Action]:
        """Everybody says yes to the ballot that was opened last."""
        for ballot in list(self._reference.ballots.values())[-1:]:
            while self._reference.ballot_state(ballot) is BallotState.OPEN:
                vote = self._vote(ballot, yes=1)
                if not vote:
                    return
                yield vote
