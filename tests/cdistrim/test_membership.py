"""Members come, go, and replace their keys: who can open what then, and what has to wait."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim import custody
from cdistrim.backup import back_up
from cdistrim.capsule import Capsule
from cdistrim.enrolment import join
from cdistrim.envelope import DataKey
from cdistrim.errors import BadDealingError, SealError, UsageError, WaitingError
from cdistrim.membership import answer_proposal, member_named, open_proposal
from cdistrim.opening import open_together, place_of_slot
from cdistrim.policy import KEY_REST_S
from cdistrim.protocol import SkipReason, SlotState
from cdistrim.recoverability import Doubt, recoverability_of, stranded
from cdistrim.releasing import release_share
from cdistrim.resharing import due_for_resharing
from cdistrim.rotation import Rotation, publish_after_loss, rotate
from cdistrim.site import Site
from cdistrim.site_keys import prepare_next_key
from cdistrim.voting import answer_ballot
from cdistrim.weights import weights_hash
from tests.factories import make_site_data
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper, junk_release

pytestmark = pytest.mark.usefixtures("rights_by_prefix")

Simulate = Callable[..., SimulatedConsortium]


def reopened(steps: Stepper, name: str) -> Site:
    """The same site in a new process: it reads its key files again."""
    steps.sites[name] = Site(steps.sites[name].directory)
    return steps.sites[name]


def rested(steps: Stepper) -> None:
    """Time passes until nobody has replaced its key moments ago."""
    steps.simulated.travel(KEY_REST_S + 1)


def joined(steps: Stepper, name: str) -> Site:
    """A new hospital that is a partner of the running campaign."""
    site = steps.admit(name, make_site_data(seed=40))
    assert join(site, steps.campaign)
    steps.answer_requests()
    assert steps.view().enrolment(site.account) is not None
    steps.sites[name] = site
    assert not join(site, steps.campaign)
    return site


def holders(steps: Stepper, slot: int) -> set[str]:
    """Names of who holds shares by the newest capsule of a model."""
    site = steps.any
    newest = next(custody.capsules(site, 1, site.ledger.model(1, slot)))
    names = {each.account.lower(): name for name, each in steps.sites.items()}
    return {names.get(account, account) for account in newest.holders}


# --- joiners --------------------------------------------------------------------------------------


def test_a_joiner_votes_once_a_head_was_dealt_to_it_and_holds_shares_of_ancestors_too(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(cycles=2)
    late = joined(steps, "hospital-4")
    enrolment = steps.view().enrolment(late.account)
    assert enrolment is not None
    assert not enrolment.voter
    assert "hospital-4" not in holders(steps, 1)
    assert [one.name for one in due_for_resharing(steps.any, steps.view())] == ["hospital-1-1"]

    # The open slot was there before it joined: its candidate need not be dealt to it, but is.
    steps.accept()
    assert "hospital-4" in holders(steps, 2)
    assert "hospital-4" in holders(steps, 1)
    assert not due_for_resharing(late, steps.view())
    steps.accept()

    enrolment = steps.view().enrolment(late.account)
    assert enrolment is not None
    assert enrolment.voter
    newest = next(custody.capsules(late, 1, late.ledger.model(1, 1)))
    assert newest.threshold == 3
    steps.accept()
    fourth = late.ledger.slot(1, 4)
    assert (fourth.owner, fourth.state) == (late.account, SlotState.ACCEPTED)


def test_a_candidate_that_is_not_dealt_to_a_joiner_who_will_vote_is_voted_down(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(cycles=2)
    late = joined(steps, "hospital-4")
    steps.accept()  # From now on the joiner is among those to whom the next candidate is dealt.
    session = steps.open_head()
    session.train()
    session.evaluate()
    session.encrypt()
    assert session._sealed is not None
    capsule = Capsule.parse(session._sealed.capsule)
    keys = {
        each.account: each.sealing_key
        for each in late.ledger.members()
        if each.account != late.account
    }
    assert late.ledger.dealt(1) == {late.account}
    key = DataKey(bytes(32))
    without = Capsule.seal(key, keys, 2, capsule.context)
    with pytest.raises(BadDealingError, match="got no share"):
        custody.require_dealing(late, steps.view(), without, capsule.context)
    session.close()


# --- rotation and loss ----------------------------------------------------------------------------


def test_a_replaced_key_goes_on_opening_what_was_sealed_to_it_before(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(cycles=2)
    head = steps.any.ledger.model(1, 1)
    rotating = steps.sites["hospital-3"]
    before = rotating.keys.sealing_key.public_bytes
    assert rotate(rotating) is Rotation.REPLACED
    rotating = reopened(steps, "hospital-3")
    assert rotating.keys.sealing_key.public_bytes != before
    assert [key.public_bytes for key in rotating.keys.former_keys] == [before]
    member = member_named(rotating, "hospital-3")
    assert member.sealing_key == rotating.keys.sealing_key.public_bytes
    assert member.key_replaced

    (capsule,) = custody.capsules(rotating, 1, head)
    assert custody.own_share(rotating, 1, head, capsule).index > 0
    steps.accept()  # Its share is sealed to the new key from now on, that of the ancestor too.
    newest = next(custody.capsules(rotating, 1, head))
    share = newest.open_share(rotating.account, [rotating.keys.sealing_key], newest.context)
    assert share.index > 0


@pytest.mark.parametrize("killed", ["before", "after"])
def test_a_rotation_that_was_killed_is_finished_by_another_one(
    simulate: Simulate, killed: str
) -> None:
    steps = Stepper(simulate(size=2))
    site = steps.sites["hospital-2"]
    before = site.keys.sealing_key.public_bytes
    coming = prepare_next_key(site.directory / "keys", site.passphrase())
    if killed == "after":
        site.ledger.publish_key(sealing_key=coming.public_bytes)
    # The process died here. What is sealed to either key opens meanwhile.
    between = reopened(steps, "hospital-2")
    assert {key.public_bytes for key in between.keys.opening_keys} == {before, coming.public_bytes}

    done = rotate(between)

    assert done is (Rotation.FINISHED if killed == "after" else Rotation.REPLACED)
    after = reopened(steps, "hospital-2")
    assert after.keys.sealing_key.public_bytes == coming.public_bytes
    assert not (site.directory / "keys" / "next.key").exists()
    assert member_named(after, "hospital-2").sealing_key == coming.public_bytes


def test_who_has_just_replaced_its_key_is_granted_nothing_for_a_while(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    rotate(steps.sites["hospital-1"])
    reopened(steps, "hospital-1")
    session = steps.session()
    assert session.site.name == "hospital-1"
    session.request_token()
    answer = answer_ballot(steps.sites["hospital-2"], steps.view())
    assert answer is not None
    assert "rotated moments ago" in answer.sentence
    assert steps.simulated.slots()[0].skip_reason is SkipReason.FETCH_REFUSED
    session.close()


def test_a_lost_key_counts_as_a_fault_until_keys_are_shared_anew(after_slots: AfterSlots) -> None:
    steps = after_slots(cycles=2)
    head = steps.any.ledger.model(1, 1)
    keys = steps.sites["hospital-3"].directory / "keys"
    (keys / "sealing.key").unlink()
    unlucky = reopened(steps, "hospital-3")
    assert publish_after_loss(unlucky) is Rotation.PUBLISHED
    unlucky = reopened(steps, "hospital-3")
    (capsule,) = custody.capsules(unlucky, 1, head)
    with pytest.raises(SealError):
        custody.own_share(unlucky, 1, head, capsule)
    (seen,) = recoverability_of(steps.any, steps.view())
    assert seen.doubts == {unlucky.account.lower(): Doubt.FORMER_KEY}
    assert seen.spare == 0  # Two of two sure ones are needed: the doctor warns.
    rested(steps)

    steps.accept()

    newest = next(custody.capsules(unlucky, 1, head))
    assert custody.own_share(unlucky, 1, head, newest).index > 0
    assert all(one.spare == 1 for one in recoverability_of(steps.any, steps.view()))


def test_a_lost_key_that_turns_up_again_opens_its_shares_as_a_former_one(
    after_slots: AfterSlots,
) -> None:
    """As docs/keys.md has it."""
    steps = after_slots()
    head = steps.any.ledger.model(1, 1)
    keys = steps.sites["hospital-3"].directory / "keys"
    kept = keys.parent / "found-on-an-old-disk"
    (keys / "sealing.key").rename(kept)
    publish_after_loss(reopened(steps, "hospital-3"))
    (capsule,) = custody.capsules(steps.any, 1, head)

    former = keys / "former-0000000000000001.key"
    kept.rename(former)
    former.chmod(0o600)

    site = reopened(steps, "hospital-3")
    assert custody.own_share(site, 1, head, capsule).index > 0
    assert site.keys.sealing_key.public_bytes == site.ledger.members()[2].sealing_key
    back_up(site, keys.parent.parent / "backup")


# --- removal --------------------------------------------------------------------------------------


def test_a_removal_that_leaves_models_closed_waits_until_keys_are_shared_anew(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=4, cycles=2)
    first, leaving = steps.sites["hospital-2"], steps.sites["hospital-4"]
    # One holder's share is lost: three of four are needed, and three are left.
    keys = steps.sites["hospital-3"].directory / "keys"
    (keys / "sealing.key").unlink()
    publish_after_loss(reopened(steps, "hospital-3"))
    reopened(steps, "hospital-3")
    rested(steps)
    first.ledger.propose_removal(account=leaving.account)
    proposal = open_proposal(first, "hospital-4")
    with pytest.raises(WaitingError, match="2 sure holders of the 3"):
        answer_proposal(steps.sites["hospital-1"], proposal, approve=True)
    assert open_proposal(first, "hospital-4").ballot.yes == 1

    steps.accept()  # The next slot's owner shares the keys anew, to keys that are there.

    assert stranded(first, leaving.account) == []
    steps.decide("hospital-4")
    assert leaving.account not in {each.account for each in first.ledger.members()}
    first.ledger.apply_removals(campaign=1)
    del steps.sites["hospital-4"]
    assert stranded(first, "") == []
    steps.accept()
    assert steps.view().accepted == 3
    for slot in (1, 2):
        assert holders(steps, slot) == {"hospital-1", "hospital-2", "hospital-3"}


def test_an_operator_can_remove_somebody_anyway(after_slots: AfterSlots) -> None:
    steps = after_slots()
    (steps.sites["hospital-2"].directory / "keys" / "sealing.key").unlink()
    publish_after_loss(reopened(steps, "hospital-2"))
    steps.any.ledger.propose_removal(account=steps.sites["hospital-3"].account)
    voter = reopened(steps, "hospital-2")
    proposal = open_proposal(voter, "hospital-3")
    with pytest.raises(WaitingError):
        answer_proposal(voter, proposal, approve=True)
    answer_proposal(voter, proposal, approve=True, anyway=True)
    assert len(voter.ledger.members()) == 2


def test_refusals_and_admissions_never_wait(after_slots: AfterSlots) -> None:
    steps = after_slots()
    steps.any.ledger.propose_removal(account=steps.sites["hospital-3"].account)
    voter = steps.sites["hospital-2"]
    answer_proposal(voter, open_proposal(voter, "hospital-3"), approve=False)
    with pytest.raises(UsageError, match="No ballot on 'hospital-9'"):
        open_proposal(voter, "hospital-9")
    with pytest.raises(UsageError, match="no member 'hospital-9'"):
        member_named(voter, "hospital-9")


def test_what_is_uploaded_after_a_removal_is_not_dealt_to_who_left(after_slots: AfterSlots) -> None:
    steps = after_slots(size=4, cycles=2)
    session = steps.open_head()
    session.train()
    session.evaluate()
    session.encrypt()  # Sealed while the member is still there, and asked for after it left.
    leaving = steps.sites["hospital-4"]
    steps.any.ledger.propose_removal(account=leaving.account)
    steps.decide("hospital-4")
    steps.any.ledger.apply_removals(campaign=1)
    del steps.sites["hospital-4"]
    session.deposit()
    session.request_upload()
    session.release_weights()

    (answer, *_) = steps.vote()

    assert not answer.approve
    assert "BadDealingError" in answer.sentence
    session.close()
    steps.accept()
    head = steps.any.ledger.model(1, steps.view().head)
    with pytest.raises(SealError, match="holds no share"):
        custody.own_share(leaving, 1, head, next(custody.capsules(leaving, 1, head)))


# --- all at once ----------------------------------------------------------------------------------


def test_of_five_partners_one_is_silent_one_sends_junk_one_rotated_one_joined_late_one_is_removed(
    after_slots: AfterSlots,
) -> None:
    """The head opens; the removal that would have closed it waits until it does no harm."""
    steps = after_slots(size=4, cycles=3)
    late = joined(steps, "hospital-5")
    steps.accept()
    rotate(steps.sites["hospital-1"])
    reopened(steps, "hospital-1")
    rested(steps)
    silent, liar, leaving = (steps.sites[f"hospital-{number}"] for number in (2, 4, 3))

    # hospital-3's turn; it is to leave. Shares are five, three open.
    proposer = steps.sites["hospital-1"]
    proposer.ledger.propose_removal(account=leaving.account)
    session = steps.session()
    assert session.site is leaving
    session.request_token()
    for voter in (steps.sites["hospital-1"], late, liar):
        answer_ballot(voter, steps.view())
    for holder in (steps.sites["hospital-1"], late):
        assert release_share(holder, steps.view())
    put_junk(liar, steps)
    session.fetch()
    session.lock()
    session.await_shares()
    session.decrypt()
    assert session.head is not None
    assert weights_hash(session.head) == late.ledger.model(1, 2).weights_hash
    assert session.slot().state is SlotState.TRAINING
    session.reshare()
    session.warn_of_few_holders()
    log = (leaving.directory / "log" / "site.log").read_text()
    assert "3 sure holders, 3 needed" in log
    opened = [event for event in late.ledger.history(1) if event.name == "ModelOpened"][-1]
    assert [opened.arguments[word] for word in ("good", "bad", "missing")] == [3, 1, 1]

    # Without hospital-3 two sure holders would be left of three: silence and junk were seen.
    proposal = open_proposal(late, "hospital-3")
    with pytest.raises(WaitingError):
        answer_proposal(late, proposal, approve=True)
    assert leaving.account in {each.account for each in late.ledger.members()}

    # Once the silent one answers again, the next opening says so, and the removal goes through.
    session.close()
    steps.simulated.travel(13 * 3600)
    late.ledger.close_expired(campaign=1, slot=3)
    following = steps.session()
    assert following.site is liar
    following.request_token()
    for voter in (silent, late, steps.sites["hospital-1"]):
        answer_ballot(voter, steps.view())
    for holder in (silent, late, steps.sites["hospital-1"], leaving):
        release_share(holder, steps.view())
    following.fetch()
    following.lock()
    following.decrypt()
    following.reshare()
    following.close()
    assert stranded(late, leaving.account) == []
    answer_proposal(late, proposal, approve=True)
    answer_proposal(silent, open_proposal(silent, "hospital-3"), approve=True)
    late.ledger.apply_removals(campaign=1)
    others = [site for site in steps.sites.values() if site is not leaving]
    for slot in (1, 2):
        model = late.ledger.model(1, slot)
        assert weights_hash(open_together(others, 1, model)) == model.weights_hash


def put_junk(liar: Site, steps: Stepper) -> None:
    """A signed release that is no share."""
    view = steps.view()
    assert view.slot is not None
    place = place_of_slot(view.slot)
    for capsule in custody.capsules(liar, 1, liar.ledger.model(1, view.head)):
        where = custody.prefix(liar, liar.account, 1, "releases", place)
        liar.store.put(where, junk_release(liar, capsule, view.slot).to_bytes())
