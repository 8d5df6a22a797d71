"""Releasing shares after the grant, and opening the head with them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cdistrim import custody, opening
from cdistrim.capsule import Capsule
from cdistrim.envelope import new_data_key
from cdistrim.errors import CDistriMError, NotReleasedError, SealError
from cdistrim.iteration import IterationSession
from cdistrim.messages import OpeningReport, Release
from cdistrim.protocol import SlotState
from cdistrim.releasing import has_released, release_share
from cdistrim.site import Site
from cdistrim.spec import DeadlineSpec
from cdistrim.weights import weights_hash
from tests.past import AfterSlots
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper, junk_release

Simulate = Callable[..., SimulatedConsortium]


def opens(session: IterationSession) -> bool:
    """Whether the head is in memory after this, with the hash on the ledger."""
    session.fetch()
    session.lock()
    session.decrypt()
    record = session.site.ledger.model(1, 1)
    assert session.head is not None
    return weights_hash(session.head) == record.weights_hash


def put_release(site: Site, session: IterationSession, release: Release) -> None:
    """Where a holder's releases lie."""
    ref = session.ref
    where = custody.prefix(site, site.account, 1, "releases", f"{ref.slot}-{ref.attempt}")
    site.store.put(where, release.to_bytes())


def junk_of(site: Site, session: IterationSession) -> Release:
    """A signed release whose share is none."""
    head = site.ledger.model(1, 1)
    (capsule,) = custody.capsules(site, 1, head)
    return junk_release(site, capsule, session.slot())


