from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim import custody
from cdistrim.capsule import Capsule
from cdistrim.devnet import Devnet
from cdistrim.envelope import new_data_key
from cdistrim.errors import BadDealingError, IntegrityError, SealError
from cdistrim.grants import publish_shares
from cdistrim.messages import Shares
from cdistrim.opening import open_together
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


def test_every_partner_holds_a_share_and_no_partner_opens_a_model_alone(
    accepted: Stepper, head: ModelRecord
) -> None:
    (capsule,) = custody.capsules(accepted.any, 1, head)
    assert set(capsule.holders) == {site.account.lower() for site in accepted.sites.values()}
    assert capsule.threshold == 2
    for site in accepted.sites.values():
        assert custody.own_share(site, 1, head, capsule).index in (1, 2, 3)
        with pytest.raises(SealError, match="too few"):
            open_together([site], 1, head)


def test_as_many_sites_as_the_quorum_open_a_model_together(
    accepted: Stepper, head: ModelRecord
) -> None:
    for pair in itertools.combinations(accepted.sites.values(), 2):
        assert weights_hash(open_together(pair, 1, head)) == head.weights_hash


def test_weights_other_than_the_recorded_ones_are_refused(
    accepted: Stepper, head: ModelRecord
) -> None:
    sites = list(accepted.sites.values())
    with pytest.raises(IntegrityError, match="hash"):
        open_together(sites, 1, replace(head, weights_hash=bytes(32)))


def test_a_whole_model_is_read_once_and_again_when_it_changed(
    accepted: Stepper, head: ModelRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = accepted.sites["hospital-3"]
    where = custody.prefix(site, head.partner, 1, "models", head.name)
    reads: list[bytes] = []
    get = site.store.get

    def counted(prefix: str, digest: bytes, *, limit: int) -> bytes:
        if prefix == where:
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


def test_shares_do_not_open_another_slots_model(accepted: Stepper, head: ModelRecord) -> None:
    with pytest.raises(SealError):
        open_together(list(accepted.sites.values()), 1, replace(head, slot=2))


def test_a_capsule_that_does_not_name_exactly_the_partners_is_a_bad_dealing(
    accepted: Stepper, head: ModelRecord
) -> None:
    site, view = accepted.any, accepted.view()
    context = custody.record_context(site, 1, head)
    keys = {each.account: each.sealing_key for each in site.ledger.members()}
    stranger, some = "0x" + "ee" * 20, dict(list(keys.items())[:2])
    key = new_data_key()
    custody.require_dealing(site, view, Capsule.seal(key, keys, 2, context), context)
    for holders, threshold, why in (
        (keys | {stranger: site.keys.sealing_key.public_bytes}, 3, "no partner"),
        (some, 2, "got no share"),
        (keys, 3, "3 shares open it instead of 2"),
    ):
        capsule = Capsule.seal(key, holders, threshold, context)
        with pytest.raises(BadDealingError, match=why):
            custody.require_dealing(site, view, capsule, context)
    elsewhere = Capsule.seal(key, keys, 2, replace(context, slot=7))
    with pytest.raises(SealError, match="belongs to"):
        custody.require_dealing(site, view, elsewhere, context)


def test_a_share_that_the_dealer_sealed_badly_is_taken_from_what_an_evaluator_published(
    simulate: Simulate,
) -> None:
    steps = after_one_slot(simulate())
    head = steps.any.ledger.model(1, 1)
    victim = steps.sites["hospital-2"]
    (capsule,) = custody.capsules(victim, 1, head)
    right = custody.own_share(victim, 1, head, capsule)
    # What a dealer seals to others nobody else can check; here it sealed junk of the right size.
    holders = dict(capsule.holders)
    mine = holders[victim.account.lower()]
    holders[victim.account.lower()] = mine.model_copy(update={"sealed": bytes(len(mine.sealed))})
    spoiled = capsule.model_copy(update={"holders": holders})
    with pytest.raises(SealError):
        spoiled.open_share(victim.account, victim.keys.opening_keys, capsule.context)
    with pytest.raises(SealError):
        custody.own_share(victim, 1, head, spoiled)

    evaluator = steps.sites["hospital-3"]
    where = steps.place("hospital-3", "shares", head.name)
    (published,) = custody.read_messages(victim, where, Shares)
    again = published.open_share(capsule, evaluator.account, evaluator.keys.opening_keys)
    assert again == custody.own_share(evaluator, 1, head, capsule)
    all_shares = {
        site.account.lower(): custody.own_share(site, 1, head, capsule)
        for site in steps.sites.values()
    }
    publish_shares(evaluator, 1, head, spoiled, all_shares)
    assert custody.own_share(victim, 1, head, spoiled) == right


def test_a_genesis_that_this_machine_makes_differently_is_refused(accepted: Stepper) -> None:
    view = replace(accepted.view(), genesis_hash=bytes(32))
    with pytest.raises(IntegrityError, match=r"on the ledger is 00.*seed 1 gives"):
        custody.open_genesis(accepted.any, view)
