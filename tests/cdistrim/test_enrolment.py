from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim.enrolment import enrol
from cdistrim.errors import ConfigurationError, DataError
from cdistrim.protocol import CampaignState
from tests.factories import make_cases
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]


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
