"""What is asked of whom, and who is waited for until when: in words, for whoever runs a command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from cdistrim import progress
from cdistrim.protocol import GENESIS, BallotKind, CampaignView, Deed, Duty, SlotView, duties
from cdistrim.report.wording import moment, printable, sentence_list

if TYPE_CHECKING:
    from cdistrim.iteration import IterationRef
    from cdistrim.ledger import Ledger
    from cdistrim.site import Site

__all__ = [
    "BallotTeller",
    "duty_sentence",
    "names_of",
    "standing_sentences",
    "tell_of_restart",
    "tell_of_shares",
]

Names = Mapping[str, str]
"""Names by account."""

_SUBJECTS = {
    BallotKind.FETCH: "the fetch of {}",
    BallotKind.UPLOAD: "the candidate of {}, once it was granted to measure it",
    BallotKind.RESTORE: "the restore that {} asks for",
    BallotKind.JOIN: "whether {} joins",
    BallotKind.FINAL_FETCH: "the final model for {}",
}


def names_of(ledger: Ledger) -> Names:
    """Names of all members, fit for a terminal."""
    return {member.account: printable(member.name) for member in ledger.members()}


def duty_sentence(duty: Duty, view: CampaignView, names: Names) -> str:
    """What a duty asks, e.g. ``campaign 1, slot 2: vote on the fetch of hospital-2, until …``."""
    where = f"campaign {duty.campaign}" + (f", slot {duty.slot}" if duty.slot else "")
    deadline = _deadline(duty, view)
    until = "" if deadline is None else f", until {moment(deadline)}"
    return f"{where}: {_what(duty, view, names)}{until}"


def standing_sentences(view: CampaignView, names: Names) -> Iterator[str]:
    """What a campaign waits for now, and whom: a sentence for each thing."""
    asked: dict[str, list[str]] = {}
    for duty in duties(view):
        who = asked.setdefault(duty_sentence(duty, view, names), [])
        who.append(names.get(duty.partner, duty.partner))
    for sentence, who in asked.items():
        yield f"{sentence}: {sentence_list(who)}"


def _what(duty: Duty, view: CampaignView, names: Names) -> str:
    opener = duty.opener or (view.slot.owner if view.slot else "")
    other = names.get(opener, opener)
    if duty.deed is Deed.VOTE and duty.kind is not None:
        return f"vote on {_SUBJECTS[duty.kind].format(other)}"
    if duty.deed is Deed.CLOSE:
        if view.removals_pending:
            return "take out who is no member any more"
        return "end the step whose time is over"
    return {
        Deed.CONVENE: "open it",
        Deed.ENROL: "enrol",
        Deed.ITERATE: "take the turn",
        Deed.RELEASE: f"release a share of the model's key to {other}",
        Deed.OFFER: f"offer a one-time key to {other}, for its candidate",
    }[duty.deed]


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
        missing = [self._names.get(one, one) for one in ballot.electorate if ballot.waits_for(one)]
        text = (
            f"waits for {ballot.quorum} votes on its {ballot.kind.name.lower()}, "
            f"{ballot.yes} yes and {ballot.no} no so far, not yet {sentence_list(missing)}; "
            f"until {moment(slot.deadline)}"
        )
        if missing and text != self._told:
            self._told = text
            progress.listener().waiting(slot.number, self._site.name, text)


def tell_of_shares(site: Site, ref: IterationRef) -> None:
    """Tell the listener that the slot's owner waits for shares of the head's key."""
    view, slot = site.ledger.campaign(ref.campaign), site.ledger.slot(ref.campaign, ref.slot)
    if view.head != GENESIS:
        others = [view.name_of(one) for one in view.order if one != site.account]
        text = f"waits for shares of the head's key from {sentence_list(others)}"
        _tell(site, slot, f"{text}, half of the time until {moment(slot.deadline)}")


def tell_of_restart(site: Site, ref: IterationRef) -> None:
    """Tell the listener that the slot's owner waits for the vote on its restore."""
    slot = site.ledger.slot(ref.campaign, ref.slot)
    _tell(site, slot, f"waits for the vote on going back a model, until {moment(slot.deadline)}")


def _tell(site: Site, slot: SlotView, text: str) -> None:
    progress.listener().waiting(slot.number, site.name, text)
