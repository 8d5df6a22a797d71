"""Whoever opens a campaign puts no other terms on the ledger than those that sites approved.

The contract goes by the ledger's terms, an operator by the spec, whose hash the ledger has, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cdistrim.enrolment import enrol
from cdistrim.errors import SpecMismatchError
from cdistrim.protocol import Mode
from cdistrim.spec import DeadlineSpec
from tests.simulated import SimulatedConsortium, open_unseen, tiny_spec

Simulate = Callable[..., SimulatedConsortium]


@pytest.mark.parametrize(
    ("told", "terms"),
    [
        ("cycles: 2 on the ledger, 1 in the spec", {"cycles": 2}),
        ("the quorum: 3 on the ledger, 0 in the spec", {"quorum": 3}),
        ("the mode: reported on the ledger, holdout in the spec", {"mode": Mode.REPORTED}),
        ("seconds for training: 60 on the ledger, ", {"deadlines": DeadlineSpec(training=60)}),
    ],
)
def test_a_campaign_on_other_terms_than_its_spec_is_not_enrolled_in(
    simulate: Simulate, told: str, terms: dict[str, Any]
) -> None:
    """The operator has approved the spec, by its hash; the contract goes by the ledger's terms."""
    simulated = simulate(size=3)
    spec = tiny_spec(simulated.names)
    number = open_unseen(simulated, spec, spec.genesis.weights_hash, terms)
    site = simulated.site("hospital-2")
    site.approve_spec(spec.digest())

    with pytest.raises(SpecMismatchError, match=told):
        enrol(site, number)

    assert not simulated.view().enrolments


def test_a_campaign_in_another_order_than_its_specs_is_not_enrolled_in(simulate: Simulate) -> None:
    simulated = simulate(size=3)
    spec = tiny_spec(simulated.names)
    simulated.found()
    members = {each.name: each.account for each in simulated.site("hospital-1").ledger.members()}
    order = [members[name] for name in ("hospital-1", "hospital-3", "hospital-2")]
    number = open_unseen(simulated, spec, spec.genesis.weights_hash, {"order": order})
    site = simulated.site("hospital-2")
    site.approve_spec(spec.digest())

    with pytest.raises(SpecMismatchError, match="hospital-1, hospital-3, hospital-2 on the ledger"):
        enrol(site, number)


def test_a_campaign_on_its_specs_terms_is_enrolled_in(simulate: Simulate) -> None:
    simulated = simulate(size=3)
    spec = tiny_spec(simulated.names)
    number = open_unseen(simulated, spec, spec.genesis.weights_hash)
    site = simulated.site("hospital-2")
    site.approve_spec(spec.digest())

    enrol(site, number)

    assert [each.name for each in simulated.view().enrolments] == ["hospital-2"]
