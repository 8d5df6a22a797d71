"""A random player: sensible moves of all partners, and the pursuit of what was rarely seen.

The same seed plays the same game.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from cdistrim.protocol import (
    GENESIS,
    TRANSITIONS,
    BallotState,
    CampaignState,
    FinalFetchState,
    Mode,
    SlotEvent,
    SlotState,
    Transition,
)
from tests.contracts.moves import Moves
from tests.contracts.reference import Action, Campaign, Reference

__all__ = ["Player"]

_PATIENCE = 3  # tries
_AT_ONCE = 30  # moves to lead a campaign somewhere
_DETOURS = (
    SlotEvent.DEADLINE_CLOSED,
    SlotEvent.HEAD_RESTORED,
    SlotEvent.PARTNER_REMOVED,
    SlotEvent.OWNER_REMOVED,
    SlotEvent.TOO_FEW_LEFT,
)


class Player(Moves):
    """Makes moves for everybody.

    Args:
        address: Where the contract is.
        seen: How often each row of the table was taken so far, in this and in other games.
    """

    def __init__(
        self, rng: random.Random, reference: Reference, address: str, seen: Counter[Transition]
    ) -> None:
        super().__init__(rng, reference, address)
        self._seen = seen
        self._plan: Iterator[Action] = self._prelude()

    def move(self) -> Action:
        """The next move, a sensible one. It may move ``now``."""
        rng = self._rng
        self.now += rng.choice((0, 1, 1, 5))
        if rng.random() < 0.03:
            self._let_time_pass()
        self._reference.now = self.now  # which ballots are open depends on it
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
