"""What is asked of whom, and who is waited for until when: in words, for whoever runs a command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cdistrim import progress
from cdistrim.names import Names, names_of
from cdistrim.protocol import GENESIS, BallotKind, CampaignView, Deed, Duty, SlotView, duties
from cdistrim.report.wording import moment, printable, sentence_list

if TYPE_CHECKING:
    from cdistrim.iteration import IterationRef
    from cdistrim.site import Site

__all__ = [
    "BallotTeller",
    "duty_place",
    "duty_sentence",
    "standing_sentences",
    "tell_of_restart",
    "tell_of_shares",
]


_SUBJECTS = {
    BallotKind.FETCH: "the fetch of {}",
    BallotKind.UPLOAD: "the candidate of {}, once it was granted to measure it",
    BallotKind.RESTORE: "the restore that {} asks for",
    BallotKind.JOIN: "whether {} joins",
    BallotKind.FINAL_FETCH: "the final model for {}",
}


def duty_place(duty: Duty) -> str:
    """Where a duty belongs, e.g. ``campaign 1, slot 2, attempt 2``; a first attempt is not told."""
    slot = f", slot {duty.slot}" if duty.slot else ""
    # Without a slot it is the round of a request.
    attempt = f", attempt {duty.attempt}" if duty.slot and duty.attempt > 1 else ""
    return f"campaign {duty.campaign}{slot}{attempt}"


def duty_sentence(duty: Duty, view: CampaignView, names: Names) -> str:
    """What a duty asks, e.g. ``campaign 1, slot 2: vote on the fetch of hospital-2, until …``.

    Args:
        view: The campaign that the duty was found in: a later one may be at another slot.
    """
    deadline = _deadline(duty, view)
    until = "" if deadline is None else f", until {moment(deadline)}"
    return f"{duty_place(duty)}: {_what(duty, view, names)}{until}"


def standing_sentences(view: CampaignView, names: Names, *, but: str = "") -> Iterator[str]:
    """What a campaign waits for now, and whom: a sentence for each thing.

    Of who was removed nothing is expected, though it keeps its place in the campaign's order.

    Args:
        but: An account whose duties are not told: of its own a site knows more than the ledger.
    """
    asked: dict[str, list[str]] = {}
    for duty in duties(view):
        if duty.partner != but and not names.was_removed(duty.partner):
            asked.setdefault(duty_sentence(duty, view, names), []).append(duty.partner)
    for sentence, who in asked.items():
        yield f"{sentence}: {names.listed(who)}"


def _what(duty: Duty, view: CampaignView, names: Names) -> str:
    other = names.of(duty.opener or (view.slot.owner if view.slot else ""))
    if duty.deed is Deed.VOTE and duty.kind is not None:
        return f"vote on {_SUBJECTS[duty.kind].format(other)}"
    if duty.deed is Deed.CLOSE:
        if view.removals_pending:
            return f"take out {_gone(view, names)}"
        return "end the step whose time is over"
    return {
        Deed.CONVENE: "open it",
        Deed.ENROL: "enrol",
        Deed.ITERATE: "take the turn",
        Deed.RELEASE: f"release a share of the model's key to {other}",
        Deed.OFFER: f"offer a one-time key to {other}, for its candidate",
    }[duty.deed]


def _gone(view: CampaignView, names: Names) -> str:
    """Who was removed from the consortium and is still in the campaign, since when."""
    gone = [
        f"{names.of(one.partner)}, removed at {moment(names.removed[one.partner.lower()])}"
        for one in view.enrolments
        if names.was_removed(one.partner)
    ]
    return sentence_list(gone) or "who is no member any more"


def _deadline(duty: Duty, view: CampaignView) -> int | None:
    if duty.deed in (Deed.CLOSE, Deed.CONVENE):
        return None
    if duty.deed is Deed.ENROL:
        return view.enrol_deadline
    if duty.opener:
        asked = {each.id.opener: each.deadline for each in view.requests if each.kind is duty.kind}
        granted = {each.requester: each.deadline for each in view.final_grants}
        return (granted if duty.deed is Deed.RELEASE else asked).get(duty.opener)
    return view.slot.deadline if view.slot else None


class BallotTeller:
    """Tells this process's listener whose votes a slot's ballot lacks, whenever that changes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._names = names_of(site.ledger)
        self._told = ""

    def look(self, slot: SlotView) -> None:
        """To be called at every look at the ballot."""
        ballot = slot.ballot
        if ballot is None:
            return
        missing = [one for one in ballot.electorate if ballot.waits_for(one)]
        text = (
            f"waits for {ballot.quorum} votes on its {ballot.kind.name.lower()}, "
            f"{ballot.yes} yes and {ballot.no} no so far, not yet {self._names.listed(missing)}; "
            f"until {moment(slot.deadline)}"
        )
        if missing and text != self._told:
            self._told = text
            progress.listener().waiting(slot.number, self._site.name, text)


def tell_of_shares(site: Site, ref: IterationRef) -> None:
    """Tell the listener that the slot's owner waits for shares of the head's key."""
    view, slot = site.ledger.campaign(ref.campaign), site.ledger.slot(ref.campaign, ref.slot)
    if view.head != GENESIS:
        # Who was taken out of the campaign, or never enrolled, has none.
        others = [printable(one.name) for one in view.enrolments if one.partner != site.account]
        text = f"waits for shares of the head's key from {sentence_list(others)}"
        _tell(site, slot, f"{text}, half of the time until {moment(slot.deadline)}")


def tell_of_restart(site: Site, ref: IterationRef) -> None:
    """Tell the listener that the slot's owner waits for the vote on its restore."""
    slot = site.ledger.slot(ref.campaign, ref.slot)
    _tell(site, slot, f"waits for the vote on going back a model, until {moment(slot.deadline)}")


def _tell(site: Site, slot: SlotView, text: str) -> None:
    progress.listener().waiting(slot.number, site.name, text)
