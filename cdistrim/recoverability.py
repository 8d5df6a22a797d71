"""Recoverability: who could open a campaign's models now, by what ledger and store show.

A removal waits for it: an honest site approves one only if head and ancestors of all campaigns can
be opened by those who stay (:func:`stranded`); on the ledger a removal takes effect at once. And
``cdistrim site doctor`` shows it while there is time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from cdistrim.capsule import Capsule
from cdistrim.custody import (
    capsule_by,
    capsules,
    has_share,
    holders_of,
    prefix,
    read_signed,
    recorded_capsule,
    see_envelope,
)
from cdistrim.envelope import account_of
from cdistrim.errors import LedgerRefusal, UntrustedDataError
from cdistrim.grants import offers_prefix
from cdistrim.messages import OfferedKey, OpeningReport, Release
from cdistrim.opening import place_of_final, place_of_slot
from cdistrim.opening_reports import Vouched, reports_on, reports_on_final, vouched_capsules
from cdistrim.protocol import (
    GENESIS,
    BallotId,
    BallotKind,
    CampaignState,
    CampaignView,
    FinalFetchState,
    ModelRecord,
    SlotView,
)
from cdistrim.sealing import public_digest

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = [
    "Doubt",
    "Outlook",
    "Recoverability",
    "damage_of",
    "recoverability_of",
    "stranded",
    "unreadable_additions",
]


class Doubt(Enum):
    """Why a holder of a share can't be counted on."""

    GONE = "is no partner any more"
    LOST = "has no key any more that opens its share"
    FORMER_KEY = "has replaced its key; the former one opens its share, unless it is lost"
    JUNK = "sent junk at the latest opening"
    ABSENT = "neither voted nor released at the latest opening"

    @property
    def final(self) -> bool:
        """Whether the share is lost for certain."""
        return self in (Doubt.GONE, Doubt.LOST)


class Outlook(Enum):
    """Whether a model can be opened by who is a partner now.

    ``SPARE``: some holders may fail. ``NONE_TO_SPARE``: every sure one has to answer. ``UNSURE``:
    it takes holders who can't be counted on, or a capsule that too few have checked. ``CLOSED``:
    too few are left, whatever they do.
    """

    SPARE = auto()
    NONE_TO_SPARE = auto()
    UNSURE = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class Recoverability:
    """Who can open a model, by its best capsule that counts.

    Args:
        campaign: Its number.
        completed: Whether the campaign is over, so that no slot will share the model's key anew.
        model: The model's name.
        threshold: How many holders have to release their shares; None if no capsule that counts
            can be read.
        able: Holders who can be counted on, by account, in lower case.
        doubts: The other holders, and why not.
        vouched: That capsule, with who vouches for it; None if none counts.
        unchecked: A capsule that does not count yet and would leave more holders to spare, if it is
            what it says; None if there is none.
    """

    campaign: int
    completed: bool
    model: str
    threshold: int | None
    able: frozenset[str]
    doubts: Mapping[str, Doubt]
    vouched: Vouched | None = None
    unchecked: Vouched | None = None

    @property
    def spare(self) -> int:
        """How many of the able ones may fail and the model still opens; below 0 it may not."""
        return -1 if self.threshold is None else len(self.able) - self.threshold

    @property
    def outlook(self) -> Outlook:
        """Whether it can be opened."""
        if self.spare >= 0:
            return Outlook.SPARE if self.spare else Outlook.NONE_TO_SPARE
        hoped = [doubt for doubt in self.doubts.values() if not doubt.final]
        if self.unchecked is not None or self.spare + len(hoped) >= 0:
            return Outlook.UNSURE
        return Outlook.CLOSED


