"""Histories for tests: what the reference of the contract tells in random games."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from functools import cache

from cdistrim.ledger import LoggedEvent
from cdistrim.ledger.plain import plain_event
from cdistrim.ledger.words import name_word
from tests.contracts.player import Player
from tests.contracts.real import log_of
from tests.contracts.reference import Action, Event, Reference, Refused
from tests.contracts.signing import people
from tests.contracts.spoiler import Spoiler

__all__ = ["game", "logged", "moves_of"]

_START = 1_700_000_000
_CONTRACT = "0x" + 40 * "c"
_VIEWS = "0x" + 40 * "d"


@cache
def game(seed: str, size: int, moves: int) -> tuple[LoggedEvent, ...]:
    """What a contract logs in a game: a block for each move that it accepts.

    Args:
        seed: The same seed gives the same game.
        size: Number of founders.
        moves: Moves that are tried; some of them are against the rules.
    """
    return tuple(event for _, _, events, _ in moves_of(seed, size, moves) for event in events)


def moves_of(
    seed: str, size: int, moves: int
) -> Iterator[tuple[Reference, Action | None, list[LoggedEvent], int]]:
    """The moves of a game one by one: the contract after it, the move, what it told, and when.

    The founding is the first, without a move; what is refused tells nothing.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret
    accounts = [str(account.address) for account in people()]
    founders = [(one, name_word(f"hospital-{i}")) for i, one in enumerate(accounts[:size])]
    reference = Reference(founders, _VIEWS, _START)
    player = Player(rng, reference, _CONTRACT, Counter())
    player.now = _START
    spoiler = Spoiler(rng, reference, player)
    yield reference, None, logged(reference.events, 1, _START), _START
    latest, block = _START, 1
    for _ in range(moves):
        action = spoiler.move()
        player.now = max(player.now, latest + 1)
        try:
            events = reference.act(action, player.now)
        except Refused:
            yield reference, action, [], player.now
            continue
        latest = player.now
        block += bool(events)
        yield reference, action, logged(events, block, latest), latest


def logged(events: list[Event], block: int, now: int) -> list[LoggedEvent]:
    """Events as a chain has them, all in one transaction."""
    found = []
    for index, event in enumerate(events):
        topics, data = log_of(event)
        raw = [bytes.fromhex(topic.removeprefix("0x")) for topic in topics]
        name, arguments = plain_event(raw, bytes.fromhex(data.removeprefix("0x")))
        found.append(
            LoggedEvent(
                name=name,
                arguments=arguments,
                block=block,
                block_hash=f"0x{block:064x}",
                timestamp=now,
                transaction=f"0x{block:063x}f",
                index=index,
            )
        )
    return found
