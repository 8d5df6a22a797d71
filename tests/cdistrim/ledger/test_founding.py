"""A consortium is deployed once, where its account's nonces say, whatever a node tells."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from eth_account import Account

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.directory import call
from cdistrim.errors import (
    CDistriMError,
    ForeignContractError,
    IntegrityError,
    LedgerRefusal,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger import Deployment, EthereumLedger, Member
from tests.chain import digest
from tests.fault_proxy import Answer, Fault, FaultProxy, Request, always, dead_after
from tests.reorganising import bare_chain, mine, sent_by

FOUNDERS = [Member("0x" + str(digit) * 40, f"hospital-{digit}") for digit in (1, 2, 3)]


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    with bare_chain() as url:
        yield url


def account(key: bytes) -> str:
    return str(Account.from_key(key).address)


def deploy(url: str, key: bytes, founders: list[Member] | None = None) -> Deployment:
    return EthereumLedger.deploy(
        url,
        chain_id=CHAIN_ID,
        private_key=key,
        founders=FOUNDERS if founders is None else founders,
        timeout=5,
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


def test_other_founders_are_another_consortium(chain: str) -> None:
    key = digest("others")
    first = deploy(chain, key)
    second = deploy(chain, key, FOUNDERS[:2])
    assert (second.repeated, second.contract != first.contract) == (False, True)
    assert founders_at(chain, second.contract) == ["hospital-1", "hospital-2"]
    third = deploy(chain, key, FOUNDERS[1::-1])
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
    ("founders", "error"),
    [
        ([], LedgerRefusal),
        (FOUNDERS[:1], LedgerRefusal),
        ([FOUNDERS[0], FOUNDERS[0]], LedgerRefusal),
        ([FOUNDERS[0], Member("0x" + "00" * 20, "nobody")], LedgerRefusal),
        ([FOUNDERS[0], Member("0x" + "22" * 20, "No Name")], LedgerRefusal),
        ([FOUNDERS[0], Member("0x" + "22" * 20, "Ä")], UsageError),
        ([FOUNDERS[0], Member("0x" + "aB" * 20, "typing-error")], UsageError),
    ],
)
def test_founders_that_are_wrong_cost_nothing(
    chain: str, founders: list[Member], error: type[CDistriMError]
) -> None:
    key = digest("wrong founders")
    with pytest.raises(error):
        deploy(chain, key, founders)
    assert sent_by(chain, account(key)) == 0