def test_shares_are_released_after_the_grant_only_and_open_the_head(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots()
    session = steps.session()
    assert steps.release() == []
    session.request_token()
    assert steps.release() == []
    steps.vote()
    session.fetch()
    session.lock()
    with pytest.raises(NotReleasedError, match=r"1 good share .* 2 are needed"):
        session.decrypt()
    assert session.slot().state is SlotState.FETCH_GRANTED

    assert steps.release() == ["hospital-1", "hospital-3"]
    assert steps.release() == []
    session.decrypt()

    assert session.head is not None
    assert weights_hash(session.head) == steps.any.ledger.model(1, 1).weights_hash
    session.close()


def test_nothing_is_released_once_the_steps_deadline_is_over(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    steps.simulated.travel(DeadlineSpec().opening + 1)

    assert steps.release() == []
    assert session.slot().state is SlotState.FETCH_GRANTED


def test_a_holder_that_voted_no_releases_all_the_same(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.session()
    session.request_token()
    against = steps.sites["hospital-1"]
    against.refuse_spec(steps.simulated.spec.digest())
    steps.vote()
    ballot = session.slot().ballot
    assert ballot is not None
    assert ballot.no == 1

    assert release_share(against, steps.view())


def test_any_quorum_of_shares_opens_the_head(after_slots: AfterSlots) -> None:
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    for name in ("hospital-4", "hospital-5"):  # With the owner's own share three of five.
        assert release_share(steps.sites[name], steps.view())

    assert opens(session)
    session.close()


def test_junk_is_named_and_does_not_keep_the_head_from_being_opened(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    liar, silent = steps.sites["hospital-1"], steps.sites["hospital-3"]
    put_release(liar, session, junk_of(liar, session))
    for name in ("hospital-4", "hospital-5"):
        release_share(steps.sites[name], steps.view())

    assert opens(session)

    opened = next(
        event
        for event in steps.any.ledger.history(1)
        if event.name == "ModelOpened" and event.arguments["slot"] == 2
    )
    assert [opened.arguments[word] for word in ("good", "bad", "missing")] == [3, 1, 1]
    where = steps.place("hospital-2", "openings", "2-1")
    (report,) = custody.read_messages(steps.any, where, OpeningReport)
    report.require_author(session.site.account)
    assert report.bad == (liar.account.lower(),)
    assert report.missing == (silent.account.lower(),)
    log = (session.site.directory / "log" / "site.log").read_text()
    assert f"{liar.account.lower()} released is junk" in log
    session.close()


def test_too_much_junk_keeps_the_head_closed_and_says_whose_it_is(after_slots: AfterSlots) -> None:
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    for name in ("hospital-1", "hospital-3"):
        site = steps.sites[name]
        put_release(site, session, junk_of(site, session))
    release_share(steps.sites["hospital-4"], steps.view())
    session.fetch()
    session.lock()

    with pytest.raises(NotReleasedError, match="junk from hospital-") as refused:
        session.decrypt()

    for name in ("hospital-1", "hospital-3"):
        assert name in refused.value.what.partition("nothing from")[0]
    assert session.slot().state is SlotState.FETCH_GRANTED
    session.close()


def test_junk_that_somebody_puts_in_a_holders_name_harms_nobody(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    honest, mallory = steps.sites["hospital-1"], steps.sites["hospital-3"]
    forged = junk_of(honest, session).model_copy(update={"signature": b""}).signed(mallory.keys)
    put_release(honest, session, forged)
    where = custody.prefix(steps.any, honest.account, 1, "releases", "2-1")
    steps.any.store.put(where, b"junk")

    (fetch,) = steps.view().granted_fetches()

    # The holder itself is not kept from releasing by what lies there in its name.
    assert not has_released(honest, 1, fetch)
    assert release_share(honest, steps.view())
    assert has_released(honest, 1, fetch)
    assert opens(session)
    where = steps.place("hospital-2", "openings", "2-1")
    (report,) = custody.read_messages(steps.any, where, OpeningReport)
    assert report.bad == ()
    session.close()


def test_a_share_that_the_store_lost_is_released_again(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    holder = steps.sites["hospital-1"]
    assert release_share(holder, steps.view())
    where = custody.prefix(steps.any, holder.account, 1, "releases", "2-1")
    for path in (steps.simulated.consortium.store / where).iterdir():
        path.unlink()

    assert release_share(holder, steps.view())
    assert opens(session)
    session.close()


def test_a_share_released_for_another_attempt_or_slot_is_no_use(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    holder = steps.sites["hospital-1"]
    release_share(holder, steps.view())
    where = custody.prefix(steps.any, holder.account, 1, "releases", "2-1")
    (reference,) = steps.any.store.list(where)
    replayed = steps.any.store.get(where, reference.digest)
    record = steps.any.ledger.model(1, 1)
    site = session.site
    for slot, attempt in ((2, 2), (3, 1)):
        other = custody.prefix(steps.any, holder.account, 1, "releases", f"{slot}-{attempt}")
        steps.any.store.put(other, replayed)
        (gathered,) = opening.gather(site, 1, record, slot=slot, attempt=attempt)
        assert gathered.bad == (holder.account.lower(),)
        assert not gathered.enough


def test_the_one_time_key_survives_a_restart_is_shut_to_others_and_goes_with_its_slot(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=2))
    owner, ref = steps.owner(), steps.session().ref
    first = opening.request_key(owner, ref.campaign, ref.slot, ref.attempt)
    again = opening.request_key(
        steps.simulated.site(owner.name), ref.campaign, ref.slot, ref.attempt
    )
    (path,) = owner.work.glob("*.key")

    assert first.public_bytes == again.public_bytes
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(CDistriMError):
        steps.sites["hospital-2"].keys.open_one_time_key(path.read_bytes())
    steps.accept()
    assert not path.exists()


def test_a_dealer_whose_shares_do_not_fit_each_other_is_noticed(after_slots: AfterSlots) -> None:
    """In mode ``reported`` nobody checks a dealing before it counts; one bad share does no harm."""
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    head = steps.any.ledger.model(1, 1)
    (capsule,) = custody.capsules(steps.any, 1, head)
    site = session.site
    release = {name: steps.sites[name] for name in ("hospital-1", "hospital-3", "hospital-4")}
    for holder in release.values():
        release_share(holder, steps.view())
    (gathered,) = opening.gather(site, 1, head, slot=2, attempt=1)
    odd = sorted(gathered.good)[0]
    wrong = dict(gathered.good)
    wrong[odd] = type(wrong[odd])(wrong[odd].index, bytes(32), wrong[odd].salt)
    spoiled = opening.Gathered(capsule, True, wrong, (), ())
    envelope = custody.ciphertext(site, 1, head)

    found = opening.find_key(site, 1, head, [spoiled], envelope)

    assert found is not None
    key, _ = found

    assert custody.open_with(key, envelope, site, 1, head)
    assert "don't fit each other" in (site.directory / "log" / "site.log").read_text()
    few = opening.Gathered(capsule, True, dict(list(wrong.items())[:3]), (), ())
    with pytest.raises(SealError, match="dealt badly"):
        opening.open_with_shares(site, 1, head, [few], envelope)
    session.close()


def test_a_capsule_of_junk_that_a_partner_adds_closes_nothing(after_slots: AfterSlots) -> None:
    """Two colluders share another key among themselves, and release as it were well."""
    steps = after_slots(size=5)
    session = steps.ask_fetch()
    head = steps.any.ledger.model(1, 1)
    liar, friend = steps.sites["hospital-1"], steps.sites["hospital-3"]
    (original,) = custody.capsules(liar, 1, head)
    for names in ((liar, friend), tuple(steps.sites.values())):
        keys = {site.account: site.keys.sealing_key.public_bytes for site in names}
        threshold = 2 if len(names) == 2 else 3
        junk = Capsule.seal(new_data_key(), keys, threshold, original.context)
        where = custody.prefix(liar, liar.account, 1, "capsules", head.name)
        put = liar.store.put(where, junk.to_bytes())
        liar.ledger.add_capsule(campaign=1, slot=1, capsule_hash=put.digest)
        (fetch,) = steps.view().granted_fetches()
        where = custody.prefix(liar, fetch.requester, 1, "requests", opening.place_of(fetch))
        public = session.site.store.get(where, fetch.request_key_digest)
        for site in (liar, friend):
            share = junk.open_share(site.account, site.keys.opening_keys, junk.context)
            released = Release.seal(
                share,
                junk,
                public,
                holder=site.account,
                requester=fetch.requester,
                slot=fetch.slot,
                attempt=fetch.attempt,
            )
            put_release(site, session, released.signed(site.keys))
    session.fetch()
    session.lock()
    with pytest.raises(NotReleasedError, match="3 are needed"):
        session.decrypt()

    for name in ("hospital-4", "hospital-5"):
        release_share(steps.sites[name], steps.view())
    session.await_shares()
    session.decrypt()

    assert session.head is not None
    # It has the key and sees that what was added is junk; the capsule of before is as it should be.
    assert session.reshare() == []
    assert "shared anew badly" in (session.site.directory / "log" / "site.log").read_text()
    session.close()
