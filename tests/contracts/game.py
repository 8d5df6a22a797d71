"""One game: every move is made in the reference and in the real contract, and both are compared."""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from cdistrim.ledger.words import name_word
from cdistrim.protocol import TRANSITIONS, Transition
from tests.contracts.player import Player
from tests.contracts.real import (
    Log,
    Real,
    abi_of,
    answer_bytes,
    log_of,
    revert_data,
    shown_answer,
    shown_log,
    shown_refusal,
)
from tests.contracts.reference import (
    NOBODY,
    Action,
    Answer,
    Question,
    Reference,
    Refused,
    answers,
)
from tests.contracts.signing import people
from tests.contracts.spoiler import Spoiler

__all__ = ["Difference", "Tally", "play"]

_VIEWS = "0x" + 40 * "d"  # the ledger does not ask them anything
_WHOLE_EVERY = 20  # steps
_SENT_EVERY = 6  # refusals: the others are only called
_SAMPLE = 12  # answers that should not have changed


class Difference(AssertionError):
    """The contract and the reference do not agree."""


@dataclass
class Tally:
    """What was seen: steps by their end, and how often each row, error and event came."""

    accepted: int = 0
    refused: int = 0
    rows: Counter[Transition] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)

    @property
    def rows_missing(self) -> list[Transition]:
        """Rows of the table that were never taken."""
        return [row for row in TRANSITIONS if not self.rows[row]]

    @property
    def errors_missing(self) -> list[str]:
        """Custom errors that were never met."""
        return sorted(abi_of("error").keys() - self.errors.keys())

    @property
    def events_missing(self) -> list[str]:
        """Events that were never told."""
        return sorted(abi_of("event").keys() - self.events.keys())

    def __str__(self) -> str:
        parts = (
            ("rows taken", self.rows.total(), self.rows_missing, TRANSITIONS),
            ("refusals by name", self.errors.total(), self.errors_missing, abi_of("error")),
            ("events told", self.events.total(), self.events_missing, abi_of("event")),
        )
        lines = [f"{self.accepted} steps accepted, {self.refused} refused"]
        for what, count, missing, known in parts:
            seen = f"{len(known) - len(missing)} of {len(known)}"
            lines.append(f"{count} {what}, {seen} kinds; never: {missing or 'none'}")
        return "\n".join(lines)


