"""Makes illegal moves of sensible ones: by the wrong account, of another slot, too much, twice."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cdistrim.ledger.words import name_word
from cdistrim.protocol import Clock, Mode, RestoreReason
from tests.contracts.player import Player
from tests.contracts.real import abi_of
from tests.contracts.reference import NO_HASH, NOBODY, Action, Reference, SignedVote
from tests.contracts.signing import Asked

__all__ = ["Spoiler"]

_ACTIONS = tuple(
    name for name, entry in abi_of("function").items() if entry["stateMutability"] == "nonpayable"
)
_UINT32 = 2**32 - 1
_DAY = 24 * 3600
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Highest s of a canonical signature on secp256k1 (EIP-2)."""


class Spoiler:
    """Takes a player's moves and spoils some.

    Args:
        share: Which share of the moves is spoiled or senseless.
    """

    def __init__(
        self, rng: random.Random, reference: Reference, player: Player, *, share: float = 0.4
    ) -> None:
        self._rng = rng
        self._reference = reference
        self._player = player
        self._share = share
        self._before: deque[Action] = deque(maxlen=40)
        self._ways: dict[str, Callable[[Any], Any]] = {
            "sealingKey": lambda _: self._sealing_key(),
            "applicant": self._applicant,
            "account": lambda _: self._account(),
            "campaign": lambda _: self._campaign(),
            "slot": self._slot,
            "attempt": lambda attempt: rng.choice((0, 1, 2, attempt + 1, 2**16 - 1)),
            "target": lambda _: rng.choice((self._head(), rng.randrange(12), _UINT32)),
            "reason": lambda _: rng.choice((0, 0, len(RestoreReason), 255)),
            "mode": lambda _: rng.choice((len(Mode), 255)),
            "order": self._order,
            "cycles": lambda _: rng.choice((0, 1001, 2**16 - 1)),
            "quorum": lambda quorum: rng.choice((quorum + 7, 255)),
            "deadlines": self._deadlines,
            "cases": lambda _: 0,
            "evidence": self._evidence,
            "candidate": self._candidate,
            "ballot": self._ballot,
            "subject": self._subject,
        }

    def move(self) -> Action:
        """The next move, sensible or not."""
        rng = self._rng
        action = self._player.move()
        if rng.random() < self._share:
            kind = rng.random()
            if kind < 0.1 and self._before:
                action = rng.choice(self._before)  # once more, or after its time
            elif kind < 0.25:
                action = self._senseless()
            elif action.function == "castVotes":
                action = self._spoil_signed(action)
            elif kind < 0.45:
                action = replace(action, sender=self._account())
            else:
                action = self._spoil_argument(action)
        self._before.append(action)
        return action

    def _spoil_argument(self, action: Action) -> Action:
        inputs = abi_of("function")[action.function]["inputs"]
        # A candidate has five fields to be spoiled, each in its own way; restores are rare.
        weights = [{"candidate": 5, "target": 3}.get(entry["name"], 1) for entry in inputs]
        (place,) = self._rng.choices(range(len(inputs)), weights)
        arguments = list(action.arguments)
        arguments[place] = self._spoiled(inputs[place], arguments[place])
        return replace(action, arguments=tuple(arguments))

    def _spoiled(self, entry: dict[str, Any], value: Any) -> Any:  # noqa: ANN401 - any argument
        if entry["name"] in self._ways:
            return self._ways[entry["name"]](value)
        return NO_HASH if entry["type"] == "bytes32" else value

    def _senseless(self) -> Action:
        """Any function with arguments that were drawn."""
        function = self._rng.choice(_ACTIONS)
        entries = abi_of("function")[function]["inputs"]
        return Action(self._account(), function, tuple(self._drawn(entry) for entry in entries))

    def _drawn(self, entry: dict[str, Any]) -> Any:  # noqa: ANN401 - any argument
        rng, name, kind = self._rng, entry["name"], entry["type"]
        campaigns = self._reference.campaigns
        campaign = rng.choice(campaigns) if campaigns else None
        fitting: dict[str, Any] = {
            "campaign": rng.randrange(1, len(campaigns) + 1) if campaigns else 1,
            "slot": campaign.slot if campaign else 0,
            "attempt": rng.choice((0, 1, 1, 2)),
            "target": rng.randrange(3),
            "reason": rng.randrange(3),
            "mode": rng.randrange(2),
            "cycles": rng.randrange(1, 4),
            "quorum": rng.randrange(3),
            "cases": rng.randrange(100),
            "deadlines": sum(60 << 32 * clock for clock in Clock),
            "sealingKey": rng.randbytes(8),
            "evidence": 0,
            "candidate": (0, NO_HASH, rng.randbytes(32), NO_HASH, 0),
            "votes": [],
        }
        if name in fitting:
            return fitting[name]
        if name in self._ways:
            return self._ways[name](None)
        fallback: dict[str, Any] = {"bool": rng.random() < 0.5, "bytes32": rng.randbytes(32)}
        return fallback.get(kind, rng.randrange(256))

    # ---------------------------------------------------------------- argument by argument

    def _account(self) -> str:
        """Mostly somebody who is or was a member."""
        if self._rng.random() < 0.75:
            return self._rng.choice(self._reference.members).account
        return self._rng.choice((*self._player.accounts, NOBODY))

    def _campaign(self) -> int:
        count = len(self._reference.campaigns)
        # The last one looks like campaign 1 to whoever keeps 40 bits, as a ballot's name does.
        return self._rng.choice((0, count, max(count - 1, 1), count + 1, 2**256 - 1, 2**40 + 1))

    def _head(self) -> int:
        campaigns = self._reference.campaigns
        return self._rng.choice(campaigns).head if campaigns else 1

    def _slot(self, slot: int) -> int:
        near = slot + self._rng.choice((-1, 1, 1))
        return self._rng.choice((near if near >= 0 else 7, 0, _UINT32))

    def _sealing_key(self) -> bytes:
        before: list[bytes] = [a.arguments[0] for a in self._before if a.function == "publishKey"]
        return self._rng.choice((b"", 4097 * b"k", 4096 * b"k", *before[-2:]))

    def _applicant(self, _: object) -> tuple[str, bytes]:
        rng, account = self._rng, self._account()
        good = name_word(f"hospital-{rng.randrange(20)}")
        bad = (b"Hospital", b"", b"-x", 32 * b"x", b"a\0b", b"caf\xc3\xa9", b"under_score")
        name = rng.choice((good, good, *(word.ljust(32, b"\0") for word in bad)))
        return rng.choice((account, account, NOBODY)), name

    def _order(self, order: list[str] | None) -> list[str]:
        rng, order = self._rng, order or [self._account()]
        return rng.choice(
            ([], order[:1], [*order, order[0]], [*order, self._account()], 60 * order[:1])
        )

    def _deadlines(self, deadlines: int) -> int:
        clock = self._rng.choice(list(Clock))
        without = deadlines & ~(_UINT32 << 32 * clock)
        seconds = self._rng.choice((0, 30 * _DAY + 1, _UINT32))
        return self._rng.choice((without | seconds << 32 * clock, deadlines | 1 << 255))

    def _evidence(self, evidence: int | None) -> int:
        above = 10**9 + 1
        return (evidence or 0) | self._rng.choice((1 << 192, 1 << 255, _UINT32, above << 32))

    def _candidate(self, candidate: tuple[int, bytes, bytes, bytes, int]) -> tuple[Any, ...]:
        fields = list(candidate)
        place = self._rng.randrange(len(fields))
        if place == 0:
            fields[0] = candidate[0] + 1
        elif place == 4:
            fields[4] = self._rng.choice((self._evidence(candidate[4]), candidate[4] ^ 1))
        else:
            fields[place] = self._rng.choice((NO_HASH, self._rng.randbytes(32)))
        return tuple(fields)

    def _ballot(self, word: int | None) -> int:
        known = list(self._reference.ballots)
        old = self._rng.choice(known) if known else 0
        strange = (old ^ 1, old + (1 << 80), old ^ 1 << 8, old | 9, 2**256 - 1, word or 0)
        return self._rng.choice((old, old, old, old, *strange))

    def _subject(self, subject: bytes | None) -> bytes:
        """Of another ballot, or of none."""
        known = list(self._reference.ballots.values())
        others = [self._reference.subject_of(self._rng.choice(known))] if known else []
        return self._rng.choice((*others, subject or NO_HASH, NO_HASH, self._rng.randbytes(32)))

    # --------------------------------------------------------------------- signed votes

    def _spoil_signed(self, action: Action) -> Action:
        """One of the votes is late, twice there, somebody else's, of another ballot, or none."""
        rng, asked = self._rng, action.arguments[:2]
        signed, votes = list(action.arguments[2]), list(action.votes)
        if not votes:
            return replace(action, sender=self._account())
        place = rng.randrange(len(votes))
        vote = votes[place]
        way = rng.randrange(7)
        if way == 0:
            votes[place] = replace(vote, deadline=self._player.now + rng.choice((-1, 0)))
        elif way == 1:
            votes.append(vote)
            signed.append(signed[place])
        elif way == 2:
            votes[place] = replace(vote, evidence=self._evidence(vote.evidence))
        elif way == 3:
            votes[place] = replace(vote, signer=rng.choice(self._player.accounts))
        elif way == 4:  # garbage, or s of the upper half of the curve's order
            votes[place] = replace(vote, signer=None)
            vs = rng.choice((NO_HASH, (_HALF_ORDER + 1).to_bytes(32)))
            r = rng.choice((NO_HASH, signed[place][3]))
            signed[place] = (*signed[place][:3], r, vs)
            return self._handed_in(action, asked, signed, votes)
        elif way == 5:
            return self._changed(action, place)
        else:
            word, subject = asked
            asked = rng.choice(((self._ballot(word), subject), (word, self._subject(subject))))
            votes = [
                replace(each, signer=self._player.signing.recovered(asked, s))
                for each, s in zip(votes, signed, strict=True)
            ]
            return self._handed_in(action, asked, signed, votes)
        signed = [self._player.signing.sign(asked, each) for each in votes]
        return self._handed_in(action, asked, signed, votes)

    def _changed(self, action: Action, place: int) -> Action:
        """A vote that says something else than what was signed is somebody else's."""
        asked, signed, votes = action.arguments[:2], list(action.arguments[2]), list(action.votes)
        approve, evidence, deadline, r, vs = signed[place]
        signed[place] = (not approve, evidence, deadline, r, vs)
        votes[place] = replace(
            votes[place],
            approve=not approve,
            signer=self._player.signing.recovered(asked, signed[place]),
        )
        return self._handed_in(action, asked, signed, votes)

    def _handed_in(
        self, action: Action, asked: Asked, signed: list[Any], votes: list[SignedVote]
    ) -> Action:
        return replace(action, arguments=(*asked, signed), votes=tuple(votes))
