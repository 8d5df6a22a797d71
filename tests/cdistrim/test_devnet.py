"""The development chain keeps everything over stops, kills and the death of its owner."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from cdistrim.devnet import CHAIN_ID, Devnet, DevnetStatus, find_anvil
from cdistrim.devnet.directory import call, command_line, free_port, latest
from cdistrim.errors import ConfigurationError, LedgerUnavailableError

# Creation code of a contract that emits one log whenever it is called:
# PUSH1 2a PUSH1 0 PUSH1 0 LOG1 STOP.
LOGGER = "0x67602a60006000a10060005260086018f3"
SENDER = "0x" + "11" * 20


def send(url: str, **fields: str) -> str:
    """A transaction from an account whose key nobody has; its hash, once it is mined."""
    call(url, "anvil_impersonateAccount", SENDER)
    digest = str(call(url, "eth_sendTransaction", {"from": SENDER, "gasPrice": "0x0", **fields}))
    until(lambda: call(url, "eth_getTransactionReceipt", digest) is not None)
    return digest


def emit(url: str, times: int) -> None:
    """Deploy a logger and call it."""
    receipt = cast("Any", call(url, "eth_getTransactionReceipt", send(url, data=LOGGER)))
    for _ in range(times):
        send(url, to=receipt["contractAddress"])


def chain_of(url: str) -> tuple[object, ...]:
    """Everything that must survive: blocks, logs, and each transaction with its receipt."""
    last = int(str(call(url, "eth_blockNumber")), 16)
    blocks = [
        cast("Any", call(url, "eth_getBlockByNumber", hex(n), False)) for n in range(last + 1)
    ]
    digests = [digest for block in blocks for digest in block["transactions"]]
    return (
        [block["hash"] for block in blocks],
        call(url, "eth_getLogs", {"fromBlock": "0x0", "toBlock": hex(last)}),
        [call(url, "eth_getTransactionReceipt", digest) for digest in digests],
        [call(url, "eth_getTransactionByHash", digest) for digest in digests],
    )


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def gone(*pids: int) -> bool:
    return not any(command_line(pid) for pid in pids)


def running(chain: Devnet) -> DevnetStatus:
    status = chain.status()
    assert status is not None
    return status


def test_the_whole_chain_survives_a_restart(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        emit(chain.url, 3)
        before = chain_of(chain.url)
        status = running(chain)
    assert gone(status.pid, status.anvil_pid)
    with Devnet(tmp_path) as chain:
        assert chain_of(chain.url) == before
        assert len(cast("list[object]", before[1])) == 3
        emit(chain.url, 1)
        assert len(cast("list[object]", chain_of(chain.url)[1])) == 4


def test_blocks_are_not_older_than_those_before_a_restart(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        call(chain.url, "evm_increaseTime", 5000)
        emit(chain.url, 0)
        before = latest(chain.url)[2]
        assert before > time.time() + 4000
    with Devnet(tmp_path) as chain:
        emit(chain.url, 0)
        assert before <= latest(chain.url)[2] < before + 60


def test_what_was_flushed_survives_the_death_of_both_processes(tmp_path: Path) -> None:
    chain = Devnet(tmp_path)
    status = chain.start()
    emit(chain.url, 2)
    chain.flush()
    before = chain_of(chain.url)
    os.kill(status.pid, signal.SIGKILL)
    os.kill(status.anvil_pid, signal.SIGKILL)
    with Devnet(tmp_path) as again:
        assert chain_of(again.url) == before


def test_a_flush_does_not_wait_for_the_next_dump_of_a_long_chain(tmp_path: Path) -> None:
    chain = Devnet(tmp_path, dump_share=1e-6)  # hours from one dump to the next
    status = chain.start()
    for blocks in (1, 2):
        emit(chain.url, blocks)
        chain.flush()
        assert running(chain).saved_hash == latest(chain.url)[1]
    before = chain_of(chain.url)
    os.kill(status.pid, signal.SIGKILL)
    os.kill(status.anvil_pid, signal.SIGKILL)
    with Devnet(tmp_path, dump_share=1e-6) as again:
        assert chain_of(again.url) == before


def test_a_killed_supervisor_loses_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    chain = Devnet(tmp_path)
    status = chain.start()
    os.kill(status.pid, signal.SIGKILL)
    emit(status.url, 2)  # mined after the last dump that there will be
    before = chain_of(status.url)
    until(lambda: chain.status() is None)
    with Devnet(tmp_path) as again:
        assert command_line(status.anvil_pid) == ""
        assert chain_of(again.url) == before


def test_a_supervisor_ends_when_anvil_does(tmp_path: Path) -> None:
    chain = Devnet(tmp_path)
    status = chain.start()
    emit(chain.url, 1)
    chain.flush()
    os.kill(status.anvil_pid, signal.SIGKILL)
    until(lambda: not (tmp_path / "devnet.json").exists())
    with pytest.raises(LedgerUnavailableError, match="No devnet runs"):
        chain.flush()
    with Devnet(tmp_path) as again:
        assert len(cast("list[object]", chain_of(again.url)[1])) == 1


OWNER = """
import os, sys
from pathlib import Path
from cdistrim.devnet import Devnet
status = Devnet(Path(sys.argv[1]), detached=sys.argv[2] == "detached").start()
print(status.pid, status.anvil_pid, flush=True)
sys.stdin.read()
"""


def owner_of(directory: Path, kind: str) -> tuple[subprocess.Popen[str], list[int]]:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    return owner, [int(word) for word in owner.stdout.readline().split()]


def test_a_chain_ends_with_its_owner_and_keeps_what_it_had(tmp_path: Path) -> None:
    owner, pids = owner_of(tmp_path, "owned")
    emit(Devnet(tmp_path).url, 2)
    before = chain_of(Devnet(tmp_path).url)
    owner.kill()
    owner.communicate()
    with Devnet(tmp_path) as again:  # at once, as `--resume` does
        assert gone(*pids)
        assert chain_of(again.url) == before


def test_a_detached_chain_outlives_its_starter_and_is_stopped_by_anybody(tmp_path: Path) -> None:
    owner, pids = owner_of(tmp_path, "detached")
    owner.kill()
    owner.communicate()
    time.sleep(0.5)  # more than two looks at the parent's pid
    other = Devnet(tmp_path, detached=True)
    assert other.start().pid == pids[0]
    with Devnet(tmp_path) as guest:
        assert running(guest).detached
    assert running(other).pid == pids[0]
    with pytest.raises(ConfigurationError, match="runs already"):
        Devnet(tmp_path, chain_id=5).start()
    other.stop()
    until(lambda: gone(*pids))
    assert other.status() is None
    other.stop()


def test_a_directory_has_one_owner(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        first = running(chain)
        with pytest.raises(ConfigurationError, match="Another process"):
            Devnet(tmp_path).start()
        assert running(chain) == first


def test_only_the_owner_can_read_its_files(tmp_path: Path) -> None:
    with Devnet(tmp_path / "new") as chain:
        chain.flush()
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
        for name in ("devnet.json", "chain.json"):
            assert stat.S_IMODE((tmp_path / "new" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["truncated", "no dump", "no state"])
def test_a_damaged_dump_is_refused_and_left_alone(tmp_path: Path, damage: str) -> None:
    with Devnet(tmp_path) as chain:
        emit(chain.url, 1)
    dump = tmp_path / "chain.json"
    whole = dump.read_text(encoding="utf-8")
    broken = {
        "truncated": whole[: len(whole) // 2],
        "no dump": "[]",
        "no state": json.dumps({**json.loads(whole), "state": "0x1f8b"}),
    }[damage]
    dump.write_text(broken, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"chain\.json") as caught:
        Devnet(tmp_path).start()
    assert caught.value.hint
    assert dump.read_text(encoding="utf-8") == broken
    dump.write_text(whole, encoding="utf-8")
    with Devnet(tmp_path) as chain:
        assert len(cast("list[object]", chain_of(chain.url)[1])) == 1


def test_a_dump_of_another_chain_id_is_refused(tmp_path: Path) -> None:
    Devnet(tmp_path).start()
    Devnet(tmp_path).stop()
    with pytest.raises(ConfigurationError, match=f"id {CHAIN_ID}; asked was 77"):
        Devnet(tmp_path, chain_id=77).start()


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with Devnet(tmp_path / "one", port=free_port(0)) as one:
        port = int(one.url.rpartition(":")[2])
        with pytest.raises(ConfigurationError, match=str(port)):
            Devnet(tmp_path / "two", port=port).start()


def test_a_missing_anvil_is_a_matter_of_setup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CDISTRIM_ANVIL", str(tmp_path / "anvil"))
    with pytest.raises(ConfigurationError, match="CDISTRIM_ANVIL"):
        Devnet(tmp_path).start()
    monkeypatch.delenv("CDISTRIM_ANVIL")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("cdistrim.devnet.anvil.__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(ConfigurationError) as caught:
        find_anvil()
    assert "make setup" in caught.value.hint


def test_gas_is_free(tmp_path: Path) -> None:
    with Devnet(tmp_path) as chain:
        assert call(chain.url, "eth_gasPrice") == "0x0"
        assert call(chain.url, "eth_accounts") == []
        assert call(chain.url, "eth_getBalance", SENDER, "latest") == "0x0"
        emit(chain.url, 1)
