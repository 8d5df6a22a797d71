"""How a replay is led through a history: what has to come next, who is a member, what votes say."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cdistrim.audit.book import (
    FEWEST_MEMBERS,
    MAX_KEY_BYTES,
    MAX_SEATS,
    MOST_MEMBERS,
    NO_DIGEST,
    ROUNDS,
    Arguments,
    Ballot,
    Member,
    Objection,
    plain_ballot,
)
from cdistrim.protocol import BallotId, BallotKind

__all__ = ["Check", "Stage", "require_evidence", "require_hashes", "require_same"]

_AUC_ONE = 10**9

Check = Callable[[Arguments], None]
"""Objects to an event's arguments, or does not."""


@dataclass(frozen=True)
class _Due:
    """An event that has to come next, with these arguments, or with arguments that fit."""

    name: str
    arguments: Arguments | None
    check: Check | None


class Stage(ABC):
    """Members and ballots, and the queue of what the contract does as a consequence.

    ``number`` is the present record's, ``now`` its block's time in seconds.
    """

    def __init__(self) -> None:
        self.number = 0
        self.now = 0
        self.members: list[Member] = []
        self.active: set[str] = set()
        self.ballots: dict[BallotId, Ballot] = {}
        self.rounds: dict[tuple[BallotKind, int, str], int] = {}
        self._known: dict[str, Member] = {}
        self._due: deque[_Due] = deque()

    # --- what has to come next ---

    def tell(self, name: str, /, **arguments: object) -> None:
        """The contract does this as a consequence, with exactly these arguments."""
        self._due.append(_Due(name, arguments, None))

    def expect(self, name: str, check: Check) -> None:
        """The contract does this as a consequence; what is free in it, ``check`` judges."""
        self._due.append(_Due(name, None, check))

    @property
    def due(self) -> str:
        """The event that has to come next; empty if anything may begin."""
        return self._due[0].name if self._due else ""

    def take(self, name: str, arguments: Arguments) -> None:
        """See that an event is the one that had to come.

        Raises:
            Objection: It is another one, or says something else.
        """
        due = self._due.popleft()
        if due.name != name:
            raise Objection(f"here the contract would have written {due.name}")
        if due.check is not None:
            due.check(arguments)
        if due.arguments is not None:
            require_same(arguments, due.arguments)
        self.taken(name, arguments)

    def taken(self, name: str, arguments: Arguments) -> None:
        """What had to come has come, in the present record."""
        if name == "MemberAdmitted":
            self._known[arguments["account"]].admitted = self.number
        elif name == "MemberRemoved":
            self._known[arguments["account"]].removed = self.number

    # --- members ---

    @property
    def removals(self) -> int:
        """How many members were removed so far."""
        return len(self.members) - len(self.active)

    def name_of(self, account: str) -> str:
        """A member's name; the account of who is none."""
        return self._known[account].name if account in self._known else account

    def seats(self, accounts: Iterable[str]) -> list[int]:
        """A mask, as events have it."""
        return sorted(self._known[account].seat for account in accounts)

    def require_member(self, account: str) -> None:
        """See that somebody is a member now."""
        if account not in self.active:
            raise Objection(f"{self.name_of(account)} is no member")

    def require_key(self, account: str) -> None:
        """See that a member has published its sealing key."""
        if self._known[account].key_digest == NO_DIGEST:
            raise Objection(f"{self.name_of(account)} has published no sealing key")

    def require_in_time(self, deadline: int) -> None:
        """See that a deadline is not over."""
        if self.now > deadline:
            raise Objection(f"it came {self.now - deadline} s after its deadline")

    def require_applicant(self, account: str, name: str) -> None:
        """See that accounts and names are unique for ever."""
        if int(account, 16) == 0:
            raise Objection("nobody has the account zero")
        if account in self._known or any(name == member.name for member in self.members):
            raise Objection(f"account or name of {name} were given to a member before")

    def require_room(self) -> None:
        """See that there is a seat left."""
        if len(self.active) >= MOST_MEMBERS or len(self.members) >= MAX_SEATS:
            raise Objection("no seat is left")

    def admit(self, account: str, name: str) -> Arguments:
        """Give somebody the next seat; what the event of it says."""
        member = Member(account, name, len(self.members))
        self.members.append(member)
        self._known[account] = member
        self.active.add(account)
        return {"account": account, "name": name, "seat": member.seat}

    def found(self, found: Arguments) -> None:
        """A founder, in the transaction that made the contract."""
        self.require_applicant(found["account"], found["name"])
        if len(self.members) >= MOST_MEMBERS:
            raise Objection(f"there are more than {MOST_MEMBERS} founders")
        require_same(found, self.admit(found["account"], found["name"]))
        self.members[-1].admitted = self.number

    def require_founded(self) -> None:
        """See that there were enough founders."""
        if len(self.members) < FEWEST_MEMBERS:
            raise Objection("the history does not begin with two founders or more")

    def remove(self, account: str) -> None:
        """Somebody leaves; its seat is given to nobody."""
        self.active.discard(account)
        self.tell("MemberRemoved", account=account, seat=self._known[account].seat)

    def key_rotated(self, found: Arguments) -> None:
        """A member published its sealing key, or another one."""
        self.require_member(found["account"])
        member = self._known[found["account"]]
        key = bytes.fromhex(found["sealingKey"].removeprefix("0x"))
        if not 0 < len(key) <= MAX_KEY_BYTES:
            raise Objection(f"a sealing key can't have {len(key)} bytes")
        digest = "0x" + hashlib.sha256(key).hexdigest()
        require_same(found, {"formerDigest": member.key_digest, "sealingKeyDigest": digest})
        if digest == member.key_digest:
            raise Objection("it is the sealing key that the member had")
        member.key_digest = digest

    # --- ballots ---

    def open(self, ballot: Ballot, head: int) -> Arguments:
        """A ballot begins; what the event of it says."""
        if ballot.id in self.ballots:
            raise Objection("this ballot was opened before")
        if len(ballot.electorate) < FEWEST_MEMBERS:
            raise Objection("fewer than two may vote")
        ballot.approvals = {ballot.id.opener} & ballot.electorate
        ballot.removals = self.removals
        self.ballots[ballot.id] = ballot
        if ballot.id.kind in ROUNDS:
            self.rounds[self._request(ballot.id)] = ballot.id.attempt
        return {
            "ballot": plain_ballot(ballot.id),
            "campaign": ballot.id.campaign,
            "head": head,
            "quorum": ballot.quorum,
            "electorate": self.seats(ballot.electorate),
            "deadline": self.deadline_of(ballot),
        }

    def require_next_round(self, ballot: BallotId) -> None:
        """See that this is its opener's next request, and that the one before is over."""
        latest = self.rounds.get(self._request(ballot), 0)
        if (ballot.slot, ballot.attempt) != (0, latest + 1):
            raise Objection(f"the opener's next request of this kind has number {latest + 1}")
        former = self.ballots.get(BallotId(ballot.kind, ballot.campaign, 0, latest, ballot.opener))
        if former is not None and not self._why_not_open(former):
            raise Objection("the opener's ballot before is open")

    def _request(self, ballot: BallotId) -> tuple[BallotKind, int, str]:
        return ballot.kind, ballot.campaign, ballot.opener

    def _why_not_open(self, ballot: Ballot) -> str:
        if ballot.decided:
            return "the ballot was decided before"
        if self.now > self.deadline_of(ballot):
            return "the ballot's time was over"
        return "" if self.holds(ballot) else "the ballot was void: what it is about had changed"

    def require_open(self, ballot: Ballot) -> None:
        """See that votes in a ballot count."""
        if why := self._why_not_open(ballot):
            raise Objection(why)

    def count(self, ballot: Ballot, found: Arguments) -> None:
        """A vote."""
        voter = found["account"]
        if voter not in ballot.electorate:
            raise Objection(f"{self.name_of(voter)} has no vote in this ballot")
        if voter in ballot.approvals | ballot.refusals:
            raise Objection(f"{self.name_of(voter)} has voted in this ballot before")
        require_evidence(found["evidence"])
        (ballot.approvals if found["approve"] else ballot.refusals).add(voter)

    def tell_closed(self, ballot: Ballot) -> None:
        """The verdict, by the votes that were cast."""
        self.tell(
            "BallotClosed",
            ballot=plain_ballot(ballot.id),
            passed=ballot.passed,
            yes=len(ballot.approvals),
            no=len(ballot.refusals),
        )

    # --- what campaigns know of ballots ---

    @abstractmethod
    def deadline_of(self, ballot: Ballot) -> int:
        """A ballot's last second."""

    @abstractmethod
    def holds(self, ballot: Ballot) -> bool:
        """Whether everything that a ballot presupposes is still so."""


def require_same(found: Arguments, expected: Arguments) -> None:
    """See that an event says of some arguments what follows from the events before it."""
    for name, value in expected.items():
        if found[name] != value:
            raise Objection(f"{name} is {_short(found[name])}; it has to be {_short(value)}")


def require_hashes(*hashes: str) -> None:
    """See that no hash is zero."""
    if NO_DIGEST in hashes:
        raise Objection("a hash in it is zero")


def require_evidence(found: Arguments) -> None:
    """See that AUCs are in [0, 1]."""
    if max(found["aucHead"], found["aucCandidate"]) > _AUC_ONE:
        raise Objection("an AUC in it is above 1")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