def recoverability_of(
    site: Site, view: CampaignView, *, without: str = ""
) -> Iterator[Recoverability]:
    """Who could open the head and each ancestor of a campaign, were ``without`` removed."""
    if view.head == GENESIS:
        return
    partners = {account_of(each) for each in holders_of(view)} - {without.lower()}
    keys = {
        account_of(each.account): public_digest(each.sealing_key)
        for each in site.ledger.members()
        if account_of(each.account) in partners
    }
    suspects = _suspects(site, view)
    for record in site.ledger.lineage(view.number, view.head):
        if record.slot == view.head:
            found = list(vouched_capsules(site, view, record))
        else:
            found = [Vouched(each, 0, 0) for each in capsules(site, view.number, record)]
        weighed = [(each, _weigh(site, view, record, each, keys, suspects)) for each in found]
        counting = [one for vouched, one in weighed if vouched.counts]
        best = max(counting, key=lambda one: one.spare, default=_unknown(view, record))
        hopes = [
            vouched
            for vouched, one in weighed
            if not vouched.counts and one.spare > max(best.spare, -1)
        ]
        unchecked = max(hopes, key=lambda one: one.by, default=None)
        yield replace(best, unchecked=unchecked)


def _unknown(view: CampaignView, record: ModelRecord) -> Recoverability:
    completed = view.state is CampaignState.COMPLETED
    return Recoverability(view.number, completed, record.name, None, frozenset(), {})


def _weigh(
    site: Site,
    view: CampaignView,
    record: ModelRecord,
    vouched: Vouched,
    keys: Mapping[str, bytes],
    suspects: Mapping[str, tuple[bytes, Doubt]],
) -> Recoverability:
    capsule = vouched.capsule
    doubts: dict[str, Doubt] = {}
    for account, sealed in capsule.holders.items():
        if account not in keys:
            doubts[account] = Doubt.GONE
        elif account == account_of(site.account):
            # Of itself a site knows.
            if not has_share(site, view.number, record, capsule):
                doubts[account] = Doubt.LOST
        elif sealed.key != keys[account]:
            doubts[account] = Doubt.FORMER_KEY
        elif account in suspects and suspects[account][0] == sealed.key:
            doubts[account] = suspects[account][1]
    able = frozenset(capsule.holders) - set(doubts)
    completed = view.state is CampaignState.COMPLETED
    return Recoverability(
        view.number, completed, record.name, capsule.threshold, able, doubts, vouched
    )


def stranded(site: Site, account: str) -> list[Recoverability]:
    """Models that those who stay may not be able to open if a member were removed now.

    Args:
        account: Whose removal is thought of; empty for nobody's.
    """
    found = []
    for number in range(1, site.ledger.campaigns() + 1):
        view = site.ledger.campaign(number)
        if view.state in (CampaignState.RUNNING, CampaignState.COMPLETED):
            seen = recoverability_of(site, view, without=account)
            found += [one for one in seen if one.spare < 0]
    return found


# --- objects --------------------------------------------------------------------------------------


def damage_of(site: Site, view: CampaignView, record: ModelRecord) -> Iterator[str]:
    """What is wrong with a model's objects in the store: a sentence for each.

    Envelopes that this site has never seen whole are read for the head only.
    """
    try:
        see_envelope(site, view.number, record, read_unseen=record.slot == view.head)
    except UntrustedDataError as error:
        yield error.what
    try:
        recorded_capsule(site, view.number, record)
    except UntrustedDataError as error:
        yield error.what


def unreadable_additions(site: Site, view: CampaignView, record: ModelRecord) -> Iterator[str]:
    """Capsules of a model's key, shared anew, that can't be read: a sentence for each.

    Anybody may put a capsule on the ledger that never was in the store: it takes nothing away.
    """
    for added in site.ledger.added_capsules(view.number, record.slot):
        try:
            capsule_by(added.partner, added.capsule_hash, site, view.number, record)
        except UntrustedDataError as error:
            yield error.what


# --- who failed at the latest opening -------------------------------------------------------------


@dataclass(frozen=True)
class _Opening:
    """An opening that was granted: of the head in a slot, or of the final model."""

    campaign: int
    reports: tuple[OpeningReport, ...]
    ballots: tuple[BallotId, ...]
    releases: str
    slot: SlotView | None = None


