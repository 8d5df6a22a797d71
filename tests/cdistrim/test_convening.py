from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from cdistrim.convening import SPEC_FILE, convene, open_campaign
from cdistrim.errors import ConfigurationError, IntegrityError
from cdistrim.spec import GenesisSpec
from tests.simulated import SimulatedConsortium, tiny_spec

Simulate = Callable[..., SimulatedConsortium]


def test_an_opened_campaign_has_its_spec_in_the_store_and_its_hash_on_the_ledger(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=2)
    simulated.found()
    site = simulated.site("hospital-1")

    number = open_campaign(site, simulated.spec)

    view = site.ledger.campaign(number)
    assert view.spec_hash == simulated.spec.digest()
    assert simulated.site("hospital-2").spec(view) == simulated.spec


def test_a_campaign_of_strangers_is_not_opened(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    site = simulated.site("hospital-1")
    spec = simulated.spec.model_copy(update={"order": ("hospital-1", "hospital-9")})

    with pytest.raises(ConfigurationError, match="hospital-9"):
        open_campaign(site, spec)
    assert site.ledger.campaigns() == 0


def test_who_opens_a_campaign_for_another_shape_than_its_own_is_told(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    site = simulated.site("hospital-1")
    model = simulated.spec.model.model_copy(update={"shape": (8, 16, 16)})
    spec = simulated.spec.model_copy(update={"model": model})

    with pytest.raises(ConfigurationError, match=r"for volumes of shape \(8, 16, 16\)"):
        open_campaign(site, spec)
    assert site.ledger.campaigns() == 0
    # It may have its cases later: then enrolment looks.
    shutil.rmtree(site.directory / "data")
    assert open_campaign(site, simulated.spec) == 1


def test_convening_opens_what_the_sites_own_operator_wrote_and_only_once(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=2)
    simulated.found()
    site = simulated.site("hospital-1")
    with pytest.raises(ConfigurationError, match=SPEC_FILE):
        convene(site, 1)
    (site.directory / SPEC_FILE).write_bytes(simulated.spec.canonical())

    assert [convene(site, 1), convene(site, 1)] == [1, 1]
    assert site.ledger.campaigns() == 1


@pytest.mark.parametrize("said", ["0" * 64, "1" * 64])
def test_a_first_head_that_the_seed_does_not_give_is_not_opened(
    simulate: Simulate, said: str
) -> None:
    simulated = simulate(size=2)
    made = simulated.spec.genesis.weights_hash
    simulated.spec = tiny_spec(simulated.names, genesis=GenesisSpec(seed=1, weights_hash=said))
    simulated.found()
    site = simulated.site("hospital-1")

    with pytest.raises(IntegrityError, match=f"{said}, but seed 1 gives {made} on this machine"):
        open_campaign(site, simulated.spec)

    assert site.ledger.campaigns() == 0
    assert not (simulated.consortium.store / "specs" / simulated.spec.digest().hex()).exists()


def test_a_spec_at_the_site_that_is_no_file_is_named(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    site = simulated.site("hospital-1")
    (site.directory / SPEC_FILE).symlink_to("/dev/zero")

    with pytest.raises(ConfigurationError, match=rf"{SPEC_FILE} can't be read: .*no regular file"):
        convene(site, 1)


def test_a_campaign_number_can_not_be_skipped(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    simulated.found()
    with pytest.raises(ConfigurationError, match="The next one is 1"):
        convene(simulated.site("hospital-1"), 5)
