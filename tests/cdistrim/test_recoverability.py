"""Who could open a campaign's models: how sure that is, and what makes it sure again."""

from __future__ import annotations

import pytest

from cdistrim import custody
from cdistrim.cli.recoverability_table import recoverability_lines
from cdistrim.errors import ConfigurationError, WaitingError
from cdistrim.final_model import reshare_final_model
from cdistrim.membership import answer_proposal, open_proposal
from cdistrim.names import names_of
from cdistrim.protocol import CampaignState, FinalFetchState
from cdistrim.recoverability import (
    Doubt,
    Outlook,
    Recoverability,
    damage_of,
    recoverability_of,
    stranded,
    unreadable_additions,
)
from cdistrim.releasing import release_share
from cdistrim.rotation import publish_after_loss
from cdistrim.site import Site
from tests.awake import awake
from tests.cli.command_line import call
from tests.past import AfterSlots
from tests.stepping import Stepper, junk_release

pytestmark = pytest.mark.usefixtures("rights_by_prefix")


def seen_by(site: Site, steps: Stepper) -> list[Recoverability]:
    """The head and its ancestors as a site sees them, newest first."""
    return list(recoverability_of(site, steps.view()))


def told(site: Site, steps: Stepper) -> str:
    """What doctor says there."""
    names = names_of(site.ledger).known
    return "\n".join(recoverability_lines(seen_by(site, steps), names, {}))


def lose_key(steps: Stepper, name: str) -> Site:
    """A site's sealing key is lost, and another one published."""
    directory = steps.sites[name].directory
    (directory / "keys" / "sealing.key").unlink()
    publish_after_loss(Site(directory))
    steps.sites[name] = Site(directory)
    return steps.sites[name]


# --- a running campaign ---------------------------------------------------------------------------


def test_who_answers_after_the_model_was_open_counts_as_there(after_slots: AfterSlots) -> None:
    """Two of three open it, and the one who opens waits for no third."""
    steps = after_slots(cycles=2)
    session = steps.session()
    owner = session.site
    prompt, late = (site for site in steps.sites.values() if site is not owner)
    session.request_token()
    steps.vote()
    release_share(prompt, steps.view())
    granted = steps.view()
    session.fetch()
    session.lock()
    session.decrypt()

    (before,) = seen_by(prompt, steps)
    assert before.doubts == {late.account.lower(): Doubt.ABSENT}
    assert before.outlook is Outlook.NONE_TO_SPARE
    assert release_share(late, granted)
    (after,) = seen_by(prompt, steps)
    assert not after.doubts
    assert after.outlook is Outlook.SPARE

    session.warn_of_few_holders()
    log = owner.directory / "log" / "site.log"
    assert not log.exists() or "sure holder" not in log.read_text()
    session.close()


def test_who_sent_junk_is_doubted_and_named_so(after_slots: AfterSlots) -> None:
    steps = after_slots(cycles=2)
    session = steps.ask_fetch()
    honest, liar = (site for site in steps.sites.values() if site is not session.site)
    view = steps.view()
    assert view.slot is not None
    (capsule,) = custody.capsules(liar, 1, liar.ledger.model(1, 1))
    where = custody.prefix(liar, liar.account, 1, "releases", f"{view.slot.number}-1")
    liar.store.put(where, junk_release(liar, capsule, view.slot).to_bytes())
    release_share(honest, view)
    session.fetch()
    session.lock()
    session.decrypt()

    (seen,) = seen_by(honest, steps)

    assert seen.doubts == {liar.account.lower(): Doubt.JUNK}
    session.warn_of_few_holders()
    log = (session.site.directory / "log" / "site.log").read_text()
    assert "hospital-1-1: 2 sure holders, 2 needed; see `cdistrim site doctor`" in log
    session.close()


def test_of_itself_a_site_knows_whether_its_share_is_lost(after_slots: AfterSlots) -> None:
    steps = after_slots(size=2, cycles=2)
    unlucky = lose_key(steps, "hospital-2")
    lost = unlucky.account.lower()

    (others,) = seen_by(steps.sites["hospital-1"], steps)
    assert (others.doubts, others.outlook) == ({lost: Doubt.FORMER_KEY}, Outlook.UNSURE)
    (itself,) = seen_by(unlucky, steps)
    assert (itself.doubts, itself.outlook) == ({lost: Doubt.LOST}, Outlook.CLOSED)


def test_without_a_capsule_nothing_is_known_of_holders(after_slots: AfterSlots) -> None:
    steps = after_slots(size=2, cycles=2)
    for path in steps.simulated.consortium.store.rglob("capsules/hospital-1-1/*"):
        path.unlink()
    (seen,) = seen_by(steps.any, steps)
    assert (seen.threshold, seen.able, seen.outlook) == (None, frozenset(), Outlook.CLOSED)


# --- a completed campaign -------------------------------------------------------------------------


def completed(after_slots: AfterSlots) -> Stepper:
    """A campaign of three hospitals in which each had its turn."""
    steps = after_slots(3)
    assert steps.view().state is CampaignState.COMPLETED
    return steps


