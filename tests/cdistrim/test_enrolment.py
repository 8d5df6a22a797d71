from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from cdistrim.data.cases import SiteData
from cdistrim.enrolment import enrol, join
from cdistrim.errors import ConfigurationError, DataError, IntegrityError, SpecMismatchError
from cdistrim.places import SPECS
from cdistrim.protocol import CampaignState, Mode
from cdistrim.spec import CampaignSpec, DeadlineSpec, GenesisSpec, ModelSpec
from tests.factories import SHAPE, make_cases
from tests.simulated import MODEL, SimulatedConsortium, tiny_spec

Simulate = Callable[..., SimulatedConsortium]


def open_unseen(
    simulated: SimulatedConsortium,
    spec: CampaignSpec,
    genesis_hash: str,
    terms: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """A member opens a campaign by a program of its own, which looks at nothing.

    Args:
        terms: What it puts on the ledger otherwise than in the spec.
    """
    simulated.spec = spec
    simulated.found()
    opener = simulated.site("hospital-1")
    opener.store.put(SPECS, spec.canonical())
    accounts = {member.name: member.account for member in opener.ledger.members()}
    honest: dict[str, Any] = {
        "order": [accounts[name] for name in spec.order],
        "cycles": spec.cycles,
        "quorum": spec.voting.quorum,
        "mode": Mode.HOLDOUT,
        "deadlines": spec.deadlines,
    }
    number, _ = opener.ledger.open_campaign(
        spec_hash=spec.digest(), genesis_hash=bytes.fromhex(genesis_hash), **{**honest, **terms}
    )
    return number


def test_a_site_enrols_once_with_its_cases_and_a_commitment_to_them(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    number = simulated.open_campaign()
    site = simulated.site("hospital-1")

    enrol(site, number)
    enrol(site, number)

    enrolment = simulated.view().enrolment(site.account)
    assert enrolment is not None
    assert (enrolment.cases, enrolment.evaluator) == (48, True)
    assert enrolment.data_commitment != bytes(32)
    assert len(simulated.view().enrolments) == 1


def test_the_last_enrolment_starts_the_campaign(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    number = simulated.open_campaign()

    for name in simulated.names:
        assert simulated.view().state is CampaignState.ENROLLING
        enrol(simulated.site(name), number)

    assert simulated.view().state is CampaignState.RUNNING


def test_a_small_hold_out_enrols_without_the_evaluators_role(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    few = make_cases(9, 15, seed=50, prefix="holdout")
    simulated.data["hospital-2"] = replace(simulated.data["hospital-2"], holdout=few)
    simulated.found()
    number = simulated.open_campaign()

    enrol(simulated.site("hospital-2"), number)

    (enrolment,) = simulated.view().enrolments
    assert not enrolment.evaluator


def test_a_spec_that_the_operator_has_not_approved_is_not_joined(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    number = simulated.open_campaign()
    site = simulated.site("hospital-2")
    site.refuse_spec(simulated.spec.digest())

    with pytest.raises(ConfigurationError, match="has not approved"):
        enrol(site, number)
    assert simulated.view().enrolments == ()


def test_a_site_without_data_does_not_join(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    number = simulated.open_campaign()
    site = simulated.site("hospital-2")
    (site.directory / "data" / "train.npz").unlink()

    with pytest.raises(DataError, match=r"train\.npz"):
        enrol(site, number)
    assert simulated.view().enrolments == ()


@pytest.mark.parametrize("where", ["spec", "ledger", "both"])
def test_a_first_head_that_the_seed_does_not_give_here_is_not_joined(
    simulate: Simulate, where: str
) -> None:
    simulated, wrong = simulate(size=2), "1" * 64
    made = simulated.spec.genesis.weights_hash
    in_spec, on_ledger = (made if where == only else wrong for only in ("ledger", "spec"))
    genesis = GenesisSpec(seed=1, weights_hash=in_spec)
    number = open_unseen(simulated, tiny_spec(simulated.names, genesis=genesis), on_ledger)
    site = simulated.site("hospital-2")

    said = "on the ledger" if where == "ledger" else "spec's genesis.weights_hash"
    with pytest.raises(IntegrityError, match=f"{said} is {wrong}, but seed 1 gives {made}"):
        enrol(site, number)
    assert simulated.view().enrolments == ()


def test_a_model_for_volumes_of_another_shape_is_not_joined(simulate: Simulate) -> None:
    other = (*SHAPE[:2], SHAPE[2] * 2)
    model = ModelSpec(shape=other, width=MODEL.width)
    simulated = simulate(size=2, model=model)
    simulated.found()
    number = simulated.open_campaign()

    with pytest.raises(ConfigurationError) as caught:
        enrol(simulated.site("hospital-2"), number)
    assert str(other) in caught.value.what
    assert str(SHAPE) in caught.value.what
    assert simulated.view().enrolments == ()


def test_whoever_joins_later_is_refused_for_the_same_reasons(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    small = make_cases(12, 12, seed=51, prefix="train", shape=(8, 8, 4))
    held_out = make_cases(12, 12, seed=52, prefix="holdout", shape=(8, 8, 4))
    simulated.data["hospital-3"] = SiteData(small, held_out)
    simulated.found()
    number = simulated.open_campaign()
    for name in simulated.names:
        enrol(simulated.site(name), number)
    assert simulated.view().state is CampaignState.RUNNING

    with pytest.raises(ConfigurationError, match=r"\(8, 8, 4\)"):
        join(simulated.site("hospital-3"), number)


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
