"""Somebody with a stolen disk: a site's whole directory, passphrase included, and the whole store.

After a slot they open neither what the site fetched or evaluated in it nor what it uploaded. A disk
that is copied *during* a slot opens what was granted then, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim.devnet import Devnet
from cdistrim.iteration import IterationSession
from cdistrim.leftovers import clear_when_idle, forget_evaluations
from cdistrim.protocol import ModelRecord, SlotState
from cdistrim.site import Site
from tests.attacks.burglars import Burglar, stolen
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]
VICTIM = "hospital-2"

Opened = dict[str, list[int]]
"""Which slots' models a copy of the victim's disk opens, by the moment it was made in."""


def record_of(session: IterationSession) -> ModelRecord:
    """The slot's candidate."""
    found = session.slot().candidate
    assert found is not None
    return found


@pytest.fixture(scope="module")
def opened(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Three slots, one of them the victim's; its disk is copied again and again."""
    steps = Stepper(SimulatedConsortium(tmp_path_factory.mktemp("disk"), devnet.url, size=3))
    victim, copies = steps.sites[VICTIM], dict[str, Site]()

    def copy(moment: str) -> None:
        copies[moment] = stolen(victim, moment.replace(" ", "-"))

    copy("before all")
    for slot in (1, 2, 3):
        session = steps.grant_fetch()
        copy(f"granted fetch {slot}")
        session.fetch()
        session.lock()
        session.decrypt()
        session.reshare()
        session.train()
        copy(f"training {slot}")
        steps.ask_upload(session)
        copy(f"upload asked {slot}")
        steps.vote()
        assert session.slot().state is SlotState.ACCEPTED
        session.close()
        for site in steps.sites.values():
            clear_when_idle(site)
        copy(f"after slot {slot}")
    store = steps.simulated.consortium.store
    models = [steps.any.ledger.model(1, slot) for slot in (1, 2, 3)]
    return {
        moment: [one.slot for one in models if Burglar(store, [site]).opens(victim, one)]
        for moment, site in copies.items()
    }


@pytest.mark.parametrize("moment", ["before all", *(f"after slot {slot}" for slot in (1, 2, 3))])
def test_between_slots_the_bucket_and_a_stolen_disk_open_nothing(
    opened: Opened, moment: str
) -> None:
    assert opened[moment] == []


@pytest.mark.parametrize(
    ("moment", "models"),
    [
        # As the evaluator of the first slot, by the one-time key that it offered.
        ("granted fetch 1", [1]),
        ("upload asked 1", [1]),
        # As the owner of the second, by the one-time key of its request: the head, never its own.
        ("granted fetch 2", [1]),
        ("training 2", [1]),
        ("upload asked 2", [1]),
        # As the evaluator of the third.
        ("upload asked 3", [3]),
    ],
)
def test_during_a_slot_they_open_what_was_granted_then(
    opened: Opened, moment: str, models: list[int]
) -> None:
    assert opened[moment] == models


def test_two_stolen_disks_of_three_open_everything(after_slots: AfterSlots) -> None:
    """As many as the quorum: what a majority can do, so can whoever robs a majority."""
    steps = after_slots()
    for site in steps.sites.values():
        clear_when_idle(site)
    store, model = steps.simulated.consortium.store, steps.any.ledger.model(1, 1)
    disks = [stolen(site, name) for name, site in steps.sites.items()]
    assert not any(Burglar(store, [disk]).opens(disk, model) for disk in disks)
    assert all(
        Burglar(store, [disk for disk in disks if disk is not left]).opens(left, model)
        for left in disks
    )


def test_an_evaluator_that_was_not_needed_forgets_at_its_next_look_at_the_ledger(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=4))
    session = steps.open_head()
    session.train()
    steps.ask_upload(session)
    outvoted, store = steps.sites.pop("hospital-4"), steps.simulated.consortium.store
    steps.vote()
    assert session.slot().state is SlotState.ACCEPTED
    model = record_of(session)
    assert Burglar(store, [stolen(outvoted, "too-early")]).opens(outvoted, model)

    forget_evaluations(outvoted)  # An agent does, several times an hour.

    assert not Burglar(store, [stolen(outvoted, "later")]).opens(outvoted, model)
    session.close()
