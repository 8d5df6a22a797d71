"""Admissions and removals: what an operator decides, and what has to be so before a yes.

People decide who is a member. What a site adds is one check: a removal waits until head and
ancestors of all campaigns can be opened by those who stay (protocol.md, "Keys", 4).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cdistrim.errors import UsageError, WaitingError
from cdistrim.ledger.interface import NAME_PATTERN, NAME_RULE
from cdistrim.protocol import BallotKind, Proposal
from cdistrim.recoverability import Recoverability, stranded
from cdistrim.report import wording

if TYPE_CHECKING:
    from cdistrim.ledger import Member
    from cdistrim.site import Site

__all__ = [
    "answer_proposal",
    "member_named",
    "open_proposal",
    "propose_admission",
    "propose_removal",
    "require_openable",
]


def member_named(site: Site, name: str) -> Member:
    """A member by its name.

    Raises:
        UsageError: There is none of that name.
    """
    members = site.ledger.members()
    found = next((each for each in members if each.name == name), None)
    if found is None:
        raise UsageError(
            f"There is no member {name!r}.",
            hint=f"Members are {', '.join(each.name for each in members)}.",
        )
    return found


def open_proposal(site: Site, name: str) -> Proposal:
    """The open ballot on the admission or removal of somebody.

    Raises:
        UsageError: There is none.
    """
    proposals = site.ledger.proposals()
    found = next((each for each in proposals if each.name == name), None)
    if found is None:
        about = wording.sentence_list(sorted({each.name for each in proposals}))
        raise UsageError(
            f"No ballot on {name!r} is open.",
            hint=f"Open: {wording.plural(len(proposals), 'ballot')} on {about}."
            if proposals
            else "None on any other member is open either.",
        )
    return found


def propose_admission(site: Site, account: str, name: str) -> None:
    """Ask all members to admit somebody; harmless if this site has asked for just that.

    Raises:
        UsageError: That can't be a name, somebody is a member already, or this site has another
            admission open.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UsageError(f"{name!r} can't be a member's name.", hint=NAME_RULE)
    for member in site.ledger.members():
        if account == member.account:
            raise UsageError(f"{account} is a member already.", hint="Nothing was proposed.")
        if name == member.name:
            raise UsageError(
                f"{name} is the name of {member.account} already.",
                hint="Names are given once: settle on another one with whoever shall be admitted.",
            )
    _refuse_second(site, BallotKind.ADMISSION, account, name)
    site.ledger.propose_admission(account=account, name=name)


def propose_removal(site: Site, name: str) -> None:
    """Ask all members to remove one; harmless if this site has asked for just that.

    Raises:
        UsageError: There is no such member, or this site has another removal open.
    """
    account = member_named(site, name).account
    _refuse_second(site, BallotKind.REMOVAL, account, name)
    site.ledger.propose_removal(account=account)


def _refuse_second(site: Site, kind: BallotKind, account: str, name: str) -> None:
    """The contract lets a member have one open ballot of a kind."""
    for proposal in site.ledger.proposals():
        ballot = proposal.ballot
        if (ballot.kind, ballot.id.opener) != (kind, site.account):
            continue
        if (proposal.account, proposal.name) != (account, name):
            raise UsageError(
                f"{site.name} has asked for the {kind.name.lower()} of {proposal.name} "
                f"({proposal.account}), which is still open: {ballot.yes} yes, {ballot.no} no, "
                f"{ballot.quorum} needed, until {wording.moment(ballot.deadline)}. A member has "
                "one open ballot of a kind.",
                hint="Let the members decide it (`cdistrim member approve SITE "
                f"{proposal.name}`, or refuse), or wait until it ends; or let another member "
                "propose.",
            )


def answer_proposal(site: Site, proposal: Proposal, *, approve: bool, anyway: bool = False) -> None:
    """Vote on an admission or a removal.

    Args:
        anyway: Approve a removal although it would leave models that nobody can open.

    Raises:
        WaitingError: The removal has to wait until keys are shared anew.
    """
    if approve and proposal.ballot.kind is BallotKind.REMOVAL and not anyway:
        require_openable(site, proposal.account, proposal.name)
    site.ledger.cast_vote(
        ballot=proposal.ballot.id, subject=proposal.ballot.subject, approve=approve
    )


def require_openable(site: Site, account: str, name: str) -> None:
    """See that a removal leaves no model behind that those who stay can't open.

    Raises:
        WaitingError: It would.
    """
    lost = stranded(site, account)
    if lost:
        first = next((one for one in lost if not one.completed), lost[0])
        needed = first.threshold or "an unknown number"
        raise WaitingError(
            f"Without {name} {wording.plural(len(lost), 'model')} could not be opened for "
            f"certain, first {first.model} of campaign {first.campaign}: "
            f"{wording.plural(len(first.able), 'sure holder')} of the {needed} that it takes.",
            hint="The removal waits. Whoever lost its key or did not answer has to be in order "
            f"first; {_who_shares_anew(first)}. Approve again, or say --anyway; "
            "`cdistrim site doctor` shows all models.",
        )


def _who_shares_anew(model: Recoverability) -> str:
    if not model.completed:
        return "the next slot's owner then shares the keys anew"
    return (
        f"campaign {model.campaign} is completed, so that no slot's owner shares its keys anew: "
        f"partners say `cdistrim campaign reshare SITE {model.campaign}`"
    )
