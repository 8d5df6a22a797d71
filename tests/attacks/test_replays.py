"""A replayed token, vote or share: of another slot, attempt, contract or chain, or somebody else's.

Who replays has everything that was ever said in public, and a colluding partner's account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from cdistrim import custody
from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.devnet.directory import call
from cdistrim.errors import LedgerRefusal, LedgerUnavailableError, SealError
from cdistrim.grants import grants_prefix, offers_prefix
from cdistrim.ledger import EthereumLedger, Member, SignedVote
from cdistrim.ledger.words import ballot_word
from cdistrim.messages import OfferedKey, Release
from cdistrim.opening import gather
from cdistrim.protocol import BallotId, BallotKind, Mode, SlotState
from cdistrim.releasing import release_share
from cdistrim.spec import DeadlineSpec
from tests.attacks.outlaws import Outlaw, storage_of
from tests.chain import GENESIS_HASH, SPEC_HASH, Consortium, candidate, digest, found, run_slot
from tests.simulated import SimulatedConsortium
from tests.stepping import Stepper

Simulate = Callable[..., SimulatedConsortium]
OTHER_CHAIN = CHAIN_ID + 1


def asked_fetch(ledgers: tuple[EthereumLedger, ...], accounts: tuple[str, ...]) -> BallotId:
    """A campaign is open, and the first slot's fetch asked for: the same words on every chain."""
    three = Consortium("", "", tuple(Member(a, "") for a in accounts), ledgers, ())
    number = three.open()
    ledgers[0].request_fetch(
        campaign=number, slot=1, attempt=1, request_key_digest=digest("request")
    )
    return BallotId(BallotKind.FETCH, number, 1, 1, accounts[0])


def another_campaign(hospitals: Consortium) -> None:
    """The same once more, by another member: its number is 2."""
    hospitals.ledgers[1].open_campaign(
        spec_hash=SPEC_HASH,
        genesis_hash=GENESIS_HASH,
        order=hospitals.accounts,
        cycles=1,
        quorum=None,
        mode=Mode.HOLDOUT,
        deadlines=DeadlineSpec(),
    )
    for ledger in hospitals.ledgers:
        ledger.enrol(campaign=2, cases=10, data_commitment=digest("data"), evaluator=True)


def signed(ledger: EthereumLedger, ballot: BallotId) -> SignedVote:
    """A yes for weeks."""
    asked = ledger.ballot(ballot)
    assert asked is not None
    deadline = ledger.now() + 30 * 24 * 3600
    return ledger.sign_vote(ballot=ballot, subject=asked.subject, approve=True, deadline=deadline)


def hand_in(ledger: EthereumLedger, vote: SignedVote, ballot: BallotId | None = None) -> None:
    """A partner hands in somebody's vote, maybe in another ballot than it was signed for."""
    meant = ballot or vote.ballot
    asked = ledger.ballot(meant)
    assert asked is not None
    ledger.cast_votes(ballot=meant, subject=asked.subject, votes=[vote])


def refused(ledger: EthereumLedger, vote: SignedVote, ballot: BallotId | None = None) -> str:
    """How the contract calls its reason; the ballot's count is what it was."""
    meant = ballot or vote.ballot
    before = ledger.ballot(meant)
    with pytest.raises(LedgerRefusal) as reason:
        hand_in(ledger, vote, ballot)
    assert ledger.ballot(meant) == before
    return reason.value.name


# --- votes ----------------------------------------------------------------------------------------


def test_a_signed_vote_counts_once(consortium: Callable[[int], Consortium]) -> None:
    five = consortium(5)
    ballot = asked_fetch(five.ledgers, five.accounts)
    vote, mallory = signed(five.ledgers[1], ballot), five.ledgers[4]
    hand_in(mallory, vote)
    raw = Outlaw(five.url, five.address, chain_id=CHAIN_ID, key=five.keys[4])
    fields = (vote.approve, 0, vote.deadline, vote.signature[:32], vote.signature[32:])
    twice = ballot_word(ballot), digest("request"), [fields, fields]
    assert raw.send("castVotes", twice)

    now = five.ledgers[0].ballot(ballot)
    assert now is not None
    assert (now.yes, now.no) == (2, 0)
    hand_in(mallory, signed(five.ledgers[2], ballot))
    assert five.ledgers[0].slot(1, 1).state is SlotState.FETCH_GRANTED


