"""Wrong chains, foreign contracts, dead nodes, lost answers: named errors, nothing twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.devnet.directory import call, free_port
from cdistrim.errors import (
    ConfigurationError,
    ForeignContractError,
    KeyFileError,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger import EthereumLedger
from cdistrim.protocol import SlotState
from tests.chain import Consortium, digest, found, run_slot
from tests.fault_proxy import Answer, Fault, FaultProxy, always

Found = Callable[[int], Consortium]


def test_an_unreachable_chain_is_named_without_its_path() -> None:
    url = f"http://127.0.0.1:{free_port(0)}"
    with pytest.raises(LedgerUnavailableError) as caught:
        EthereumLedger.connect(f"{url}/v3/an-api-key", "0x" + "11" * 20, chain_id=1)
    assert url in str(caught.value)
    assert "an-api-key" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.code == "LedgerUnavailableError"
    assert caught.value.hint


def test_another_chain_id_is_refused_and_both_are_named(consortium: Found) -> None:
    hospitals = consortium(2)
    with pytest.raises(LedgerUnavailableError, match=r"id 31337; expected was 11155111"):
        EthereumLedger.connect(hospitals.url, hospitals.address, chain_id=11155111)


def test_an_address_without_code_is_refused(devnet: Devnet) -> None:
    with pytest.raises(ForeignContractError, match="no code"):
        EthereumLedger.connect(devnet.url, "0x" + "11" * 20, chain_id=CHAIN_ID)


def test_a_contract_with_one_other_byte_is_refused(consortium: Found) -> None:
    hospitals = consortium(2)
    code = str(call(hospitals.url, "eth_getCode", hospitals.address, "latest"))
    other = "0x" + "22" * 20
    call(hospitals.url, "anvil_setCode", other, code)
    EthereumLedger.connect(hospitals.url, other, chain_id=CHAIN_ID)
    flipped = code[:-1] + ("0" if code[-1] != "0" else "1")
    call(hospitals.url, "anvil_setCode", other, flipped)
    with pytest.raises(ForeignContractError, match="other code"):
        EthereumLedger.connect(hospitals.url, other, chain_id=CHAIN_ID)


@pytest.mark.parametrize(
    "address", ["", "0x1234", "hospital.eth", "0x" + "gg" * 20, "0x" + "aB" * 20, "AB" * 20]
)
def test_what_is_no_address_is_refused(devnet: Devnet, address: str) -> None:
    with pytest.raises(UsageError):
        EthereumLedger.connect(devnet.url, address, chain_id=CHAIN_ID)


def test_a_number_of_confirmations_that_is_none_is_refused_with_what_to_do() -> None:
    with pytest.raises(UsageError, match="-1 confirmations") as caught:
        EthereumLedger.connect("http://127.0.0.1:1", "0x" + "11" * 20, chain_id=1, confirmations=-1)
    assert "finalized" in caught.value.hint


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        EthereumLedger.connect("ftp://somewhere", "0x" + "11" * 20, chain_id=1)


def test_what_is_no_key_is_refused_and_not_shown(consortium: Found) -> None:
    hospitals = consortium(2)
    with pytest.raises(KeyFileError) as caught:
        EthereumLedger.connect(
            hospitals.url, hospitals.address, chain_id=CHAIN_ID, account="c0ffee"
        )
    assert "c0ffee" not in repr(caught.value)
    assert caught.value.__cause__ is None


def test_an_account_that_cannot_pay_is_told_so(devnet: Devnet) -> None:
    costly = always(Answer(hex(10**9)), "eth_gasPrice")
    with FaultProxy(devnet.url, costly) as line, pytest.raises(ConfigurationError):
        found(line.url, 2, seed="poor")


def test_a_chain_that_is_killed_under_way_is_unavailable(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        hospitals = found(chain.url, 2)
        number = hospitals.open()
        status = chain.status()
        assert status is not None
        os.kill(status.anvil_pid, signal.SIGKILL)
        ledger = hospitals.ledgers[0]
        with pytest.raises(LedgerUnavailableError):
            ledger.campaign(number)
        with pytest.raises(LedgerUnavailableError):
            ledger.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest(1))


def test_a_ledger_goes_on_after_its_chain_was_restarted(tmp_path: Path) -> None:
    port = free_port(0)
    with Devnet(tmp_path, port=port) as chain:
        hospitals = found(chain.url, 3)
        number = hospitals.open()
        run_slot(hospitals, number, 1)
        before = hospitals.ledgers[0].campaign(number), hospitals.ledgers[0].history(number)
    with Devnet(tmp_path, port=port) as chain:
        again = hospitals.ledgers[0]
        fresh = EthereumLedger.connect(chain.url, hospitals.address, chain_id=CHAIN_ID)
        for ledger in (again, fresh):
            assert ledger.history(number) == before[1]
            view = ledger.campaign(number)
            assert (view.slot, view.head) == (before[0].slot, before[0].head)
            assert view.now >= before[0].now
        run_slot(hospitals, number, 2)
        assert fresh.slot(number, 2).state is SlotState.ACCEPTED


def test_events_are_read_again_after_a_reorganisation(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        hospitals = found(chain.url, 2)
        number = hospitals.open()
        owner = hospitals.ledgers[0]
        step = {"campaign": number, "slot": 1, "attempt": 1}
        owner.request_fetch(**step, request_key_digest=digest(1))
        assert owner.history(number)[-1].name == "BallotOpened"
        call(chain.url, "anvil_reorg", 1, [])
        assert owner.history(number)[-1].name == "SlotOpened"
        assert not owner.request_fetch(**step, request_key_digest=digest(1)).repeated


STALE = {"code": -32000, "message": "nonce too low"}


@pytest.mark.parametrize(
    "fault", [*Fault, Answer(error=STALE, forward=True), Answer(error=STALE)], ids=str
)
def test_a_fault_on_the_way_does_not_repeat_an_effect(
    consortium: Found, fault: Fault | Answer
) -> None:
    hospitals = consortium(3)
    number = hospitals.open()
    before = len(hospitals.ledgers[0].history(number))
    with FaultProxy(hospitals.url, always(fault, "eth_sendRawTransaction", times=1)) as line:
        owner = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        receipt = owner.request_fetch(
            campaign=number, slot=1, attempt=1, request_key_digest=digest(1)
        )
    assert not receipt.repeated
    events = hospitals.ledgers[1].history(number)[before:]
    assert [event.name for event in events] == ["FetchRequested", "BallotOpened"]
    assert {event.transaction for event in events} == {receipt.transaction}
    sent = int(str(call(hospitals.url, "eth_getTransactionCount", owner.account, "latest")), 16)
    assert sent == 4  # key published, opened, enrolled, requested


def test_a_chain_that_never_answers_a_send_leaves_a_way_out(consortium: Found) -> None:
    hospitals = consortium(2)
    number = hospitals.open()
    with FaultProxy(hospitals.url, always(Fault.DROP, "eth_sendRawTransaction")) as line:
        owner = EthereumLedger.connect(
            line.url, hospitals.address, chain_id=CHAIN_ID, account=hospitals.keys[0]
        )
        with pytest.raises(LedgerUnavailableError, match="may have arrived") as caught:
            owner.request_fetch(campaign=number, slot=1, attempt=1, request_key_digest=digest(1))
    assert "again" in caught.value.hint
    receipt = hospitals.ledgers[0].request_fetch(
        campaign=number, slot=1, attempt=1, request_key_digest=digest(1)
    )
    assert not receipt.repeated
