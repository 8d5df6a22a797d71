"""Rules of what partners leave for each other in the store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cdistrim.capsule import Capsule
from cdistrim.envelope import Context, new_data_key
from cdistrim.errors import IntegrityError, SealError
from cdistrim.messages import Grant, OfferedKey, OpeningReport, Release, Shares
from cdistrim.sealing import SealingKey
from cdistrim.site_keys import SiteKeys, create_site_keys

KEY = new_data_key()


class People:
    """Three holders and somebody else, with real keys."""

    def __init__(self, directory: Path) -> None:
        self.alice, self.bob, self.carol, self.mallory = (
            create_site_keys(directory / name, "quick", quick=True)
            for name in ("alice", "bob", "carol", "mallory")
        )
        self.model = Context(31337, "0x" + "ab" * 20, 1, 2, 1, self.alice.account)
        self.public = {
            each.account: each.sealing_key.public_bytes
            for each in (self.alice, self.bob, self.carol)
        }
        self.capsule = Capsule.seal(KEY, self.public, 2, self.model)

    def release(self, holder: SiteKeys, one_time: SealingKey) -> Release:
        """The holder's share, to Carol in slot 3, attempt 1."""
        share = self.capsule.open_share(holder.account, holder.opening_keys, self.model)
        made = Release.seal(
            share,
            self.capsule,
            one_time.public_bytes,
            holder=holder.account,
            requester=self.carol.account,
            slot=3,
            attempt=1,
        )
        return made.signed(holder)

    def offer(
        self, signer: SiteKeys, one_time: SealingKey, *, of: SiteKeys | None = None
    ) -> OfferedKey:
        """An evaluator's offer for Alice's candidate, as it is or as somebody else forges it."""
        return OfferedKey(
            model=self.model,
            evaluator=(of or signer).account,
            public=one_time.public_bytes,
            head=False,
        ).signed(signer)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """Made once."""
    return People(tmp_path_factory.mktemp("people"))


class TestRelease:
    def test_the_requester_gets_the_share_and_knows_from_whom(self, people: People) -> None:
        one_time = SealingKey.generate()
        release = Release.parse(people.release(people.bob, one_time).to_bytes())
        release.require_author(people.bob.account)
        share = release.open(people.capsule, one_time, slot=3, attempt=1)
        assert share == people.capsule.shares(KEY)[people.bob.account.lower()]

    @pytest.mark.parametrize(("slot", "attempt"), [(4, 1), (3, 2)])
    def test_it_opens_for_one_grant_only(self, people: People, slot: int, attempt: int) -> None:
        one_time = SealingKey.generate()
        release = people.release(people.bob, one_time)
        with pytest.raises(SealError):
            release.open(people.capsule, one_time, slot=slot, attempt=attempt)

    def test_a_standing_key_or_another_one_time_key_does_not_open_it(self, people: People) -> None:
        release = people.release(people.bob, SealingKey.generate())
        for key in (people.carol.sealing_key, SealingKey.generate()):
            with pytest.raises(SealError):
                release.open(people.capsule, key, slot=3, attempt=1)

    def test_another_capsules_share_is_junk_here(self, people: People) -> None:
        one_time = SealingKey.generate()
        release = people.release(people.bob, one_time)
        again = Capsule.seal(KEY, people.public, 2, people.model)
        with pytest.raises(SealError):
            release.open(again, one_time, slot=3, attempt=1)

    def test_a_share_of_another_chain_contract_or_model_does_not_open(self, people: People) -> None:
        one_time = SealingKey.generate()
        release = people.release(people.bob, one_time)
        for change in ({"chain_id": 1}, {"contract": "0x" + "cd" * 20}, {"slot": 9}):
            moved = people.capsule.model_copy(update={"context": replace(people.model, **change)})
            with pytest.raises(SealError):
                release.open(moved, one_time, slot=3, attempt=1)

    def test_nobody_can_pass_it_off_as_anothers(self, people: People) -> None:
        one_time = SealingKey.generate()
        forged = people.release(people.bob, one_time).model_copy(
            update={"holder": people.alice.account.lower()}
        )
        with pytest.raises(SealError):
            forged.open(people.capsule, one_time, slot=3, attempt=1)
        with pytest.raises(IntegrityError, match="signed by"):
            forged.require_author(people.alice.account)

    def test_who_signs_junk_is_named_by_its_signature(self, people: People) -> None:
        one_time = SealingKey.generate()
        junk = people.release(people.bob, one_time).model_copy(
            update={"sealed": bytes(1200), "signature": b""}
        )
        junk = junk.signed(people.bob)
        junk.require_author(people.bob.account)
        with pytest.raises(SealError):
            junk.open(people.capsule, one_time, slot=3, attempt=1)