def test_a_signed_vote_counts_in_no_other_ballot(consortium: Callable[[int], Consortium]) -> None:
    five = consortium(5)
    ballot = asked_fetch(five.ledgers, five.accounts)
    vote, mallory = signed(five.ledgers[1], ballot), five.ledgers[4]
    for voter in five.ledgers[2:4]:
        hand_in(mallory, signed(voter, ballot))
    at = {"campaign": 1, "slot": 1, "attempt": 1}
    owner = five.ledgers[0]
    owner.report_opened(**at)
    owner.request_upload(**at, candidate=candidate(1, 0))
    assert refused(mallory, vote, replace(ballot, kind=BallotKind.UPLOAD)) == "NoVote"
    # Nor in another campaign, though the one-time key is the same there.
    another_campaign(five)
    owner.request_fetch(campaign=2, slot=1, attempt=1, request_key_digest=digest("request"))
    other = replace(ballot, campaign=2)
    assert refused(mallory, vote, other) == "NoVote"
    hand_in(mallory, signed(five.ledgers[1], other))
    now = owner.ballot(other)
    assert now is not None
    assert now.yes == 2


def test_a_signed_vote_counts_for_no_other_attempt(consortium: Callable[[int], Consortium]) -> None:
    five = consortium(5)
    ballot = asked_fetch(five.ledgers, five.accounts)
    vote, owner = signed(five.ledgers[1], ballot), five.ledgers[0]
    owner.propose_removal(account=five.accounts[4])
    (proposal,) = owner.proposals()
    for voter in five.ledgers[1:3]:
        voter.cast_vote(ballot=proposal.ballot.id, subject=proposal.ballot.subject, approve=True)
    owner.apply_removals(campaign=1)
    owner.request_fetch(campaign=1, slot=1, attempt=2, request_key_digest=digest("request"))
    again = replace(ballot, attempt=2)
    assert refused(five.ledgers[3], vote, again) == "NoVote"
    hand_in(five.ledgers[3], signed(five.ledgers[1], again))
    now = owner.ballot(again)
    assert now is not None
    assert now.yes == 2


@dataclass(frozen=True)
class Elsewhere:
    """The same members with the same keys, and the same campaign, behind another contract."""

    here: tuple[EthereumLedger, ...]
    there: tuple[EthereumLedger, ...]
    keys: tuple[bytes, ...]
    urls: tuple[str, str]


def deployed(url: str, chain_id: int, keys: tuple[bytes, ...], by: bytes) -> list[EthereumLedger]:
    """A consortium of these members, whose contract is deployed by this account."""
    members = [
        Member(Outlaw(url, "", chain_id=chain_id, key=key).address, f"hospital-{index}")
        for index, key in enumerate(keys, 1)
    ]
    address = EthereumLedger.deploy(
        url, chain_id=chain_id, private_key=by, founders=members
    ).contract
    ledgers = [EthereumLedger.connect(url, address, chain_id=chain_id, account=key) for key in keys]
    for index, ledger in enumerate(ledgers):
        ledger.publish_key(sealing_key=digest("seal", index) * 38)
    return ledgers


@pytest.fixture(params=["another contract", "another chain"])
def elsewhere(
    request: pytest.FixtureRequest, devnet: Devnet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Elsewhere]:
    """On another chain the contract has the very same address: only the chain's id differs."""
    keys = tuple(digest("replayed", request.param, index) for index in range(3))
    deployer = digest("deployer", request.param)
    here = deployed(devnet.url, CHAIN_ID, keys, deployer)
    if request.param == "another contract":
        there = deployed(devnet.url, CHAIN_ID, keys, digest("another deployer"))
        assert there[0].address != here[0].address
        yield Elsewhere(tuple(here), tuple(there), keys, (devnet.url, devnet.url))
        return
    with Devnet(tmp_path_factory.mktemp("other"), chain_id=OTHER_CHAIN) as other:
        there = deployed(other.url, OTHER_CHAIN, keys, deployer)
        assert there[0].address == here[0].address
        yield Elsewhere(tuple(here), tuple(there), keys, (devnet.url, other.url))


def test_a_vote_that_was_signed_for_another_contract_or_chain_is_refused(
    elsewhere: Elsewhere,
) -> None:
    accounts = tuple(str(ledger.account) for ledger in elsewhere.here)
    ballot = asked_fetch(elsewhere.here, accounts)
    assert asked_fetch(elsewhere.there, accounts) == ballot
    theirs = elsewhere.there[0].ballot(ballot)
    ours = elsewhere.here[0].ballot(ballot)
    assert theirs is not None
    assert ours is not None
    # The same in every word that a vote names; until when it is open, none does.
    assert replace(ours, deadline=theirs.deadline) == theirs
    vote = signed(elsewhere.there[1], ballot)

    assert refused(elsewhere.here[2], vote) == "NoVote"
    assert elsewhere.here[0].slot(1, 1).state is SlotState.FETCH_REQUESTED

    hand_in(elsewhere.there[2], vote)
    assert elsewhere.there[0].slot(1, 1).state is SlotState.FETCH_GRANTED


