"""Transactions that stay under way, fail, or lose their nonce: nothing is sent twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import LedgerUnavailableError
from cdistrim.ledger import EthereumLedger, Receipt
from cdistrim.protocol import BallotKind, Mode
from cdistrim.spec import DeadlineSpec
from tests.chain import GENESIS_HASH, Consortium, digest, found, of_slot
from tests.fault_proxy import Answer, FaultProxy, Request, always
from tests.reorganising import bare_chain, mine, sent_by

STEP = {"slot": 1, "attempt": 1}


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


@contextmanager
def no_blocks(url: str) -> Iterator[None]:
    """Transactions stay under way, as where their fee is too low, until this is over."""
    call(url, "evm_setAutomine", False)
    try:
        yield
    finally:
        mine(url)
        call(url, "evm_setAutomine", True)


def impatient(hospitals: Consortium, member: int, *, url: str = "") -> EthereumLedger:
    return EthereumLedger.connect(
        url or hospitals.url,
        hospitals.address,
        chain_id=CHAIN_ID,
        account=hospitals.keys[member],
        timeout=1,
    )


def apart(ledger: EthereumLedger) -> EthereumLedger:
    """With a lock of its own, as in another process."""
    assert ledger._sender is not None
    ledger._sender._lock = threading.Lock()
    return ledger


def open_one(ledger: EthereumLedger, hospitals: Consortium, spec: str) -> tuple[int, Receipt]:
    return ledger.open_campaign(
        spec_hash=digest(spec),
        genesis_hash=GENESIS_HASH,
        order=hospitals.accounts,
        cycles=1,
        quorum=None,
        mode=Mode.HOLDOUT,
        deadlines=DeadlineSpec(),
    )


def test_a_campaign_whose_opening_stays_under_way_is_opened_once(chain: str) -> None:
    hospitals = found(chain, 2, seed="opening under way")
    before = sent_by(chain, hospitals.accounts[0])
    with no_blocks(chain):
        with pytest.raises(LedgerUnavailableError, match="not mined within 1 s"):
            open_one(impatient(hospitals, 0), hospitals, "spec")
        for _ in range(2):  # another process each: it knows nothing of the first one's
            with pytest.raises(LedgerUnavailableError, match=f"nonce {before}\\)") as caught:
                open_one(impatient(hospitals, 0), hospitals, "spec")
            assert hospitals.accounts[0] in caught.value.what
            assert "run the same again" in caught.value.hint
    number, receipt = open_one(impatient(hospitals, 0), hospitals, "spec")
    assert (number, receipt.repeated) == (1, True)
    assert hospitals.ledgers[1].campaigns() == 1
    assert sent_by(chain, hospitals.accounts[0]) == before + 1


def test_a_vote_that_stays_under_way_is_unavailable_and_not_refused(chain: str) -> None:
    hospitals = found(chain, 2, seed="vote under way")
    number = hospitals.open()
    hospitals.ledgers[0].request_fetch(campaign=number, **STEP, request_key_digest=digest("key"))
    about = of_slot(hospitals.ledgers[0], BallotKind.FETCH, campaign=number, **STEP)
    before = sent_by(chain, hospitals.accounts[1])
    with no_blocks(chain):
        for _ in range(2):
            with pytest.raises(LedgerUnavailableError):
                impatient(hospitals, 1).cast_vote(**about, approve=True)
    receipt = impatient(hospitals, 1).cast_vote(**about, approve=True)
    assert receipt.repeated
    assert sent_by(chain, hospitals.accounts[1]) == before + 1


def test_what_the_node_has_dropped_is_signed_anew_with_the_same_nonce(chain: str) -> None:
    hospitals = found(chain, 2, seed="dropped")
    before = sent_by(chain, hospitals.accounts[0])
    with no_blocks(chain):
        with pytest.raises(LedgerUnavailableError, match="not mined"):
            open_one(impatient(hospitals, 0), hospitals, "spec")
        call(chain, "anvil_removePoolTransactions", hospitals.accounts[0])
    number, receipt = open_one(impatient(hospitals, 0), hospitals, "spec")
    assert (number, receipt.repeated) == (1, False)
    assert sent_by(chain, hospitals.accounts[0]) == before + 1


@pytest.mark.parametrize("message", ["OldNonce", "invalid transaction"])
def test_a_nonce_that_is_gone_is_noticed_whatever_the_node_calls_it(
    chain: str, message: str
) -> None:
    hospitals = found(chain, 2, seed=message)
    account = hospitals.accounts[0]
    before = sent_by(chain, account)
    done: list[Request] = []

    def taken(request: Request) -> Answer | None:
        """Another process of this account is faster."""
        if request.method != "eth_sendRawTransaction" or done:
            return None
        done.append(request)
        hospitals.ledgers[0].publish_key(sealing_key=b"another process's")
        return Answer(error={"code": -32010, "message": message})

    with FaultProxy(chain, taken) as line:
        _, receipt = open_one(apart(impatient(hospitals, 0, url=line.url)), hospitals, "spec")
    assert not receipt.repeated
    assert sent_by(chain, account) == before + 2


def test_a_refusal_that_is_about_something_else_is_passed_on(chain: str) -> None:
    hospitals = found(chain, 2, seed="something else")
    refusal = Answer(error={"code": -32010, "message": "the moon is full"})
    with (
        FaultProxy(chain, always(refusal, "eth_sendRawTransaction")) as line,
        pytest.raises(LedgerUnavailableError, match="the moon is full"),
    ):
        open_one(impatient(hospitals, 0, url=line.url), hospitals, "spec")