def _openings(site: Site, view: CampaignView) -> Iterator[_Opening]:
    """The latest first."""
    if view.state is CampaignState.COMPLETED:
        yield from _final_openings(site, view)
    for number in range(view.slot.number if view.slot else view.slots, 0, -1):
        slot = site.ledger.slot(view.number, number)
        if not slot.fetch_attempt:
            continue
        at = (slot.campaign, slot.number, slot.fetch_attempt, slot.owner)
        ballots = [BallotId(BallotKind.FETCH, *at)]
        if slot.ballot is not None:
            ballots.append(slot.ballot.id)
        yield _Opening(
            view.number, tuple(reports_on(site, slot)), tuple(ballots), place_of_slot(slot), slot
        )


def _final_openings(site: Site, view: CampaignView) -> Iterator[_Opening]:
    found = []
    for partner in sorted(holders_of(view)):
        fetch = site.ledger.final_fetch(view.number, partner)
        if fetch.state is FinalFetchState.OPENED:
            found.append((fetch, partner))
    for fetch, partner in sorted(found, key=lambda one: one[0].deadline, reverse=True):
        said = reports_on_final(site, view.number, partner)
        yield _Opening(
            view.number,
            tuple(each for each in said if each.attempt == fetch.round),
            (BallotId(BallotKind.FINAL_FETCH, view.number, 0, fetch.round, partner),),
            place_of_final(fetch.round, partner),
        )


def _suspects(site: Site, view: CampaignView) -> dict[str, tuple[bytes, Doubt]]:
    """Holders whose share was junk when last asked for, or who were not there.

    Who opens a model does not wait for more shares than it takes. So it is no fault to be missing
    for who showed that it was there: by a vote, by offering a key, or by a share that came later.
    After the opening of a final model nothing follows by which it could, so that there being
    missing says nothing at all; but who answered then makes up for what it did before.

    Returns:
        By account, the digest of the sealing key that the share was sealed to: who has replaced
        that key since may be able again.
    """
    suspects: dict[str, tuple[bytes, Doubt]] = {}
    cleared: set[str] = set()
    for opening in _openings(site, view):
        for report in opening.reports:
            reported = _capsule_in(site, view.number, report)
            if reported is None:
                continue
            seen = _seen_in(site, opening, report)
            failed = dict.fromkeys(report.bad, Doubt.JUNK)
            if opening.slot is not None:
                failed |= dict.fromkeys(set(report.missing) - seen, Doubt.ABSENT)
            for each in (set(failed) & set(reported.holders)) - cleared - set(suspects):
                suspects[each] = (reported.holders[each].key, failed[each])
            if opening.slot is not None:
                return suspects
            cleared |= seen | set(report.good)
    return suspects


def _seen_in(site: Site, opening: _Opening, report: OpeningReport) -> set[str]:
    """Which of the missing (accounts in lower case) were there after all."""
    ballots = [site.ledger.ballot(each) for each in opening.ballots]
    voted = {
        account_of(vote.partner)
        for ballot in ballots
        if ballot is not None
        for vote in ballot.votes
    }
    return {
        each
        for each in report.missing
        if each in voted
        or _has_released(site, opening, report, each)
        or _has_offered(site, opening, each)
    }


def _has_released(site: Site, opening: _Opening, report: OpeningReport, holder: str) -> bool:
    where = prefix(site, holder, opening.campaign, "releases", opening.releases)
    of = (report.capsule, report.requester, report.slot, report.attempt)
    return any(
        (each.capsule, each.requester, each.slot, each.attempt) == of
        for each in read_signed(site, where, Release, holder)
    )


def _has_offered(site: Site, opening: _Opening, evaluator: str) -> bool:
    slot = opening.slot
    if slot is None:
        return False
    where = offers_prefix(site, evaluator, slot.campaign, slot.number, slot.attempt)
    return any(read_signed(site, where, OfferedKey, evaluator))


def _capsule_in(site: Site, campaign: int, report: OpeningReport) -> Capsule | None:
    """The capsule that an opening was of; None if the report says what can't be."""
    try:
        record = site.ledger.model(campaign, report.model.slot)
    except LedgerRefusal:
        return None
    found = capsules(site, campaign, record)
    return next((each for each in found if each.digest() == report.capsule), None)