class TestOffer:
    def test_only_the_evaluators_own_signature_counts(self, people: People) -> None:
        one_time = SealingKey.generate()
        offer = OfferedKey.parse(people.offer(people.bob, one_time).to_bytes())
        offer.require_author(people.bob.account)
        mine = people.offer(people.mallory, one_time, of=people.bob)
        with pytest.raises(IntegrityError, match=people.mallory.account.lower()):
            mine.require_author(people.bob.account)
        for signature in (b"", bytes(65), b"\xff" * 65, offer.signature[:-1]):
            unsigned = offer.model_copy(update={"signature": signature})
            with pytest.raises(IntegrityError):
                unsigned.require_author(people.bob.account)

    def test_a_signature_covers_every_field(self, people: People) -> None:
        offer = people.offer(people.bob, SealingKey.generate())
        changes: tuple[dict[str, object], ...] = (
            {"model": replace(people.model, slot=3)},
            {"model": replace(people.model, attempt=2)},
            {"model": replace(people.model, chain_id=1)},
            {"model": replace(people.model, contract="0x" + "cd" * 20)},
            {"public": SealingKey.generate().public_bytes},
            {"head": True},
        )
        for change in changes:
            with pytest.raises(IntegrityError):
                offer.model_copy(update=change).require_author(people.bob.account)


class TestGrant:
    def test_the_evaluator_gets_the_key_with_its_one_time_key_only(self, people: People) -> None:
        one_time = SealingKey.generate()
        offer = people.offer(people.bob, one_time)
        made = Grant.seal(KEY, offer, people.model, slot=2, attempt=1)
        grant = Grant.parse(made.to_bytes())
        assert grant.open(one_time) == KEY
        for key in (people.bob.sealing_key, SealingKey.generate()):
            with pytest.raises(SealError):
                grant.open(key)

    @pytest.mark.parametrize("field", ["slot", "attempt", "evaluator", "model"])
    def test_a_grant_for_something_else_does_not_open(self, people: People, field: str) -> None:
        one_time = SealingKey.generate()
        offer = people.offer(people.bob, one_time)
        grant = Grant.seal(KEY, offer, people.model, slot=2, attempt=1)
        changed: dict[str, Any] = {
            "slot": 3,
            "attempt": 2,
            "evaluator": people.carol.account.lower(),
            "model": replace(people.model, slot=1),
        }
        with pytest.raises(SealError):
            grant.model_copy(update={field: changed[field]}).open(one_time)


class TestShares:
    def test_every_holder_finds_its_share_there(self, people: People) -> None:
        made = Shares.seal(people.capsule, people.capsule.shares(KEY), people.public)
        read = Shares.parse(made.to_bytes())
        for each in (people.alice, people.bob, people.carol):
            share = read.open_share(people.capsule, each.account, each.opening_keys)
            assert share == people.capsule.shares(KEY)[each.account.lower()]
        with pytest.raises(SealError):
            read.open_share(people.capsule, people.mallory.account, people.mallory.opening_keys)

    def test_shares_that_do_not_fit_the_capsule_are_junk(self, people: People) -> None:
        other = Capsule.seal(KEY, people.public, 2, people.model)
        made = Shares.seal(other, other.shares(KEY), people.public)
        with pytest.raises(SealError):
            made.open_share(people.capsule, people.bob.account, people.bob.opening_keys)
        forged = made.model_copy(update={"capsule": people.capsule.digest()})
        with pytest.raises(SealError):
            forged.open_share(people.capsule, people.bob.account, people.bob.opening_keys)


def test_a_report_says_who_sent_what(people: People) -> None:
    report = OpeningReport(
        model=people.model,
        capsule=people.capsule.digest(),
        requester=people.carol.account,
        slot=3,
        attempt=1,
        opened=True,
        good=(people.carol.account,),
        bad=(people.bob.account,),
        missing=(people.alice.account,),
        sound=(people.capsule.digest(),),
    ).signed(people.carol)
    read = OpeningReport.parse(report.to_bytes())
    read.require_author(people.carol.account)
    assert read.bad == (people.bob.account.lower(),)
    with pytest.raises(IntegrityError):
        read.model_copy(update={"bad": ()}).require_author(people.carol.account)
    with pytest.raises(IntegrityError):
        read.model_copy(update={"sound": ()}).require_author(people.carol.account)


def test_malformed_messages_are_refused(people: People) -> None:
    one_time = SealingKey.generate()
    offer = people.offer(people.bob, one_time)
    for document, changes in (
        (people.release(people.bob, one_time), ("sealed", "holder", "slot", "capsule")),
        (offer, ("public", "evaluator", "head", "signature", "model")),
        (Grant.seal(KEY, offer, people.model, slot=2, attempt=1), ("sealed", "attempt")),
    ):
        for field in (*changes, "kind", "version", "more"):
            wrong: tuple[object, ...] = (None, "x", -1, "%%", [], {"a": 1})
            for value in wrong:
                altered = json.loads(document.to_bytes()) | {field: value}
                content = json.dumps(altered, sort_keys=True, separators=(",", ":")).encode()
                with pytest.raises(IntegrityError):
                    type(document).parse(content)
