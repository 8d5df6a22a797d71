"""Members, and how ballots are opened and end: what campaigns build on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence

from cdistrim.ledger.words import ballot_word
from cdistrim.protocol import GENESIS, BallotId, BallotKind, BallotState
from tests.contracts.reference.records import NO_HASH, Ballot, Event, Member, Refused, digest_of

__all__ = ["MEMBERSHIP", "NOBODY", "ROUNDS", "Consortium"]

NOBODY = "0x" + 40 * "0"

MEMBERSHIP = (BallotKind.ADMISSION, BallotKind.REMOVAL)
"""Kinds of ballots of all members, outside any campaign."""

ROUNDS = (BallotKind.JOIN, BallotKind.FINAL_FETCH, *MEMBERSHIP)
"""Kinds that count their opener's ballots instead of a slot's attempts."""

_NAME = re.compile(rb"[a-z0-9][a-z0-9-]{0,30}\0+")
_WEEK = 7 * 24 * 3600
_MEMBERS = range(2, 51)
_SEATS = 128


class Consortium:
    """Members and ballots.

    ``now`` is the time of the present action in seconds, ``sender`` who asks for it; ``events``
    has what the present action tells.

    Args:
        founders: Accounts (checksum addresses) with their names, 32 bytes each.
        views: Account of the contract with the derived views.

    Raises:
        Refused: They can't found a consortium.
    """

    def __init__(self, founders: Sequence[tuple[str, bytes]], views: str, now: int) -> None:
        self.now = now
        self.sender = NOBODY
        self.events: list[Event] = []
        self.members: list[Member] = []
        self._members: dict[str, Member] = {}
        self.ballots: dict[int, Ballot] = {}
        self.rounds: dict[tuple[BallotKind, int, str], int] = {}
        self.applicants: dict[str, tuple[str, bytes]] = {}
        if len(founders) not in _MEMBERS:
            raise Refused("BadMembers", len(founders))
        for account, name in founders:
            self._require_applicant(account, name)
            self._admit(account, name)
        if views == NOBODY:
            raise Refused("BadAccount", views)
        self.views = views

    # ---------------------------------------------------------------- who is who

    @property
    def active(self) -> set[str]:
        """Accounts of the members."""
        return {member.account for member in self.members if member.active}

    @property
    def removals(self) -> int:
        """How many members were removed so far."""
        return sum(not member.active for member in self.members)

    def member(self, account: str) -> Member | None:
        """Who is or was a member."""
        return self._members.get(account)

    def mask(self, accounts: Iterable[str]) -> int:
        """The contract's mask of some accounts."""
        return sum(1 << self._members[account].seat for account in accounts)

    def _tell(self, name: str, *arguments: object) -> None:
        self.events.append(Event(name, arguments))

    def _require_member(self, account: str) -> None:
        if account not in self.active:
            raise Refused("NotAMember", account)

    def _require_hash(self, *hashes: bytes) -> None:
        if NO_HASH in hashes:
            raise Refused("ZeroHash")

    def _require_in_time(self, deadline: int) -> None:
        if self.now > deadline:
            raise Refused("DeadlinePassed", deadline, self.now)

    # -------------------------------------------------------------------- members

    def publish_key(self, sealing_key: bytes) -> None:
        """The sender's sealing key, or another one in its place."""
        if not 1 <= len(sealing_key) <= 4096:
            raise Refused("BadSealingKey", len(sealing_key))
        member = self.member(self.sender)
        assert member is not None
        former, digest = member.sealing_key_digest, hashlib.sha256(sealing_key).digest()
        if digest == former:
            raise Refused("SameSealingKey", digest)
        member.sealing_key_digest, member.key_changed_at = digest, self.now
        self._tell("KeyRotated", self.sender, former, digest, sealing_key)

    def propose_admission(self, applicant: tuple[str, bytes]) -> None:
        """Ask all members to admit somebody."""
        self._require_applicant(*applicant)
        if len(self.active) + 1 not in _MEMBERS or len(self.members) >= _SEATS:
            raise Refused("BadMembers", len(self.active) + 1)
        ballot = self._ask_all(self._next_round(BallotKind.ADMISSION), digest_of(*applicant))
        self.applicants[self.sender] = applicant
        self._tell("AdmissionProposed", ballot.word, *applicant)

    def propose_removal(self, account: str) -> None:
        """Ask all members to remove one."""
        self._require_member(account)
        if len(self.active) - 1 not in _MEMBERS:
            raise Refused("BadMembers", len(self.active) - 1)
        subject = int(account, 16).to_bytes(32)
        ballot = self._ask_all(self._next_round(BallotKind.REMOVAL), subject)
        self._tell("RemovalProposed", ballot.word, account)

    def _require_applicant(self, account: str, name: bytes) -> None:
        if account == NOBODY:
            raise Refused("BadAccount", account)
        if not _NAME.fullmatch(name):
            raise Refused("BadName", name)
        if any(account == member.account or name == member.name for member in self.members):
            raise Refused("DuplicateMember", account, name)

    def _admit(self, account: str, name: bytes) -> None:
        seat = len(self.members)
        self._members[account] = Member(account, name, seat)
        self.members.append(self._members[account])
        self._tell("MemberAdmitted", account, name, seat)
        self._void(lambda ballot: ballot.id.kind in MEMBERSHIP)

    def _remove(self, account: str) -> None:
        gone = self._members[account]
        gone.active = False
        self._tell("MemberRemoved", account, gone.seat)
        self._void(lambda ballot: not ballot.of_slot)

    def _ask_all(self, name: BallotId, subject: bytes) -> Ballot:
        end = self.now + _WEEK
        return self._open(Ballot(name, frozenset(self.active), 0, end, subject), GENESIS)

    # -------------------------------------------------------------------- ballots

    def ballot_state(self, ballot: Ballot) -> BallotState:
        """Votes decide first; an undecided ballot is over when its time is, or its ground gone."""
        if ballot.decided:
            return BallotState.PASSED if ballot.passed else BallotState.REJECTED
        in_time = self.now <= self.deadline_of(ballot)
        return BallotState.OPEN if in_time and not ballot.void else BallotState.REJECTED

    def deadline_of(self, ballot: Ballot) -> int:
        """Its last second."""
        raise NotImplementedError

    def subject_of(self, ballot: Ballot) -> bytes:
        """What it is about."""
        return ballot.subject

    def _next_round(self, kind: BallotKind, campaign: int = 0) -> BallotId:
        """The sender's next ballot of a kind of which it may have one open at a time."""
        latest = self.rounds.get((kind, campaign, self.sender), 0)
        before = self.ballots.get(ballot_word(BallotId(kind, campaign, 0, latest, self.sender)))
        if before and self.ballot_state(before) is BallotState.OPEN:
            raise Refused("BallotAlreadyOpened", before.word)
        return BallotId(kind, campaign, 0, latest + 1, self.sender)

    def _open(self, ballot: Ballot, head: int) -> Ballot:
        if ballot.word in self.ballots:
            raise Refused("BallotAlreadyOpened", ballot.word)
        if len(ballot.electorate) < 2:
            raise Refused("TooFewPartners", ballot.id.campaign)
        ballot.approvals = {ballot.id.opener} & ballot.electorate
        ballot.removals = 0 if ballot.of_slot else self.removals
        self.ballots[ballot.word] = ballot
        if ballot.id.kind in ROUNDS:
            self.rounds[ballot.id.kind, ballot.id.campaign, ballot.id.opener] = ballot.id.attempt
        self._tell(
            "BallotOpened",
            ballot.word,
            ballot.id.campaign,
            head,
            ballot.quorum,
            self.mask(ballot.electorate),
            self.deadline_of(ballot),
        )
        return ballot

    def _tell_closed(self, ballot: Ballot) -> None:
        yes, no = len(ballot.approvals), len(ballot.refusals)
        self._tell("BallotClosed", ballot.word, ballot.passed, yes, no)

    def _void(self, without_ground: Callable[[Ballot], bool]) -> None:
        for ballot in self.ballots.values():
            if without_ground(ballot):
                ballot.void = True