def play(
    real: Real, seed: str, size: int, steps: int, tally: Tally, model: type[Reference] = Reference
) -> None:
    """Found a consortium of ``size`` members and make ``steps`` moves.

    Raises:
        Difference: Contract and reference differ; the message tells how to play it again.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    game = _Game(real, seed, model, tally)
    game.found(size, rng)
    player = Player(rng, game.reference, real.address, tally.rows)
    spoiler = Spoiler(rng, game.reference, player)
    for step in range(steps):
        action = spoiler.move()
        player.now = max(player.now, game.latest + 1)
        on_chain = game.step(step, action, player.now)
        if step % _WHOLE_EVERY == _WHOLE_EVERY - 1 or step == steps - 1:
            game.compare()
        elif on_chain:
            game.compare(rng.sample(range(10_000), _SAMPLE))


class _Game:
    def __init__(self, real: Real, seed: str, model: type[Reference], tally: Tally) -> None:
        self._real = real
        self._seed = seed
        self._model = model
        self._tally = tally
        self._told: dict[Question, Answer] = {}
        self._moves: deque[str] = deque(maxlen=2 * _WHOLE_EVERY)
        self._accounts = [str(account.address) for account in people()]
        self.latest = real.time()
        self.reference: Reference

    # ---------------------------------------------------------------------- moves

    def found(self, size: int, rng: random.Random) -> None:
        """First in vain, then well."""
        good = [(a, name_word(f"hospital-{i}")) for i, a in enumerate(self._accounts[:size])]
        wrong = rng.choice(
            (
                (good[:1], _VIEWS),
                ([*good, good[0]], _VIEWS),
                ([*good, (self._accounts[-1], good[0][1])], _VIEWS),
                ([*good, (NOBODY, name_word("nobody"))], _VIEWS),
                ([*good, (self._accounts[-1], name_word("Upper"))], NOBODY),
                (good, NOBODY),
            )
        )
        for founders, views in (wrong, (good, _VIEWS)):
            self._moves.append(f"founders: {founders}, views: {views}")
            self._found(founders, views, self.latest + 1)

    def _found(self, founders: Sequence[tuple[str, bytes]], views: str, now: int) -> None:
        expected = None
        try:
            self.reference = self._model(founders, views, now)
        except Refused as refused:
            self._meet(refused)
            expected = revert_data(refused)
        self._same_refusal(expected, self._real.deploy(founders, views, now))
        if expected is None:
            self.latest = now

    def step(self, number: int, action: Action, now: int) -> bool:
        """One move on both sides, with the same end; whether there was a transaction."""
        self._moves.append(f"{number}: at {now} {action}")
        rows = self.reference.taken.copy()
        try:
            events = self.reference.act(action, now)
        except Refused as refused:
            self._tally.refused += 1
            self._meet(refused)
            return self._refuse(action, now, revert_data(refused))
        self.latest = now
        logs = self._real.send(action, now)
        if logs is None:
            self._same_refusal(None, self._real.refuses(action, now) or "0x")
        self._same_logs([log_of(event) for event in events], logs or [])
        self._tally.accepted += 1
        self._tally.events.update(event.name for event in events)
        self._tally.rows += self.reference.taken - rows
        return True

    def _meet(self, refused: Refused) -> None:
        if refused.name:
            self._tally.errors[refused.name] += 1

    def _refuse(self, action: Action, now: int, expected: str) -> bool:
        self._same_refusal(expected, self._real.refuses(action, now))
        if self._tally.refused % _SENT_EVERY:
            return False
        before = self._real.storage()
        self.latest = now
        if self._real.send(action, now) is not None or self._real.storage() != before:
            self._differ("What is refused when called is accepted, or changes something, when sent")
        return True

    # ------------------------------------------------------------------ comparing

    def compare(self, sample: Sequence[int] | None = None) -> None:
        """What should have changed, and a sample of the rest; None: everything there is."""
        expected = dict(answers(self.reference, self._accounts))
        questions = list(expected)
        if sample is not None:
            some = {questions[index % len(questions)] for index in sample}
            questions = [q for q in questions if q in some or expected[q] != self._told.get(q)]
        found = self._real.ask(questions, self.reference.now)
        wrong = [
            f"{question}\n  reference: {shown_answer(question, answer_bytes(expected[question]))}"
            f"\n  contract:  {shown_answer(question, answer)}"
            for question, answer in zip(questions, found, strict=True)
            if answer != answer_bytes(expected[question])
        ]
        if wrong:
            self._differ("The states differ", *wrong)
        self._told = expected

    def _same_refusal(self, expected: str | None, found: str | None) -> None:
        if expected != found:
            said = [
                f"  reference: {shown_refusal(expected)}",
                f"  contract:  {shown_refusal(found)}",
            ]
            self._differ("One accepts and the other refuses, or for another reason", *said)

    def _same_logs(self, expected: list[Log], found: list[Log]) -> None:
        if expected != found:
            said = [f"  reference: {shown_log(log)}" for log in expected]
            self._differ(
                "The events differ", *said, *(f"  contract: {shown_log(log)}" for log in found)
            )

    def _differ(self, what: str, *how: str) -> None:
        """With both states whole, so that the move can be judged without playing it again."""
        state = dict(answers(self.reference, self._accounts))
        found = self._real.ask(list(state), self.reference.now) if self._real.address else []
        both = [
            f"{question}\n  reference: {shown_answer(question, answer_bytes(answer))}"
            + (
                ""
                if told == answer_bytes(answer)
                else f"\n  CONTRACT:  {shown_answer(question, told)}"
            )
            for (question, answer), told in zip(state.items(), found, strict=True)
        ]
        raise Difference(
            "\n".join(
                [
                    f"{what} (game {self._seed}):",
                    *how,
                    *("", "State, and what the contract says where that is something else:", *both),
                    *("", "The last moves; the last one did it, or one before that:", *self._moves),
                ]
            )
        )
