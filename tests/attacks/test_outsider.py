"""An outsider has an account and the chain's RPC, or the store; it is no member, changes nothing.

What it may do is read what is public, put junk into a store that lets it, and delete there: then
slots run into their deadlines.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources

from cdistrim import custody
from cdistrim.capsule import Capsule
from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.envelope import new_data_key
from cdistrim.grants import grants_prefix
from cdistrim.ledger import EthereumLedger
from cdistrim.ledger.codec import candidate_fields
from cdistrim.ledger.words import (
    ballot_word,
    deadlines_word,
    evidence_word,
    name_word,
)
from cdistrim.messages import Grant, OfferedKey, OpeningReport, Shares
from cdistrim.protocol import BallotId, BallotKind, CampaignState, Mode, RestoreReason, SlotState
from cdistrim.recoverability import recoverability_of
from cdistrim.sealing import SealingKey
from cdistrim.site_keys import create_site_keys
from cdistrim.spec import DeadlineSpec
from tests.attacks.burglars import Burglar
from tests.attacks.outlaws import Outlaw, storage_of
from tests.chain import BETTER, GENESIS_HASH, SPEC_HASH, Consortium, candidate, digest
from tests.chain import travel as pass_time
from tests.past import AfterSlots
from tests.stepping import junk_release

STEP = (1, 1, 1)
"""Campaign, slot, attempt."""


# --- with access to the chain ---------------------------------------------------------------------


def changing_functions(contract: str) -> set[str]:
    """Names of all functions of an artifact that may change a state."""
    document = json.loads(resources.files("cdistrim.ledger").joinpath(contract).read_bytes())
    entries = document["abi"]
    assert not [entry for entry in entries if entry["type"] in ("fallback", "receive")]
    return {
        entry["name"]
        for entry in entries
        if entry["type"] == "function" and entry["stateMutability"] not in ("view", "pure")
    }


class Journey:
    """A consortium whose members do everything once; an outsider tries each just before them."""

    def __init__(self, three: Consortium) -> None:
        self.three = three
        self.tried: set[str] = set()
        self.keys = [*three.keys, digest("the fourth member's key")]
        self.members = [self._account(key) for key in self.keys]
        self.outsider = self._account(digest("an outsider's key"))

    def _account(self, key: bytes) -> Outlaw:
        return Outlaw(self.three.url, self.three.address, chain_id=CHAIN_ID, key=key)

    def do(self, member: int, function: str, *arguments: object) -> None:
        """A member does it, after the outsider has tried the very same."""
        before = storage_of(self.three.url, self.three.address)
        assert self.outsider.refusal(function, arguments) == "NotAMember"
        assert not self.outsider.send(function, arguments)
        assert storage_of(self.three.url, self.three.address) == before
        self.tried.add(function)

        assert self.members[member].refusal(function, arguments) == ""
        assert self.members[member].send(function, arguments)

    def vote(self, member: int, kind: BallotKind, *where: int, opener: int = 0) -> None:
        """Yes to an open ballot."""
        campaign, slot, attempt = where
        name = BallotId(kind, campaign, slot, attempt, self.members[opener].address)
        ballot = self.three.ledgers[0].ballot(name)
        assert ballot is not None
        evidence = evidence_word(BETTER if kind is BallotKind.UPLOAD else None)
        self.do(member, "castVote", ballot_word(name), ballot.subject, True, evidence)

    def signed_vote(self, member: int, kind: BallotKind) -> None:
        """Yes to a ballot of the first slot, signed by a member and handed in by another."""
        signer: EthereumLedger = self.three.ledgers[member]
        name = BallotId(kind, *STEP, self.members[0].address)
        ballot = signer.ballot(name)
        assert ballot is not None
        vote = signer.sign_vote(
            ballot=name, subject=ballot.subject, approve=True, deadline=signer.now() + 3600
        )
        fields = (
            *(vote.approve, evidence_word(vote.evidence), vote.deadline),
            *(vote.signature[:32], vote.signature[32:]),
        )
        self.do(2, "castVotes", ballot_word(name), ballot.subject, [fields])


def test_every_function_that_changes_something_is_refused_to_who_is_no_member(
    consortium: Callable[[int], Consortium],
) -> None:
    journey = Journey(consortium(3))
    do, vote, url = journey.do, journey.vote, journey.three.url
    accounts = [member.address for member in journey.members]
    do(0, "publishKey", digest("another key") * 38)
    do(0, "proposeAdmission", (accounts[3], name_word("hospital-4")))
    vote(1, BallotKind.ADMISSION, 0, 0, 1)
    do(3, "publishKey", digest("a fourth key") * 38)
    deadlines = deadlines_word(DeadlineSpec())
    order = accounts[:3]
    do(0, "openCampaign", SPEC_HASH, GENESIS_HASH, order, 1, 0, Mode.REPORTED, deadlines)
    for member in range(3):
        do(member, "enrol", 1, 10, digest("data", member), True)
    do(3, "requestJoin", 1, 10, digest("data", 3), False)
    do(0, "requestFetch", *STEP, digest("request"))
    journey.signed_vote(1, BallotKind.FETCH)
    do(0, "reportOpened", *STEP, 0, 0, 0)
    asked, whole = candidate(1, 0, mode=Mode.REPORTED), candidate(1, 0)
    do(0, "requestUpload", *STEP, candidate_fields(asked))
    vote(1, BallotKind.UPLOAD, *STEP)
    do(0, "confirmUpload", *STEP, candidate_fields(whole))
    do(1, "addCapsule", 1, 1, digest("a new capsule"))
    do(1, "requestRestore", 1, 2, 1, 0, RestoreReason.UNOPENABLE)
    for _ in range(2):
        pass_time(url, DeadlineSpec().fetch_request + 1)
        call(url, "evm_mine")
        do(2, "closeExpired", 1)
    assert journey.three.ledgers[0].campaign(1).state is CampaignState.COMPLETED
    do(1, "requestFinalModel", 1, digest("request the final model"))
    vote(0, BallotKind.FINAL_FETCH, 1, 0, 1, opener=1)
    do(1, "reportFinalOpened", 1, 2, 0, 0)
    do(1, "recordUse", 1, digest("a purpose"))
    do(0, "proposeRemoval", accounts[2])
    for member in (1, 3):
        vote(member, BallotKind.REMOVAL, 0, 0, 1)
    do(0, "applyRemovals", 1)

    assert journey.tried == changing_functions("CDistriM.json")
    # Who was removed in the end is an outsider like any other.
    assert journey.members[2].refusal("applyRemovals", [1]) == "NotAMember"


def test_the_views_and_a_plain_transfer_change_nothing(
    consortium: Callable[[int], Consortium],
) -> None:
    three = consortium(2)
    outsider = Outlaw(three.url, three.address, chain_id=CHAIN_ID, key=digest("an outsider's key"))
    before = storage_of(three.url, three.address)
    assert changing_functions("CDistriMViews.json") == set()
    assert not outsider.send("", ())
    assert storage_of(three.url, three.address) == before


# --- with access to the store ---------------------------------------------------------------------


def test_whatever_an_outsider_puts_into_the_store_a_slot_goes_its_way(
    after_slots: AfterSlots,
) -> None:
    """Forged messages of every kind, in the names of those who would write them."""
    steps = after_slots()
    session = steps.ask_fetch()
    slot, site, thief = session.slot(), steps.any, SealingKey.generate()
    head, holder = site.ledger.model(1, 1), steps.sites["hospital-3"]
    owner, at = session.site, f"{slot.number}-{slot.attempt}"
    (capsule,) = custody.capsules(site, 1, head)
    mallory = create_site_keys(steps.simulated.directory / "mallory", "quick", quick=True)
    candidate_to_be = custody.context_of(site, 1, slot.number, slot.attempt, slot.owner)

    def put(what: bytes, kind: str, *where: object, by: str = owner.account) -> None:
        site.store.put(custody.prefix(site, by, 1, kind, *where), what)

    release = junk_release(holder, capsule, slot).model_copy(update={"signature": b""})
    offer = OfferedKey(
        model=candidate_to_be, evaluator=holder.account, public=thief.public_bytes, head=True
    )
    own = offer.model_copy(update={"evaluator": mallory.account.lower()})
    grant = Grant.seal(new_data_key(), offer, offer.model, slot=slot.number, attempt=slot.attempt)
    nobody_else = Capsule.seal(
        new_data_key(),
        {mallory.account: thief.public_bytes, owner.account: thief.public_bytes},
        2,
        capsule.context,
    )
    report = OpeningReport(
        model=capsule.context,
        capsule=capsule.digest(),
        requester=owner.account,
        slot=slot.number,
        attempt=slot.attempt,
        opened=False,
        good=(),
        bad=(holder.account,),
        missing=(site.account,),
        sound=(),
    )
    published = Shares(
        model=capsule.context, capsule=capsule.digest(), sealed={holder.account: bytes(1200)}
    )
    put(thief.public_bytes, "requests", at)
    put(nobody_else.to_bytes(), "capsules", head.name, by=head.partner)
    put(published.to_bytes(), "shares", head.name)
    put(own.signed(mallory).to_bytes(), "offers", at, by=mallory.account)
    for forged in (release, release.signed(mallory)):
        put(forged.to_bytes(), "releases", at, by=holder.account)
    for claimed in (offer, offer.signed(mallory)):
        put(claimed.to_bytes(), "offers", at, by=holder.account)
    for told in (report, report.signed(mallory)):
        put(told.to_bytes(), "openings", at)
    site.store.put(grants_prefix(site, slot, holder.account), grant.to_bytes())

    steps.release()
    steps.offer()
    session.fetch()
    session.lock()
    session.decrypt()
    session.train()
    steps.ask_upload(session)
    candidate_now = session.slot().candidate
    assert candidate_now is not None
    steps.vote()

    assert session.slot().state is SlotState.ACCEPTED
    (opened,) = [e for e in site.ledger.history(1) if e.name == "ModelOpened"][1:]
    assert [opened.arguments[word] for word in ("good", "bad", "missing")] == [3, 0, 0]
    assert [one.spare for one in recoverability_of(site, steps.view())] == [1, 1]
    objects = steps.simulated.consortium.store
    for record in (head, candidate_now):
        assert not Burglar(objects, [], [thief]).opens(site, record)
    assert Burglar(objects, [owner]).opens(site, head)
    session.close()