def handed_over(url: str, raw: str) -> None:
    """Give a chain a transaction, which it may refuse; a block has it then, if one ever will."""
    with suppress(LedgerUnavailableError):
        call(url, "eth_sendRawTransaction", raw)
    call(url, "evm_mine")


def test_a_transaction_of_another_contract_or_chain_changes_nothing_here(
    elsewhere: Elsewhere,
) -> None:
    accounts = tuple(str(ledger.account) for ledger in elsewhere.here)
    ballot = asked_fetch(elsewhere.here, accounts)
    asked_fetch(elsewhere.there, accounts)
    here, there = elsewhere.here[0], elsewhere.there[0]
    voter = Outlaw(elsewhere.urls[1], there.address, chain_id=there.chain_id, key=elsewhere.keys[1])
    raw = voter.signed("castVote", (ballot_word(ballot), digest("request"), True, 0))
    before = storage_of(elsewhere.urls[0], here.address)

    handed_over(elsewhere.urls[0], raw)  # This chain refuses what another's id was signed on.

    assert storage_of(elsewhere.urls[0], here.address) == before
    assert here.slot(1, 1).state is SlotState.FETCH_REQUESTED
    handed_over(elsewhere.urls[1], raw)  # There it is known by now, if it is the same chain.
    assert there.slot(1, 1).state is SlotState.FETCH_GRANTED


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_no_use_to_somebody_else_nor_in_another_slot_attempt_or_campaign(
    devnet: Devnet,
) -> None:
    three = found(devnet.url, 3, seed="tokens")
    three.open()
    owner, mallory = three.ledgers[0], three.ledgers[1]
    at = {"campaign": 1, "slot": 1, "attempt": 1}
    owner.request_fetch(**at, request_key_digest=digest("request"))
    hand_in(mallory, signed(mallory, BallotId(BallotKind.FETCH, 1, 1, 1, three.accounts[0])))
    assert owner.slot(1, 1).state is SlotState.FETCH_GRANTED
    another_campaign(three)

    def why(ledger: EthereumLedger, **changes: int) -> str:
        with pytest.raises(LedgerRefusal) as reason:
            ledger.report_opened(**(at | changes))
        return reason.value.name

    assert why(mallory) == "NotYourTurn"
    assert why(owner, slot=2) == "WrongSlot"
    assert why(owner, attempt=2) == "WrongAttempt"
    assert why(owner, campaign=2) == "WrongState"
    owner.report_opened(**at)
    assert owner.slot(1, 1).state is SlotState.TRAINING
    # Redeemed again it says that it was, and nothing more happens.
    assert owner.report_opened(**at).repeated
    raw = Outlaw(three.url, three.address, chain_id=CHAIN_ID, key=three.keys[0])
    assert raw.refusal("reportOpened", (1, 1, 1, 0, 0, 0)) == "WrongState"


def test_the_token_of_a_slot_that_is_over_is_worth_nothing(devnet: Devnet) -> None:
    three = found(devnet.url, 3, seed="old tokens")
    three.open()
    run_slot(three, 1, 1)
    raw = Outlaw(three.url, three.address, chain_id=CHAIN_ID, key=three.keys[0])
    assert raw.refusal("reportOpened", (1, 1, 1, 0, 0, 0)) == "WrongSlot"
    assert raw.refusal("reportOpened", (1, 2, 1, 0, 0, 0)) == "NotYourTurn"


# --- shares and offers ----------------------------------------------------------------------------


def forged(release: Release, **changes: object) -> Release:
    """The same sealed share under other words."""
    return release.model_copy(update={"signature": b"", **changes})


