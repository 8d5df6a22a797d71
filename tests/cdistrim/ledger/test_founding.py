"""A consortium is deployed once, where its account's nonces say, whatever a node tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import (
    ForeignContractError,
    IntegrityError,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger import Deployment, EthereumLedger, Member
from cdistrim.ledger.interface import Confirmations
from tests.chain import digest
from tests.fault_proxy import Answer, Fault, FaultProxy, Request, always, dead_after
from tests.reorganising import bare_chain, mine, mining, reorganise, sent_by

FOUNDERS = [Member("0x" + str(digit) * 40, f"hospital-{digit}") for digit in (1, 2, 3)]


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


def account(key: bytes) -> str:
    return str(Account.from_key(key).address)


def deploy(
    url: str,
    key: bytes,
    founders: list[Member] | None = None,
    *,
    confirmations: Confirmations = 0,
    timeout: float = 5,
    known: str | None = None,
    say: Callable[[str], object] = str,
) -> Deployment:
    return EthereumLedger.deploy(
        url,
        chain_id=CHAIN_ID,
        private_key=key,
        founders=FOUNDERS if founders is None else founders,
        timeout=timeout,
        confirmations=confirmations,
        known=known,
        say=say,
    )


def founders_at(url: str, contract: str) -> list[str]:
    ledger = EthereumLedger.connect(url, contract, chain_id=CHAIN_ID)
    return [member.name for member in ledger.members()]


def test_a_deployment_that_ends_at_any_request_is_finished_by_the_next_one(
    chain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cdistrim.ledger.node._READS", 1)
    monkeypatch.setattr("cdistrim.ledger.sending._SENDINGS", 1)
    sent_then = set()
    for requests in range(1, 60):
        key = digest("interrupted", requests)
        with FaultProxy(chain, dead_after(requests)) as line:
            whole = None
            with suppress(LedgerUnavailableError):
                whole = deploy(line.url, key)
        sent_then.add(sent_by(chain, account(key)))
        now = deploy(chain, key)
        assert sent_by(chain, account(key)) == 2, requests
        assert founders_at(chain, now.contract) == [founder.name for founder in FOUNDERS]
        if whole is not None:
            assert now == replace(whole, gas=0, repeated=True)
            break
    assert whole is not None
    assert sent_then == {0, 1, 2}


def test_the_same_again_is_found_long_after_and_its_first_block_with_it(chain: str) -> None:
    key = digest("long after")
    first = deploy(chain, key)
    mine(chain, 6_000)
    assert deploy(chain, key) == replace(first, gas=0, repeated=True)


def test_the_same_again_is_found_whatever_the_account_did_since(chain: str) -> None:
    key = digest("since")
    founders = [Member(account(key), "hospital-4"), *FOUNDERS[:2]]
    first = deploy(chain, key, founders)
    EthereumLedger.connect(chain, first.contract, chain_id=CHAIN_ID, account=key).publish_key(
        sealing_key=b"of hospital-4"
    )
    other = deploy(chain, key, founders[:2])
    assert other.contract != first.contract
    sent = sent_by(chain, account(key))
    told: list[str] = []
    for same in (founders, founders[::-1]):
        assert deploy(chain, key, same, say=told.append) == replace(first, gas=0, repeated=True)
    assert (sent_by(chain, account(key)), told) == (sent, [])


def test_a_deployment_waits_until_it_counts_also_when_it_is_found(chain: str) -> None:
    key = digest("careful")
    for sent in (1, 2, 2):  # the views, the contract, nothing
        with pytest.raises(LedgerUnavailableError, match="last block that counts"):
            deploy(chain, key, confirmations=2, timeout=0.5)
        assert sent_by(chain, account(key)) == sent
        if sent == 1:
            mine(chain, 2)
    mine(chain, 2)
    made = deploy(chain, key, confirmations=2, timeout=0.5)
    assert (made.repeated, sent_by(chain, account(key))) == (True, 2)
    with mining(chain):
        whole = deploy(chain, digest("careful too"), confirmations="finalized")
    assert not whole.repeated
    assert founders_at(chain, whole.contract) == [founder.name for founder in FOUNDERS]


def test_a_found_deployment_that_the_chain_takes_back_is_not_announced(chain: str) -> None:
    key = digest("taken back")
    made = deploy(chain, key)
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(deploy, chain, key, confirmations=2)
        with pytest.raises(TimeoutError):
            again.result(timeout=0.5)
        reorganise(chain, 1)
        with pytest.raises(LedgerUnavailableError, match=f"taken back .* {made.contract}"):
            again.result(timeout=20)


def test_what_another_founder_has_deployed_is_known_by_its_address(chain: str) -> None:
    one, other = digest("one"), digest("other")
    first = deploy(chain, one)
    again = deploy(chain, other, FOUNDERS[::-1], known=first.contract)
    assert (again, sent_by(chain, account(other))) == (replace(first, gas=0, repeated=True), 0)
    second = deploy(chain, other, FOUNDERS[:2], known=first.contract)
    assert (second.repeated, second.contract != first.contract) == (False, True)


def test_other_founders_are_another_consortium(chain: str) -> None:
    key = digest("others")
    first = deploy(chain, key)
    told: list[str] = []
    second = deploy(chain, key, FOUNDERS[:2], say=told.append)
    assert (second.repeated, second.contract != first.contract) == (False, True)
    assert founders_at(chain, second.contract) == ["hospital-1", "hospital-2"]
    assert told == ["Deploying the derived views …", "Deploying the contract for 2 founders …"]
    renamed = [FOUNDERS[0], replace(FOUNDERS[1], name="hospital-9")]
    third = deploy(chain, key, renamed)
    assert third.contract not in {first.contract, second.contract}


def test_a_deployment_that_got_no_answer_names_its_address(chain: str) -> None:
    key = digest("no answer")
    with (
        FaultProxy(chain, always(Fault.DROP, "eth_sendRawTransaction")) as line,
        pytest.raises(LedgerUnavailableError, match="may have arrived") as caught,
    ):
        deploy(line.url, key)
    assert deploy(chain, key).views in caught.value.what


def test_the_address_is_not_the_nodes_to_tell(chain: str) -> None:
    def lie(request: Request) -> Answer | None:
        if request.method != "eth_getTransactionReceipt":
            return None
        receipt = cast("dict[str, Any] | None", call(chain, request.method, *request.params))
        return Answer(receipt and receipt | {"contractAddress": "0x" + "66" * 20})

    with FaultProxy(chain, lie) as line:
        made = deploy(line.url, digest("lie"))
    assert founders_at(chain, made.contract) == [founder.name for founder in FOUNDERS]


@pytest.mark.parametrize("code", ["0x", "0x6001"])
def test_what_is_not_the_shipped_code_is_not_announced(chain: str, code: str) -> None:
    with (
        FaultProxy(chain, always(Answer(code), "eth_getCode")) as line,
        pytest.raises(ForeignContractError, match="code at 0x"),
    ):
        deploy(line.url, digest("code", code))


def test_a_node_that_hides_the_founders_does_not_make_it_deploy_again(chain: str) -> None:
    key = digest("hidden")
    deploy(chain, key)
    with (
        FaultProxy(chain, always(Answer([]), "eth_getLogs")) as line,
        pytest.raises(IntegrityError, match="no founders"),
    ):
        deploy(line.url, key)
    assert sent_by(chain, account(key)) == 2


@pytest.mark.parametrize(
    ("founders", "words"),
    [
        ([], "named were 0"),
        (FOUNDERS[:1], "named were 1"),
        ([Member(f"0x{n:040}", f"h{n}") for n in range(1, 52)], "named were 51"),
        ([FOUNDERS[0], FOUNDERS[0]], "2 founders have the account"),
        ([FOUNDERS[0], replace(FOUNDERS[1], name="hospital-1")], "2 founders have the name"),
        ([FOUNDERS[0], Member("0x" + "00" * 20, "nobody")], "nobody's account"),
        ([FOUNDERS[0], Member("0x" + "22" * 20, "No Name")], "member's name"),
        ([FOUNDERS[0], Member("0x" + "22" * 20, "new\n")], "member's name"),
        ([FOUNDERS[0], Member("0x" + "22" * 20, "Ä")], "member's name"),
        ([FOUNDERS[0], Member("0x" + "aB" * 20, "typing-error")], "typing error"),
    ],
)
def test_founders_that_are_wrong_cost_nothing(
    chain: str, founders: list[Member], words: str
) -> None:
    key = digest("wrong founders")
    with pytest.raises(UsageError, match=words):
        deploy(chain, key, founders)
    assert sent_by(chain, account(key)) == 0
