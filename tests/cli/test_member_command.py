"""Members and keys on the command line: ``member``, ``campaign join``, ``site doctor``, …"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cdistrim.protocol import SkipReason
from cdistrim.site import Site
from tests.cli.command_line import Ended, assert_explained, call
from tests.factories import make_site_data
from tests.past import AfterSlots
from tests.reorganising import sent_by
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture
def steps(after_slots: AfterSlots) -> Stepper:
    """Three hospitals after one accepted slot."""
    return after_slots(cycles=2)


def at(steps: Stepper, name: str) -> Path:
    """A hospital's directory."""
    return steps.sites[name].directory


def fine(ended: Ended) -> str:
    """What a command printed that ended well."""
    assert ended.code == 0, ended.err
    return ended.out


def test_a_member_is_admitted_joins_a_campaign_and_is_removed_again(steps: Stepper) -> None:
    new = steps.simulated.directory / "hospital-4"
    settings = steps.any.settings
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CDISTRIM_PASSPHRASE", "correct horse battery staple")
        words = ("--name", "hospital-4", "--ledger-url", settings.ledger_url, "--chain-id", "31337")
        fine(call("site", "init", new, *words, "--store-url", settings.store_url))
        make_site_data(seed=9).save(new / "data")
        account = Site(new).account
        told = fine(call("member", "admit", at(steps, "hospital-1"), "hospital-4", account))
        assert "hospital-4 is proposed" in told
        listed = fine(call("member", "list", at(steps, "hospital-2")))
        assert f"open: admission of hospital-4 {account}: 1 yes, 0 no, 2 needed, until " in listed
        approved = fine(call("member", "approve", at(steps, "hospital-2"), "hospital-4"))
        assert "hospital-2 approves the admission" in approved
        assert "it is decided" in approved
        fine(call("site", "join", new, settings.contract))

        assert_explained(call("campaign", "join", new, 1), 3, "has not approved")
        fine(call("campaign", "approve", new, 1))
        assert "has asked to join campaign 1" in fine(call("campaign", "join", new, 1))
        steps.answer_requests()
        assert "already" in fine(call("campaign", "join", new, 1))

    fine(call("member", "remove", at(steps, "hospital-1"), "hospital-4"))
    assert "refuses the removal" in fine(
        call("member", "refuse", at(steps, "hospital-2"), "hospital-4")
    )
    fine(call("member", "approve", at(steps, "hospital-3"), "hospital-4"))
    assert "removal of hospital-4" in fine(call("member", "list", at(steps, "hospital-3")))
    nobody = call("member", "approve", at(steps, "hospital-3"), "hospital-9")
    assert_explained(nobody, 2, "hospital-9", "hospital-4")
    unknown = call("member", "remove", at(steps, "hospital-3"), "hospital-9")
    assert_explained(unknown, 2, "hospital-9", "hospital-1, hospital-2")


ACCOUNT = "0x52908400098527886E0F7030069857D2E4169EE7"


@pytest.mark.parametrize("name", ["Bad Name", "-a", "a" * 32, "ä", ""])
def test_a_name_that_is_none_is_refused_before_anything_is_sent(steps: Stepper, name: str) -> None:
    before = sent_by(steps.simulated.ledger_url, steps.sites["hospital-1"].account)

    ended = call("member", "admit", at(steps, "hospital-1"), "--", name, ACCOUNT)

    assert_explained(ended, 2, repr(name), "1 to 31 of a-z, 0-9 and '-'")
    assert sent_by(steps.simulated.ledger_url, steps.sites["hospital-1"].account) == before


def test_a_second_proposal_names_the_open_one_and_what_to_do(steps: Stepper) -> None:
    here = at(steps, "hospital-1")
    fine(call("member", "remove", here, "hospital-3"))
    fine(call("member", "remove", here, "hospital-3"))
    deadline = steps.any.ledger.proposals()[0].ballot.deadline
    assert 6 * 24 * 3600 < deadline - steps.any.ledger.now() < 31 * 24 * 3600
    until = f"{datetime.fromtimestamp(deadline, UTC):%Y-%m-%d %H:%M:%S UTC}"
    assert f"needed, until {until}\n" in fine(call("member", "list", here))

    second = call("member", "remove", here, "hospital-2")

    assert_explained(second, 2, "removal of hospital-3", until, "member approve SITE hospital-3")
    fine(call("member", "admit", here, "hospital-9", ACCOUNT))
    other = call("member", "admit", here, "hospital-8", ACCOUNT)
    assert_explained(other, 2, "admission of hospital-9", ACCOUNT)
    taken = call("member", "admit", at(steps, "hospital-2"), "hospital-3", ACCOUNT)
    assert_explained(taken, 2, "hospital-3 is the name of")
    fine(call("member", "remove", at(steps, "hospital-2"), "hospital-1"))


