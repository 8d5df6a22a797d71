"""A trainer as the dealer of its model's key: shares that don't do what the protocol asks.

In mode ``holdout`` evaluators check the dealing before they vote. In mode ``reported`` nobody can
before the model is the head: there a bad dealing is named, and survived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cdistrim import custody
from cdistrim.capsule import Capsule
from cdistrim.envelope import Context, DataKey, new_data_key
from cdistrim.errors import NotReleasedError, SealError, UnopenableHeadError
from cdistrim.iteration import IterationSession
from cdistrim.opening import open_together
from cdistrim.protocol import SkipReason, SlotState
from cdistrim.resharing import due_for_resharing
from cdistrim.restore import ask_restore, close_if_expired
from cdistrim.sealing import SealingKey
from cdistrim.spec import DeadlineSpec
from cdistrim.weights import weights_hash
from tests.attacks.cheats import Dealing, dealt_honestly, deposit_dealt, trained
from tests.factories import make_cases
from tests.simulated import REPORTED, SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]
STRANGER = "0x" + "ee" * 20


def keys_of(session: IterationSession) -> dict[str, bytes]:
    """Public sealing keys of all members, by account in lower case."""
    members = session.site.ledger.members()
    return {member.account.lower(): member.sealing_key for member in members}


def junk_to_others(session: IterationSession, key: DataKey, context: Context) -> Capsule:
    """The digests are right, what is sealed to the others is no share."""
    capsule = dealt_honestly(session, key, context)
    junk = {
        account: sealed.model_copy(update={"sealed": bytes(len(sealed.sealed))})
        for account, sealed in capsule.holders.items()
        if account != session.site.account.lower()
    }
    return capsule.model_copy(update={"holders": {**capsule.holders, **junk}})


def of_another_key(session: IterationSession, key: DataKey, context: Context) -> Capsule:  # noqa: ARG001
    """Consistent shares that open nothing."""
    return dealt_honestly(session, new_data_key(), context)


def lower_threshold(session: IterationSession, key: DataKey, context: Context) -> Capsule:
    """Two open it, and the capsule says so."""
    return Capsule.seal(key, keys_of(session), 2, context)


def hidden_threshold(session: IterationSession, key: DataKey, context: Context) -> Capsule:
    """Two open it, and the capsule says three."""
    capsule = Capsule.seal(key, keys_of(session), 2, context)
    return capsule.model_copy(update={"threshold": 3})


def without(name: str) -> Dealing:
    """One partner gets nothing."""

    def deal(session: IterationSession, key: DataKey, context: Context) -> Capsule:
        members = session.site.ledger.members()
        (left_out,) = (member.account.lower() for member in members if member.name == name)
        keys = keys_of(session)
        del keys[left_out]
        return Capsule.seal(key, keys, 2, context)

    return deal


def with_a_stranger(session: IterationSession, key: DataKey, context: Context) -> Capsule:
    """Somebody who is no partner gets a share."""
    keys = keys_of(session) | {STRANGER: SealingKey.generate().public_bytes}
    return Capsule.seal(key, keys, custody.threshold_of(session.view(), len(keys)), context)


# --- holdout: voted down --------------------------------------------------------------------------


def asked(steps: Stepper, deal: Dealing) -> IterationSession:
    """The first candidate, dealt so, waits for votes."""
    session = trained(steps)
    session.evaluate()
    deposit_dealt(session, deal)
    session.request_upload()
    session.release_weights()
    return session


@pytest.mark.parametrize(
    ("deal", "why"),
    [
        (junk_to_others, "BadDealingError"),
        (of_another_key, "BadDealingError"),
        (lower_threshold, "BadDealingError"),
        (hidden_threshold, "BadDealingError"),
        (without("hospital-2"), "BadDealingError"),
        (with_a_stranger, "BadDealingError"),
        (dealt_honestly, ""),
    ],
)
def test_evaluators_vote_a_bad_dealing_down(simulate: Simulate, deal: Dealing, why: str) -> None:
    steps = Stepper(simulate(size=4))
    session = asked(steps, deal)

    answers = steps.vote()

    slot, store = session.slot(), steps.simulated.consortium.store
    if not why:
        assert slot.state is SlotState.ACCEPTED
        assert list(store.rglob("shares"))
    else:
        assert (slot.state, slot.skip_reason) == (SlotState.SKIPPED, SkipReason.DEGRADED)
        assert all(why in answer.sentence for answer in answers if not answer.approve)
        assert not any(answer.approve for answer in answers)
        assert not list(store.rglob("shares"))
    session.close()


def test_junk_that_only_who_does_not_evaluate_could_see_does_no_harm(simulate: Simulate) -> None:
    simulated = simulate(size=3)
    few = make_cases(9, 9, seed=60, prefix="few")
    simulated.data["hospital-2"] = replace(simulated.data["hospital-2"], holdout=few)
    steps = Stepper(simulated)
    victim = steps.sites["hospital-2"]

    def junk_to_victim(session: IterationSession, key: DataKey, context: Context) -> Capsule:
        capsule, spoiled = (
            dealt_honestly(session, key, context),
            junk_to_others(session, key, context).holders[victim.account.lower()].sealed,
        )
        mine = capsule.holders[victim.account.lower()].model_copy(update={"sealed": spoiled})
        holders = {**capsule.holders, victim.account.lower(): mine}
        return capsule.model_copy(update={"holders": holders})

    session = asked(steps, junk_to_victim)
    steps.vote()
    assert session.slot().state is SlotState.ACCEPTED
    session.close()
    head = steps.any.ledger.model(1, 1)
    (capsule,) = custody.capsules(victim, 1, head)
    with pytest.raises(SealError):
        capsule.open_share(victim.account, victim.keys.opening_keys, capsule.context)

    assert len(steps.published_shares(head.name)) == 1
    others = [victim, steps.sites["hospital-3"]]
    assert weights_hash(open_together(others, 1, head)) == head.weights_hash


# --- reported: named and survived -----------------------------------------------------------------


def confirmed(steps: Stepper, deal: Dealing) -> None:
    """The first model, dealt so, is the head; its trainer does nothing from now on."""
    session = trained(steps)
    session.evaluate()
    session.request_upload()
    steps.vote()
    deposit_dealt(session, deal)
    session.confirm()
    session.close()
    assert steps.view().head == 1
    steps.sites.pop("hospital-1")


def fails_to_open(steps: Stepper, why: str) -> IterationSession:
    """The open slot's owner is granted the head, can't open it, and says why."""
    session = steps.ask_fetch()
    steps.release()
    session.fetch()
    session.lock()
    with pytest.raises((UnopenableHeadError, NotReleasedError), match=why):
        session.decrypt()
    steps.simulated.travel(DeadlineSpec().opening // 2 + 5)
    assert session.head is None
    assert ask_restore(session.site, session.ref)
    steps.answer_requests()
    session.close()
    return session


def test_in_reported_mode_an_honest_dealing_opens(simulate: Simulate) -> None:
    """The control of those that follow."""
    steps = Stepper(simulate(size=3, voting=REPORTED))
    confirmed(steps, dealt_honestly)
    session = steps.open_head()
    assert session.head is not None
    session.close()


def test_in_reported_mode_junk_is_left_by_those_who_got_it(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=3, voting=REPORTED))
    confirmed(steps, junk_to_others)
    fails_to_open(steps, "0 good shares")
    assert steps.view().head == 0


@pytest.mark.parametrize("left_out", ["hospital-2", "hospital-3"])
def test_in_reported_mode_a_head_without_enough_holders_is_left_when_too_few_release(
    simulate: Simulate, left_out: str
) -> None:
    steps = Stepper(simulate(size=3, voting=REPORTED))
    confirmed(steps, without(left_out))
    fails_to_open(steps, "1 good share ")
    assert steps.view().head == 0


def test_in_reported_mode_shares_of_another_key_name_the_dealer_and_are_left_after_two_turns(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3, voting=REPORTED))
    dealer = steps.sites["hospital-1"].account
    confirmed(steps, of_another_key)
    first = fails_to_open(steps, f"{dealer} dealt badly")
    # Shares fit the capsule: only who tried to open the model has seen that they are no use.
    assert steps.view().head == 1
    steps.simulated.travel(DeadlineSpec().opening + 1)
    assert close_if_expired(steps.any, first.ref)
    fails_to_open(steps, f"{dealer} dealt badly")
    assert steps.view().head == 0


@pytest.mark.parametrize("deal", [with_a_stranger, lower_threshold])
def test_in_reported_mode_a_wrong_set_of_holders_is_seen_and_the_key_is_shared_anew(
    simulate: Simulate, deal: Dealing
) -> None:
    steps = Stepper(simulate(size=4, voting=REPORTED))
    accounts = {site.account.lower() for site in steps.sites.values()}
    confirmed(steps, deal)
    head = steps.any.ledger.model(1, 1)
    assert due_for_resharing(steps.any, steps.view()) == [head]

    steps.open_head().close()

    newest = next(custody.capsules(steps.any, 1, head))
    assert (set(newest.holders), newest.threshold) == (accounts, 3)
    assert due_for_resharing(steps.any, steps.view()) == []
