from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim import custody
from cdistrim.devnet import Devnet
from cdistrim.errors import CDistriMError, IntegrityError, SealError
from cdistrim.protocol import ModelRecord
from cdistrim.weights import weights_hash
from tests.factories import make_cases
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


def after_one_slot(simulated: SimulatedConsortium) -> Stepper:
    """Slot 1 is accepted; hospital-2, whose hold-out is too small to evaluate, is next."""
    few = make_cases(9, 9, seed=60, prefix="few")
    simulated.data["hospital-2"] = replace(simulated.data["hospital-2"], holdout=few)
    steps = Stepper(simulated)
    steps.accept()
    return steps


@pytest.fixture(scope="module")
def accepted(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    """Slot 1 is accepted; to be looked at only."""
    return after_one_slot(SimulatedConsortium(tmp_path_factory.mktemp("accepted"), devnet.url))


@pytest.fixture
def head(accepted: Stepper) -> ModelRecord:
    """The head's record."""
    return accepted.any.ledger.model(accepted.campaign, 1)


def test_custodians_open_a_model_and_nobody_else_does(accepted: Stepper, head: ModelRecord) -> None:
    for name in ("hospital-1", "hospital-3"):
        weights = custody.open_as_custodian(accepted.sites[name], 1, head)
        assert weights_hash(weights) == head.weights_hash
    with pytest.raises(SealError):
        custody.open_as_custodian(accepted.sites["hospital-2"], 1, head)


def test_weights_other_than_the_recorded_ones_are_refused(
    accepted: Stepper, head: ModelRecord
) -> None:
    with pytest.raises(IntegrityError, match="hash"):
        custody.open_as_custodian(accepted.any, 1, replace(head, weights_hash=bytes(32)))


def test_a_whole_model_is_read_once_and_again_when_it_changed(
    accepted: Stepper, head: ModelRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = accepted.sites["hospital-3"]
    where = custody.prefix(site, 1, "models", head.name)
    reads: list[bytes] = []
    get = site.store.get

    def counted(prefix: str, digest: bytes, *, limit: int) -> bytes:
        reads.append(digest)
        return get(prefix, digest, limit=limit)

    monkeypatch.setattr(site.store, "get", counted)
    custody.see_whole(site, 1, head)
    reads.clear()
    custody.see_whole(site, 1, head)
    assert reads == []

    (path,) = (accepted.simulated.consortium.store / where).iterdir()
    path.touch()
    custody.see_whole(site, 1, head)
    custody.see_whole(site, 1, head)
    assert reads == [head.ciphertext_hash]


def test_a_key_does_not_open_another_slots_model(accepted: Stepper, head: ModelRecord) -> None:
    with pytest.raises(SealError):
        custody.open_as_custodian(accepted.any, 1, replace(head, slot=2))


def test_a_genesis_that_this_machine_makes_differently_is_refused(accepted: Stepper) -> None:
    view = replace(accepted.view(), genesis_hash=bytes(32))
    with pytest.raises(IntegrityError, match="Seed 1"):
        custody.open_genesis(accepted.any, view)


def test_a_key_is_released_after_the_grant_only_and_opens_the_head_in_its_slot(
    simulate: Simulate,
) -> None:
    steps = after_one_slot(simulate())
    session = steps.session()
    assert steps.release() == []
    session.request_token()
    assert steps.release() == []
    steps.vote()
    session.fetch()
    session.lock()
    with pytest.raises(SealError, match="No custodian has released"):
        session.decrypt()

    assert steps.release() == ["hospital-1", "hospital-3"]
    assert steps.release() == []
    session.decrypt()

    assert session.head is not None
    assert weights_hash(session.head) == steps.any.ledger.model(1, 1).weights_hash
    session.close()


def test_a_junk_release_is_passed_over_and_noted(simulate: Simulate) -> None:
    steps = after_one_slot(simulate())
    session = steps.session()
    session.request_token()
    steps.vote()
    where = custody.prefix(steps.any, 1, "releases", f"2-{session.ref.attempt}", "0x0")
    steps.any.store.put(where, b"junk")
    steps.release()

    session.fetch()
    session.lock()
    session.decrypt()

    assert session.head is not None
    assert "does not open" in (session.site.directory / "log" / "site.log").read_text()
    session.close()


def test_the_one_time_key_survives_a_restart_is_shut_to_others_and_goes_with_its_slot(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=2))
    owner, ref = steps.owner(), steps.session().ref
    first = custody.request_key(owner, ref.campaign, ref.slot, ref.attempt)
    again = custody.request_key(
        steps.simulated.site(owner.name), ref.campaign, ref.slot, ref.attempt
    )
    (path,) = owner.work.glob("*.key")

    assert first.public_bytes == again.public_bytes
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(CDistriMError):
        steps.sites["hospital-2"].keys.open_one_time_key(path.read_bytes())
    steps.accept()
    assert not path.exists()
