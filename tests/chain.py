"""A real development chain and real consortia on it, for tests: fixtures and factories."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.devnet.directory import call
from cdistrim.ledger import Candidate, EthereumLedger, Ledger, Member, Receipt
from cdistrim.protocol import BallotId, BallotKind, BallotState, Evidence, Mode
from cdistrim.site import Site
from cdistrim.spec import DeadlineSpec

SPEC_HASH = hashlib.sha256(b"spec").digest()
GENESIS_HASH = hashlib.sha256(b"genesis").digest()
BETTER = Evidence(0.75, 0.80, 0.0004, 20, 30)
WORSE = Evidence(0.75, 0.60, 0.0004, 20, 30)


def digest(*words: object) -> bytes:
    """32 bytes that differ wherever the words do."""
    return hashlib.sha256(repr(words).encode()).digest()


@dataclass(frozen=True)
class Consortium:
    """A deployed contract and one ledger per member, in order of their names."""

    url: str
    address: str
    members: tuple[Member, ...]
    ledgers: tuple[EthereumLedger, ...]
    keys: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def of_sites(cls, url: str, sites: Sequence[Site]) -> Consortium:
        """The ledgers of sites that are members, in order of admission."""
        return cls(
            url,
            sites[0].contract,
            sites[0].ledger.members(),
            tuple(site.ledger for site in sites),
            tuple(site.keys.private_key for site in sites),
        )

    @property
    def accounts(self) -> tuple[str, ...]:
        """The members' accounts."""
        return tuple(member.account for member in self.members)

    def open(
        self, *, mode: Mode = Mode.HOLDOUT, cycles: int = 1, deadlines: DeadlineSpec | None = None
    ) -> int:
        """Open a campaign of all members, who enrol as evaluators with 10, 11, … cases."""
        number, _ = self.ledgers[0].open_campaign(
            spec_hash=SPEC_HASH,
            genesis_hash=GENESIS_HASH,
            order=self.accounts,
            cycles=cycles,
            quorum=None,
            mode=mode,
            deadlines=deadlines or DeadlineSpec(),
        )
        for index, ledger in enumerate(self.ledgers):
            ledger.enrol(
                campaign=number,
                cases=10 + index,
                data_commitment=digest("data", index),
                evaluator=True,
            )
        return number

    def of(self, account: str) -> EthereumLedger:
        """The ledger that signs with this account."""
        return self.ledgers[self.accounts.index(account)]


def candidate(slot: int, parent: int, *, mode: Mode = Mode.HOLDOUT) -> Candidate:
    """What the owner of a slot would ask to upload."""
    whole = Candidate(
        parent=parent,
        weights_hash=digest("weights", slot),
        evidence=BETTER,
        ciphertext_hash=digest("ciphertext", slot),
        capsule_hash=digest("capsule", slot),
    )
    if mode is Mode.REPORTED:
        return Candidate(whole.parent, whole.weights_hash, whole.evidence)
    return whole


class Named(TypedDict):
    """What a vote is about, as keyword arguments."""

    ballot: BallotId
    subject: bytes


def of_slot(ledger: Ledger, kind: BallotKind, *, campaign: int, slot: int, attempt: int) -> Named:
    """A slot's ballot and its subject, zero if there is none."""
    name = BallotId(kind, campaign, slot, attempt, ledger.slot(campaign, slot).owner)
    found = ledger.ballot(name)
    return {"ballot": name, "subject": found.subject if found else bytes(32)}


def found(url: str, size: int, *, seed: str = "") -> Consortium:
    """Deploy a new consortium of ``size`` members whose keys are derived from ``seed``."""
    keys = [digest("key", seed, index) for index in range(size)]
    members = []
    for index, key in enumerate(keys):
        account = _account(key)
        members.append(Member(account, f"hospital-{index + 1}", digest("seal", index) * 38))
    somebody = secrets.token_bytes(32)  # a member would find the one that it has deployed before
    address = EthereumLedger.deploy(
        url, chain_id=CHAIN_ID, private_key=somebody, founders=members
    ).contract
    ledgers = [EthereumLedger.connect(url, address, chain_id=CHAIN_ID, account=key) for key in keys]
    for ledger, member in zip(ledgers, members, strict=True):
        ledger.publish_key(sealing_key=member.sealing_key)
    return Consortium(url, address, tuple(members), tuple(ledgers), tuple(keys))


