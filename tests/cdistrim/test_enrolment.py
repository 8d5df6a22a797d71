from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.cases import SiteData
from cdistrim.data.prepared import Prepared, put_in_place
from cdistrim.enrolment import enrol, join
from cdistrim.errors import ConfigurationError, DataError, IntegrityError
from cdistrim.model import initial_weights
from cdistrim.protocol import CampaignState
from cdistrim.site import Site
from cdistrim.spec import CampaignSpec, FeatureSpec, GenesisSpec, ModelSpec, PreprocessingSpec
from cdistrim.weights import weights_hash
from tests.cli.command_line import call
from tests.factories import SHAPE, make_cases, make_rows, make_site_data
from tests.prepared_sites import rows_for, tabular, write_table
from tests.simulated import REPORTED, SimulatedConsortium, open_unseen, tiny_spec

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
    simulated = simulate(size=2)
    simulated.data["hospital-2"] = make_site_data(seed=9, shape=other)
    simulated.found()
    number = simulated.open_campaign()

    with pytest.raises(ConfigurationError) as caught:
        enrol(simulated.site("hospital-2"), number)
    assert str(other) in caught.value.what
    assert str(SHAPE) in caught.value.what
    assert simulated.view().enrolments == ()


def _prepare_as(site: Site, preprocessing: PreprocessingSpec) -> None:
    """Let a site's sets be some that were made in this way."""
    sets, data = site.data, site.directory / "data"
    for name in ("train.npz", "holdout.npz", "prepared.json"):
        (data / name).unlink(missing_ok=True)
    prepared = Prepared(
        built=1,
        source="nifti",
        shape=sets.train.shape,
        preprocessing=preprocessing,
        train=sets.train.counts(),
        holdout=sets.holdout.counts(),
        excluded={},
        train_digest=sets.train.digest().hex(),
        holdout_digest=sets.holdout.digest().hex(),
    )
    put_in_place(data, sets.train, sets.holdout, prepared)


def test_volumes_made_in_another_way_than_agreed_neither_open_a_campaign_nor_enrol(
    simulate: Simulate,
) -> None:
    agreed = PreprocessingSpec(crop="fixed", field_of_view_mm=(48.0, 48.0, 48.0))
    other = agreed.model_copy(update={"window": (-1000.0, 399.0)})
    simulated = simulate(size=2, preprocessing=agreed)
    simulated.found()
    opener, site = (simulated.site(name) for name in simulated.names)

    with pytest.raises(ConfigurationError, match="nothing says how"):
        simulated.open_campaign()
    _prepare_as(opener, agreed)
    number = simulated.open_campaign()
    with pytest.raises(ConfigurationError, match="nothing says how"):
        enrol(site, number)
    _prepare_as(site, other)
    with pytest.raises(ConfigurationError, match=r"400.*399"):
        enrol(site, number)
    assert simulated.view().enrolments == ()

    _prepare_as(site, agreed)
    enrol(site, number)
    (enrolment,) = simulated.view().enrolments
    assert enrolment.cases == len(site.data.train)


def _take_cases_from(site: Site, data: dict[str, object]) -> None:
    """Let a site's settings name a source of cases, in the place of sets made by hand."""
    settings = json.loads((site.directory / "site.json").read_text())
    (site.directory / "site.json").write_text(json.dumps(settings | {"data": data}))
    for name in ("train.npz", "holdout.npz"):
        (site.directory / "data" / name).unlink()


def test_a_site_makes_its_rows_as_the_spec_on_the_ledger_says(
    simulate: Simulate, tmp_path: Path
) -> None:
    """Its own centre and scale are others; with the campaign's it enrols."""
    agreed = (FeatureSpec(name="volume", scale=2.0), FeatureSpec(name="age", centre=55.0))
    model = ModelSpec(architecture="mlp", shape=(2, 1, 1), width=8)
    genesis = GenesisSpec(seed=1, weights_hash=weights_hash(initial_weights(model, 1)).hex())
    simulated = simulate(size=2, model=model, features=agreed, genesis=genesis)
    rows = SiteData(make_rows((9, 9), features=2), make_rows((9, 9), seed=1, features=2))
    simulated.data = dict.fromkeys(simulated.names, rows)
    simulated.found()
    for name in simulated.names:
        table = write_table(tmp_path / f"{name}.csv", rows_for([f"{name}-{n}" for n in range(90)]))
        _take_cases_from(simulated.site(name), tabular(table))
    opener = simulated.site("hospital-1")
    assert (
        call("data", "prepare", opener.directory, "--spec", _written(simulated.spec, tmp_path)).code
        == 0
    )
    number = simulated.open_campaign()

    joiner = simulated.site("hospital-2").directory
    own = call("data", "prepare", joiner)
    assert own.code == 0, own.err
    with pytest.raises(ConfigurationError, match=r"rows of \(age - 60\) / 10, \(volume - 0\) / 1"):
        enrol(simulated.site("hospital-2"), number)
    told = call("data", "check", joiner, "--campaign", number)
    assert "of other features" in told.out, told.err
    made = call("data", "prepare", joiner, "--campaign", number)
    assert made.code == 0, made.err

    enrol(simulated.site("hospital-2"), number)
    (enrolment,) = simulated.view().enrolments
    assert enrolment.cases == 72


def _written(spec: CampaignSpec, directory: Path) -> Path:
    path = directory / "spec.json"
    path.write_bytes(spec.canonical())
    return path


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


def test_in_mode_reported_a_site_without_the_validation_set_does_not_enrol(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=2, voting=REPORTED)
    name = simulated.names[1]
    simulated.data[name] = replace(simulated.data[name], validation=None)
    simulated.found()
    number = simulated.open_campaign()

    with pytest.raises(DataError, match="no agreed validation set"):
        enrol(simulated.site(name), number)

    assert not simulated.view().enrolments


@pytest.mark.parametrize("part", ["train", "holdout"])
def test_a_site_whose_first_turn_would_fail_for_want_of_a_class_does_not_enrol(
    simulate: Simulate, part: str
) -> None:
    simulated = simulate(size=2)
    name = simulated.names[1]
    cases = getattr(simulated.data[name], part)
    few = np.flatnonzero(cases.labels == 1)[1:]
    labels = cases.labels.copy()
    labels[few] = 0
    simulated.data[name] = replace(simulated.data[name], **{part: replace(cases, labels=labels)})
    simulated.found()
    number = simulated.open_campaign()

    with pytest.raises(DataError, match="1 of class 1; at least 2 of each"):
        enrol(simulated.site(name), number)