def test_a_completed_campaigns_keys_are_shared_anew_by_who_opens_its_final_model(
    after_slots: AfterSlots,
) -> None:
    """No slot is left whose owner would; a removal waits until somebody does."""
    steps = completed(after_slots)
    unlucky = lose_key(steps, "hospital-3")
    first, leaving = steps.sites["hospital-1"], steps.sites["hospital-2"]
    first.ledger.propose_removal(account=leaving.account)
    proposal = open_proposal(unlucky, leaving.name)
    with pytest.raises(WaitingError, match="3 models could not be opened") as waiting:
        answer_proposal(unlucky, proposal, approve=True)
    assert "`cdistrim campaign reshare SITE 1`" in waiting.value.hint

    with awake(leaving, unlucky):
        done = reshare_final_model(first, 1, patience=60)

    assert done.shared_anew == ("hospital-3-3", "hospital-2-2", "hospital-1-1")
    assert done.still_due == ()
    assert first.ledger.final_fetch(1, first.account).state is FinalFetchState.OPENED
    assert all(one.outlook is Outlook.SPARE for one in seen_by(first, steps))
    missing = "1 more partner has to say `cdistrim campaign reshare SITE 1`"
    assert f"for the others to count that, {missing}" in told(first, steps)
    # Who has not the key can't see yet that the head's was shared well: it takes two of three.
    head, *ancestors = seen_by(unlucky, steps)
    assert head.outlook is Outlook.NONE_TO_SPARE
    assert all(one.outlook is Outlook.SPARE for one in ancestors)
    (closed,) = stranded(unlucky, leaving.account)
    assert closed.outlook is Outlook.UNSURE
    assert closed.unchecked is not None
    assert (closed.unchecked.by, closed.unchecked.needed) == (1, 2)
    assert f"1 of the 2 partners that it takes vouch; {missing}" in told(unlucky, steps)

    with awake(first, unlucky):
        again = reshare_final_model(leaving, 1, patience=60)

    assert again.shared_anew == ()
    assert not any("reshare" in told(each, steps) for each in (first, leaving, unlucky))
    assert all(one.outlook is Outlook.SPARE for one in seen_by(unlucky, steps))
    assert stranded(unlucky, leaving.account) == []
    answer_proposal(unlucky, proposal, approve=True)
    assert leaving.account not in {each.account for each in first.ledger.members()}
    with pytest.raises(ConfigurationError, match="was removed from the consortium"):
        reshare_final_model(leaving, 1, patience=1)


def test_what_of_an_ancestor_is_missing_is_told_before_the_partners_are_asked(
    after_slots: AfterSlots,
) -> None:
    steps = completed(after_slots)
    unlucky, first = lose_key(steps, "hospital-3"), steps.sites["hospital-1"]
    ancestor = first.ledger.model(1, 1)
    (envelope,) = steps.simulated.consortium.store.rglob(
        f"models/{ancestor.name}/{ancestor.ciphertext_hash.hex()}"
    )
    envelope.unlink()
    said: list[str] = []

    with awake(steps.sites["hospital-2"], unlucky):
        done = reshare_final_model(first, 1, patience=60, say=said.append)

    assert done.shared_anew == ("hospital-3-3", "hospital-2-2")
    assert done.still_due == ("hospital-1-1",)
    assert said[0].startswith("The key of hospital-1-1 can't be shared anew here: ")
    assert envelope.name in said[0]
    assert said[1] == "hospital-3-3 is asked for; the partners vote."


def test_an_added_capsule_that_is_missing_is_named_and_takes_nothing_away(
    after_slots: AfterSlots,
) -> None:
    steps = completed(after_slots)
    unlucky, first = lose_key(steps, "hospital-3"), steps.sites["hospital-1"]
    with awake(steps.sites["hospital-2"], unlucky):
        reshare_final_model(first, 1, patience=60)
    record = first.ledger.model(1, 1)
    (added,) = first.ledger.added_capsules(1, 1)
    (capsule,) = steps.simulated.consortium.store.rglob(f"*/{added.capsule_hash.hex()}")
    assert list(unreadable_additions(first, steps.view(), record)) == []

    capsule.unlink()

    (missing,) = unreadable_additions(first, steps.view(), record)
    assert added.capsule_hash.hex() in missing
    assert list(damage_of(first, steps.view(), record)) == []
    doctor = call("site", "doctor", first.directory)
    assert doctor.code == 0, doctor.err
    assert missing in doctor.out


def test_where_sharing_anew_gives_nobody_to_spare_doctor_does_not_advise_it(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(2, size=2)
    assert steps.view().state is CampaignState.COMPLETED

    said = told(steps.any, steps)

    assert said.count("WARNING: all of them have to answer; another partner would give") == 2
    assert "reshare" not in said
    lose_key(steps, "hospital-2")
    assert "To share keys anew: cdistrim campaign reshare SITE 1" in told(steps.any, steps)


def test_who_was_silent_in_the_last_slot_makes_up_for_it_at_the_final_opening(
    after_slots: AfterSlots,
) -> None:
    steps = after_slots(2)
    asking, silent, owner = steps.sites.values()
    del steps.sites[silent.name]  # From here on it does not answer.
    steps.accept()
    assert steps.view().state is CampaignState.COMPLETED
    head, *_ = seen_by(owner, steps)
    assert head.doubts == {silent.account.lower(): Doubt.ABSENT}

    with awake(silent):  # The other one sleeps now: that is no fault.
        reshare_final_model(asking, 1, patience=60)

    head, *_ = seen_by(owner, steps)
    assert not head.doubts
