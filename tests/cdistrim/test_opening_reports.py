"""Reports on openings, and which of the head's capsules count by them."""

from __future__ import annotations

import pytest

from cdistrim.errors import UnopenableHeadError
from cdistrim.opening_reports import reports_on, vouched_capsules
from cdistrim.recoverability import recoverability_of
from cdistrim.rotation import rotate
from cdistrim.site import Site
from tests.past import AfterSlots
from tests.stepping import Stepper, false_capsule

pytestmark = pytest.mark.usefixtures("rights_by_prefix")


def added_by(site: Site) -> set[bytes]:
    """Capsules of the first model that a site has put on the ledger."""
    added = site.ledger.added_capsules(1, 1)
    return {each.capsule_hash for each in added if each.partner == site.account}


def counting_at(site: Site, steps: Stepper) -> set[bytes]:
    """Capsules of the first model, the head, that count for a site."""
    head = site.ledger.model(1, 1)
    vouched = vouched_capsules(site, steps.view(), head)
    return {each.capsule.digest() for each in vouched if each.counts}


def opened_and_left(steps: Stepper) -> Site:
    """The open slot's owner opens the head, shares its key anew if that is due, and is gone."""
    session = steps.open_head()
    session.reshare()
    session.close()
    steps.simulated.travel(13 * 3600)
    slot = session.slot()
    steps.any.ledger.close_expired(campaign=1, slot=slot.number)
    return session.site


def test_an_added_capsule_counts_once_somebody_honest_must_have_checked_it(
    after_slots: AfterSlots,
) -> None:
    """Three of four open a model, so at most one is dishonest: two have to vouch."""
    steps = after_slots(size=4, cycles=2)
    head = steps.any.ledger.model(1, 1)
    first, mallory = steps.sites["hospital-1"], steps.sites["hospital-4"]
    false = false_capsule(mallory, steps.sites.values(), 3).digest()
    rotate(steps.sites["hospital-3"])
    steps.sites["hospital-3"] = Site(steps.sites["hospital-3"].directory)

    author = opened_and_left(steps)
    (anew,) = added_by(author)
    assert counting_at(first, steps) == {head.capsule_hash}
    assert counting_at(author, steps) == {head.capsule_hash, anew}
    assert counting_at(mallory, steps) == {head.capsule_hash, false}
    (seen,) = recoverability_of(first, steps.view())
    assert set(seen.doubts) == {steps.sites["hospital-3"].account.lower()}

    opened_and_left(steps)
    assert counting_at(first, steps) == {head.capsule_hash, anew}
    (seen,) = recoverability_of(first, steps.view())
    assert not seen.doubts


def test_a_report_vouches_for_what_was_checked_with_the_key(after_slots: AfterSlots) -> None:
    steps = after_slots(size=4)
    head = steps.any.ledger.model(1, 1)
    false = false_capsule(steps.sites["hospital-4"], steps.sites.values(), 3).digest()

    session = steps.open_head()

    (report,) = reports_on(steps.any, session.slot())
    assert report.opened
    assert report.sound == (head.capsule_hash,)
    assert false not in report.sound
    log = (session.site.directory / "log" / "site.log").read_text()
    assert "A capsule of slot 1 is bad" in log
    session.close()


def test_a_report_on_what_did_not_open_vouches_for_nothing(after_slots: AfterSlots) -> None:
    steps = after_slots()
    session = steps.ask_fetch()
    session.fetch()
    session.lock()
    steps.simulated.travel(steps.simulated.spec.deadlines.opening * 2 // 3)
    with pytest.raises(UnopenableHeadError, match="Too few holders"):
        session.await_shares()
    (report,) = reports_on(steps.any, session.slot())
    assert not report.opened
    assert report.sound == ()
    session.close()
