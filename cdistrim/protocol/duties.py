"""Who has to do what next: the only place that answers this. No I/O.

Flows, agents and reruns all ask here, so a rerun of anything continues where the ledger says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from cdistrim.protocol.records import CampaignView
from cdistrim.protocol.words import BallotKind, CampaignState, Mode, SlotState

__all__ = [
    "Deed",
    "Duty",
    "duties",
]


class Deed(Enum):
    """What a duty asks of a partner."""

    CONVENE = "convene"
    """A member opens a campaign from a spec of its own; asked for by a coordinator only."""
    ENROL = "enrol"
    ITERATE = "iterate"
    """The slot's owner runs or continues its partner iteration."""
    VOTE = "vote"
    RELEASE = "release"
    """Holders of shares of the head's key seal them to the requester, after the grant."""
    OFFER = "offer"
    """An evaluator offers the one-time key to which the candidate's key will be sealed."""
    CLOSE = "close"
    """Any member closes a step that is over, or takes out who is no member any more."""


@dataclass(frozen=True)
class Duty:
    """Somebody's next step.

    ``kind`` says which ballot a vote is for, ``opener`` whose request a vote or a release is for if
    it is no slot's, and ``spare`` that the votes of others will decide it, if they say yes. Whoever
    has a machine of its own votes all the same.
    """

    deed: Deed
    partner: str
    campaign: int
    slot: int
    attempt: int
    kind: BallotKind | None = None
    spare: bool = False
    opener: str = ""

    @property
    def key(self) -> str:
        """Idempotency key: the same for the same duty, whoever computes it."""
        what = self.deed.value if self.kind is None else f"{self.deed.value}-{self.kind.name}"
        who = f"{self.opener}/{self.partner}" if self.opener else self.partner
        return f"{self.campaign}/{self.slot}/{self.attempt}/{what.lower()}/{who}"


def _next_owner_last(view: CampaignView, owner: str) -> Callable[[str], int]:
    """A key to sort voters by: whoever's turn follows ``owner``'s is last, it will be busy soon."""
    places = {partner: place for place, partner in enumerate(view.order)}

    def soonest_last(partner: str) -> int:
        return (places[owner] - places[partner]) % len(places)

    return soonest_last


def _votes_on_requests(view: CampaignView) -> Iterator[Duty]:
    for ballot in view.requests:
        for partner in filter(ballot.waits_for, ballot.electorate):
            # A restore's ballot is of a slot's attempt, the others have rounds.
            yield Duty(
                Deed.VOTE,
                partner,
                view.number,
                ballot.id.slot,
                ballot.id.attempt,
                ballot.kind,
                opener=ballot.id.opener,
            )


def _releases(view: CampaignView) -> Iterator[Duty]:
    for fetch in view.granted_fetches():
        for partner in view.order:
            if partner != fetch.requester:
                opener = "" if fetch.slot else fetch.requester
                yield Duty(
                    Deed.RELEASE, partner, view.number, fetch.slot, fetch.attempt, opener=opener
                )


def duties(view: CampaignView) -> Iterator[Duty]:
    """Who has to do what now, given what the ledger says.

    Once the campaign has ended: votes on restores and on the final model, and shares of that.
    """
    if not view.removals_pending:
        yield from _votes_on_requests(view)
        yield from _releases(view)
    if view.state.ended:
        return
    if view.removals_pending:
        number, attempt = (view.slot.number, view.slot.attempt) if view.slot else (0, 0)
        for partner in view.order:
            yield Duty(Deed.CLOSE, partner, view.number, number, attempt)
        return
    if view.state is CampaignState.ENROLLING:
        deed = Deed.CLOSE if view.now > view.enrol_deadline else Deed.ENROL
        for partner in view.order:
            if deed is Deed.CLOSE or view.enrolment(partner) is None:
                yield Duty(deed, partner, view.number, 0, 0)
        return
    slot = view.slot
    assert slot is not None, "a running campaign has an open slot"
    if view.now > slot.deadline:
        for partner in view.order:
            yield Duty(Deed.CLOSE, partner, view.number, slot.number, slot.attempt)
        return
    yield Duty(Deed.ITERATE, slot.owner, view.number, slot.number, slot.attempt)
    if view.mode is Mode.HOLDOUT and slot.state in (SlotState.FETCH_GRANTED, SlotState.TRAINING):
        for enrolment in view.enrolments:
            if enrolment.evaluator and enrolment.partner != slot.owner:
                partner = enrolment.partner
                yield Duty(Deed.OFFER, partner, view.number, slot.number, slot.attempt)
    if slot.ballot is not None:
        ballot = slot.ballot
        waiting = filter(ballot.waits_for, ballot.electorate)
        missing = ballot.quorum - ballot.yes
        for place, partner in enumerate(sorted(waiting, key=_next_owner_last(view, slot.owner))):
            yield Duty(
                Deed.VOTE,
                partner,
                view.number,
                slot.number,
                slot.attempt,
                ballot.kind,
                spare=place >= missing,
            )
