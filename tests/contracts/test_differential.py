"""The contract on a real chain and a reference in Python play the same random games.

After each move both have accepted it, with the same events, or refused it, with the same error and
arguments; and what the contract's views tell is the reference's state: after each move what should
have changed and a sample of the rest, after every twentieth everything there is. What is refused
is called, and sometimes sent too: then the root of the contract's storage has to stay.

``CDISTRIM_DIFFERENTIAL_SEEDS`` says which seeds are played (``7``, ``1-32``), one by default;
``make differential`` plays many. A seed plays the same games each time, so a difference is found
again with its seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cdistrim.protocol import TRANSITIONS
from tests.contracts.game import Tally, play
from tests.contracts.real import Real, abi_of
from tests.reorganising import bare_chain

STEPS = 4_000
"""Of each seed."""

GAME = 200
"""Steps of one consortium."""


def seeds() -> range:
    """The seeds to play."""
    first, _, last = os.environ.get("CDISTRIM_DIFFERENTIAL_SEEDS", "1").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.fixture
def real() -> Iterator[Real]:
    with bare_chain() as url:
        contract = Real(url)
        yield contract
        contract.close()


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds())
def test_the_contract_does_what_the_reference_does(real: Real, seed: int) -> None:
    tally = Tally()
    for game in range(STEPS // GAME):
        play(real, f"{seed}/{game}", 2 + game % 5, GAME, tally)
    silent = sorted(abi_of("error").keys() - tally.errors.keys())
    untold = sorted(abi_of("event").keys() - tally.events.keys())
    untaken = [row for row in TRANSITIONS if not tally.rows[row]]
    print(  # noqa: T201 - the figures of this test
        f"seed {seed}: {tally.steps} steps, {tally.accepted} accepted, {tally.refused} refused; "
        f"{len(TRANSITIONS) - len(untaken)} of {len(TRANSITIONS)} rows taken; errors never met: "
        f"{', '.join(silent) or 'none'}; events never told: {', '.join(untold) or 'none'}",
        dict(tally.errors),
        dict(tally.events),
        [(f"{r.source.name} {r.event.name}", n) for r, n in tally.rows.items()],
        dict(tally.functions),
        untaken,
    )
    assert not untaken
    assert len(silent) <= 3
    assert not untold