def _account(key: bytes) -> str:
    return str(Account.from_key(key).address)


def travel(url: str, seconds: int) -> None:
    """Move the chain's clock forward."""
    call(url, "evm_increaseTime", seconds)


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """One chain for a whole test session."""
    # Nobody loads this chain again.
    with Devnet(tmp_path_factory.mktemp("devnet"), dump_share=0.001) as chain:
        yield chain


@pytest.fixture
def consortium(devnet: Devnet, request: pytest.FixtureRequest) -> Callable[[int], Consortium]:
    """Make a consortium of n members of its own on the session's chain."""

    def make(size: int) -> Consortium:
        return found(devnet.url, size, seed=request.node.nodeid)

    return make


def run_slot(
    consortium: Consortium,
    campaign: int,
    number: int,
    *,
    approve: bool = True,
) -> list[Receipt]:
    """Play the open slot to its end with as few votes as decide it; what was written."""
    view = consortium.ledgers[0].campaign(campaign)
    assert view.slot is not None
    assert view.slot.number == number
    owner, attempt = consortium.of(view.slot.owner), view.slot.attempt
    asked = candidate(number, view.head, mode=view.mode)
    receipts = [
        owner.request_fetch(
            campaign=campaign,
            slot=number,
            attempt=attempt,
            request_key_digest=digest("request", number),
        ),
        *_votes(consortium, campaign, BallotKind.FETCH, approve=True),
        owner.report_opened(campaign=campaign, slot=number, attempt=attempt),
        owner.request_upload(campaign=campaign, slot=number, attempt=attempt, candidate=asked),
        *_votes(consortium, campaign, BallotKind.UPLOAD, approve=approve),
    ]
    if approve and view.mode is Mode.REPORTED:
        whole = candidate(number, view.head)
        receipts.append(
            owner.confirm_upload(campaign=campaign, slot=number, attempt=attempt, candidate=whole)
        )
    return receipts


def run_campaign(consortium: Consortium, *, rejected: Collection[int] = ()) -> int:
    """Open a campaign of one cycle and play all its slots; its number."""
    number = consortium.open()
    for slot in range(1, len(consortium.members) + 1):
        run_slot(consortium, number, slot, approve=slot not in rejected)
    return number


def agree(hospitals: Consortium, ballot: BallotId) -> None:
    """The electorate says yes, one after the other, until the ballot has passed."""
    for account in hospitals.accounts:
        now = hospitals.ledgers[0].ballot(ballot)
        assert now is not None
        if now.waits_for(account):
            voter = hospitals.of(account)
            voter.cast_vote(ballot=ballot, subject=now.subject, approve=True)
    decided = hospitals.ledgers[0].ballot(ballot)
    assert decided is not None
    assert decided.state is BallotState.PASSED


def _votes(
    consortium: Consortium, campaign: int, kind: BallotKind, *, approve: bool
) -> list[Receipt]:
    receipts = []
    first = consortium.ledgers[0].campaign(campaign).slot
    assert first is not None
    assert first.ballot is not None
    for account in first.ballot.electorate:
        now = consortium.ledgers[0].campaign(campaign).slot
        if now is None or now.number != first.number or now.ballot is None:
            break
        if now.ballot.kind is not kind or not now.ballot.waits_for(account):
            continue
        receipts.append(
            consortium.of(account).cast_vote(
                ballot=now.ballot.id,
                subject=now.ballot.subject,
                approve=approve,
                evidence=(BETTER if approve else WORSE) if kind is BallotKind.UPLOAD else None,
            )
        )
    return receipts