def test_a_removal_waits_and_the_doctor_says_why(steps: Stepper) -> None:
    doctor = fine(call("site", "doctor", at(steps, "hospital-1")))
    assert "campaign 1\n  hospital-1-1  3 sure holders, 2 needed: 1 may fail\n" in doctor
    (at(steps, "hospital-2") / "keys" / "sealing.key").unlink()
    lost = fine(call("site", "rotate-key", at(steps, "hospital-2"), "--lost"))
    assert "sealing key of hospital-2 is published" in lost
    doctor = fine(call("site", "doctor", at(steps, "hospital-1")))
    assert "2 sure holders, 2 needed: WARNING: all of them have to answer" in doctor
    assert "hospital-2: has replaced its key" in doctor
    asked = call("member", "remove", at(steps, "hospital-1"), "hospital-3")
    assert asked.code == 0
    assert "Without hospital-3 1 model could not be opened for certain" in asked.err
    waiting = call("member", "approve", at(steps, "hospital-2"), "hospital-3")
    assert_explained(waiting, 16, "Without hospital-3", "hospital-1-1", "--anyway")

    fine(call("member", "approve", at(steps, "hospital-2"), "hospital-3", "--anyway"))
    steps.any.ledger.apply_removals(campaign=1)

    unsure = call("site", "doctor", at(steps, "hospital-1"))
    assert_explained(unsure, 16, "not sure that 1 model can be opened", "hospital-1-1")
    assert "hospital-1-1  1 sure holder, 2 needed: WARNING: NOT SURE" in unsure.out
    assert "hospital-2: has replaced its key; the former one" in unsure.out
    assert "hospital-3: is no partner any more" in unsure.out
    # Whose key it was knows that it is lost.
    alarm = call("site", "doctor", at(steps, "hospital-2"))
    assert_explained(alarm, 7, "1 model can't be opened", "hospital-1-1")
    assert "hospital-1-1  1 sure holder, 2 needed: CAN'T BE OPENED" in alarm.out
    assert "hospital-2: has no key any more that opens its share" in alarm.out


def test_the_doctor_names_objects_that_are_missing_or_altered(steps: Stepper) -> None:
    head = steps.any.ledger.model(1, 1)
    store = steps.simulated.consortium.store
    (envelope,) = store.rglob(f"models/{head.name}/{head.ciphertext_hash.hex()}")
    content = envelope.read_bytes()
    envelope.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    altered = call("site", "doctor", at(steps, "hospital-1"))

    assert_explained(altered, 7, "objects of theirs are missing or altered", "hospital-1-1")
    assert f"{envelope.relative_to(store)} was truncated or altered" in altered.out
    envelope.write_bytes(content)
    (capsule,) = store.rglob(f"capsules/{head.name}/{head.capsule_hash.hex()}")
    capsule.unlink()
    missing = call("site", "doctor", at(steps, "hospital-1"))
    assert_explained(missing, 7, "hospital-1-1")
    assert "hospital-1-1  no capsule that counts can be read: CAN'T BE OPENED" in missing.out
    assert f"{capsule.relative_to(store)}" in missing.out


def test_a_sealing_key_is_replaced_and_the_site_is_in_order(steps: Stepper) -> None:
    directory = at(steps, "hospital-3")
    before = steps.sites["hospital-3"].keys.sealing_key.public_bytes

    told = fine(call("site", "rotate-key", directory))

    assert "sealing key of hospital-3 is replaced" in told
    assert "ten minutes" in told
    after = Site(directory)
    assert after.keys.sealing_key.public_bytes != before
    assert "ledger: member" in fine(call("site", "check", directory))
    (former,) = (directory / "keys").glob("former-*.key")
    assert former.stat().st_mode & 0o077 == 0
    assert_explained(call("site", "rotate-key", directory / "nowhere"), 3)
    # A backup has the former key, too.
    made = fine(call("site", "backup", directory, directory.parent / "3.backup"))
    assert "hospital-3" in made


def test_a_key_that_the_ledger_does_not_know_is_not_replaced_by_accident(steps: Stepper) -> None:
    directory = at(steps, "hospital-3")
    old = (directory / "keys" / "sealing.key").read_bytes()
    fine(call("site", "rotate-key", directory))
    for path in (directory / "keys").glob("former-*.key"):
        path.unlink()
    (directory / "keys" / "sealing.key").write_bytes(old)  # An old backup came back.

    assert_explained(call("site", "rotate-key", directory), 3, "not the one", "--lost")
    assert not (directory / "keys" / "next.key").exists()
    assert steps.simulated.slots()[0].skip_reason is SkipReason.NONE


def test_where_no_model_was_accepted_the_doctor_has_nothing_to_say(simulate: Simulate) -> None:
    steps = Stepper(simulate(size=2))
    assert "nothing to open" in fine(call("site", "doctor", at(steps, "hospital-1")))
