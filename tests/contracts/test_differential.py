"""The contract on a real chain and a reference in Python play the same random games.

After each move both have accepted it, with the same events, or refused it, with the same error and
arguments; and what the contract's views tell is the reference's state: after each transaction what
should have changed and a sample of the rest, after every twentieth move everything there is. What
is refused is called, and each sixth time sent too: then the root of the contract's storage stays.

``CDISTRIM_DIFFERENTIAL_SEEDS`` says which seeds are played (``7``, ``1-25``), one by default;
``make differential`` plays many. A seed plays the same games each time, so that a difference is met
again with its seed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from cdistrim.protocol import BallotKind
from tests.contracts.game import Difference, Tally, play
from tests.contracts.real import Real
from tests.contracts.reference import Ballot, Campaign, Reference
from tests.reorganising import bare_chain

GAMES = 16
"""Consortia of each seed at least, of 2 to 6 founders."""

STEPS = 200
"""Moves in each of them."""


SEEDS_VARIABLE = "CDISTRIM_DIFFERENTIAL_SEEDS"
"""Which seeds to play, as `make differential` sets it."""


def seeds() -> range:
    """The seeds to play."""
    first, _, last = os.environ.get(SEEDS_VARIABLE, "1").partition("-")
    return range(int(first), int(last or first) + 1)


@pytest.fixture
def real() -> Iterator[Real]:
    with bare_chain() as url:
        contract = Real(url)
        yield contract
        contract.close()


def games(real: Real, seed: int, model: type[Reference] = Reference) -> Tally:
    """Play all games of a seed, and up to as many again until every row and event was seen."""
    tally = Tally()
    for game in range(2 * GAMES):
        if game >= GAMES and not (tally.rows_missing or tally.events_missing):
            break
        play(real, f"{seed}/{game}", 2 + game % 5, STEPS, tally, model)
    return tally


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds())
def test_the_contract_does_what_the_reference_does(real: Real, seed: int) -> None:
    tally = games(real, seed)
    print(f"seed {seed}: {tally}")  # noqa: T201 - shown by `make differential`
    assert tally.rows_missing == []
    assert tally.events_missing == []
    assert len(tally.errors_missing) <= 4, "which of the rare ones are met differs by seed"


# ------------------------------------------------------------------ tests of the test


class ASecondLate(Reference):
    """Takes what comes in the second after a deadline."""

    def _require_in_time(self, deadline: int) -> None:
        super()._require_in_time(deadline + 1)


class RestoresForEver(Reference):
    """Keeps a restore ballot alive when the owner has opened the head."""

    def _void_of(self, campaign: Campaign, *kinds: BallotKind) -> None:
        super()._void_of(campaign, *(kind for kind in kinds if kind is not BallotKind.RESTORE))


class MajorityOnly(Reference):
    """Does not mind how many votes the spec asks for."""

    def _open(self, ballot: Ballot, head: int) -> Ballot:
        ballot.asked = 0
        return super()._open(ballot, head)


class ForgetsJoiners(Reference):
    """Never gives a joiner its vote."""

    def _give_votes(self, campaign: Campaign, dealt: set[str]) -> None:
        super()._give_votes(campaign, dealt & campaign.voters)


WRONG = [ASecondLate, RestoresForEver]
if SEEDS_VARIABLE in os.environ:  # These take longest to be met.
    WRONG += [MajorityOnly, ForgetsJoiners]


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG)
def test_a_reference_with_another_rule_is_noticed(real: Real, wrong: type[Reference]) -> None:
    with pytest.raises(Difference, match=r"(?s)game 1/\d+.*The last moves"):
        games(real, 1, wrong)