@pytest.mark.parametrize(
    "how",
    [
        *("as it is", "in another's name", "resigned by another", "for another requester"),
        *("for another slot", "for another attempt", "for another chain", "for another contract"),
    ],
)
def test_a_share_opens_where_its_holder_released_it_and_nowhere_else(
    granted: Stepper, how: str
) -> None:
    steps = granted
    session = steps.session()
    owner, slot = session.site, session.slot()
    holder, mallory = steps.sites["hospital-1"], steps.sites["hospital-3"]
    head = owner.ledger.model(1, 1)
    (capsule,) = custody.capsules(owner, 1, head)
    at = {"slot": slot.number, "attempt": slot.attempt}
    (release,) = _released(steps, holder.account)
    changes: Mapping[str, tuple[dict[str, Any], Any]] = {
        "as it is": ({}, holder),
        "in another's name": ({"holder": mallory.account.lower()}, mallory),
        "resigned by another": ({}, mallory),
        # A colluding holder signs whatever is wanted; its share stays sealed as it was.
        "for another requester": ({"requester": mallory.account.lower()}, holder),
        "for another slot": ({"slot": 3}, holder),
        "for another attempt": ({"attempt": 2}, holder),
        "for another chain": ({"model": replace(release.model, chain_id=OTHER_CHAIN)}, holder),
        "for another contract": (
            {"model": replace(release.model, contract="0x" + "ab" * 20)},
            holder,
        ),
    }
    words, signer = changes[how]
    replayed = forged(release, **words).signed(signer.keys)
    # Everything else that was released goes, so that this alone could open.
    _forget_releases(steps)
    where = custody.prefix(owner, replayed.holder, 1, "releases", f"{slot.number}-{slot.attempt}")
    owner.store.put(where, replayed.to_bytes())

    gathered, *_ = gather(owner, 1, head, **at)

    others = set(gathered.good) - {owner.account.lower()}
    assert others == ({holder.account.lower()} if how == "as it is" else set())
    assert gathered.enough is (how == "as it is")
    blamed = {
        "in another's name": (mallory.account.lower(),),
        "for another requester": (holder.account.lower(),),
        "for another slot": (holder.account.lower(),),
        "for another attempt": (holder.account.lower(),),
        "for another chain": (holder.account.lower(),),
        "for another contract": (holder.account.lower(),),
    }
    assert gathered.bad == blamed.get(how, ())
    _forget_releases(steps)
    put_back = custody.prefix(owner, holder.account, 1, "releases", f"{slot.number}-{slot.attempt}")
    owner.store.put(put_back, release.to_bytes())
    assert capsule.holds(owner.account)


@pytest.fixture(scope="module")
def granted(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Stepper:
    """The second slot's fetch is granted, and one holder has released its share."""
    steps = Stepper(SimulatedConsortium(tmp_path_factory.mktemp("granted"), devnet.url, size=3))
    steps.accept()
    steps.ask_fetch()
    assert release_share(steps.sites["hospital-1"], steps.view())
    return steps


def _released(steps: Stepper, holder: str) -> list[Release]:
    where = custody.prefix(steps.any, holder, 1, "releases", "2-1")
    return list(custody.read_messages(steps.any, where, Release))


def _forget_releases(steps: Stepper) -> None:
    for folder in steps.simulated.consortium.store.rglob("releases"):
        for path in folder.rglob("*"):
            if path.is_file():
                path.unlink()


def test_a_share_that_was_sealed_for_somebody_else_is_nobodys(granted: Stepper) -> None:
    """What lies in the capsule for one holder does not open for another, whatever it is called."""
    site = granted.any
    head = site.ledger.model(1, 1)
    (capsule,) = custody.capsules(site, 1, head)
    holders = dict(capsule.holders)
    mine, other = (granted.sites[name].account.lower() for name in ("hospital-2", "hospital-3"))
    swapped = {mine: holders[other], other: holders[mine]}
    turned = capsule.model_copy(update={"holders": {**holders, **swapped}})
    thief = granted.sites["hospital-2"]
    for account in (mine, other):
        with pytest.raises(SealError):
            turned.open_share(account, thief.keys.opening_keys, capsule.context)
    assert capsule.open_share(mine, thief.keys.opening_keys, capsule.context).index > 0


def test_an_offer_of_another_slot_attempt_contract_or_chain_is_granted_nothing(
    simulate: Simulate,
) -> None:
    steps = Stepper(simulate(size=3))
    session = steps.open_head()
    session.train()
    session.evaluate()
    session.encrypt()
    evaluator = steps.sites["hospital-2"]
    where = offers_prefix(evaluator, evaluator.account, 1, 1, 1)
    (offer,) = custody.read_messages(evaluator, where, OfferedKey)
    for path in (steps.simulated.consortium.store / where).iterdir():
        path.unlink()
    # Its own signature is under each: these are what it may have offered elsewhere.
    for elsewhere in (
        replace(offer.model, slot=2),
        replace(offer.model, attempt=2),
        replace(offer.model, contract="0x" + "ab" * 20),
        replace(offer.model, chain_id=OTHER_CHAIN),
        replace(offer.model, campaign=2),
    ):
        replayed = offer.model_copy(update={"signature": b"", "model": elsewhere})
        evaluator.store.put(where, replayed.signed(evaluator.keys).to_bytes())
    session.deposit()
    assert evaluator.store.list(grants_prefix(evaluator, session.slot(), evaluator.account)) == ()

    evaluator.store.put(where, offer.to_bytes())
    session.answer_offers(session.slot())
    granted = grants_prefix(evaluator, session.slot(), evaluator.account)
    assert len(evaluator.store.list(granted)) == 1
    session.close()
