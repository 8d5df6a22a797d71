"""A bare development chain whose past can be changed, and the changing of it."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from cdistrim.devnet import CHAIN_ID
from cdistrim.devnet.anvil import find_anvil
from cdistrim.devnet.directory import HOST, call, free_port, latest
from cdistrim.errors import LedgerUnavailableError

__all__ = ["bare_chain", "mine", "mining", "reorganise", "sent_by", "tip"]

_START_S = 20.0
_STATES = 500
"""States that anvil keeps, all in memory: without a bound it writes them to the home directory and,
being killed, leaves them there, gigabytes after thousands of blocks."""


@contextmanager
def bare_chain() -> Iterator[str]:
    """The address of an anvil of one's own. It calls a block final when two are on top of it."""
    url = f"http://{HOST}:{free_port(0)}"
    chain = subprocess.Popen(
        [
            *(str(find_anvil()), "--quiet", "--host", HOST, "--port", url.rpartition(":")[2]),
            *("--chain-id", str(CHAIN_ID), "--accounts", "0", "--hardfork", "cancun"),
            *("--gas-price", "0", "--block-base-fee-per-gas", "0", "--disable-min-priority-fee"),
            *("--slots-in-an-epoch", "1", "--prune-history", str(_STATES)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(url)
        yield url
    finally:
        chain.kill()
        chain.wait()


def _wait_until_up(url: str) -> None:
    end = time.monotonic() + _START_S
    while True:
        try:
            call(url, "eth_chainId")
            return
        except LedgerUnavailableError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def mine(url: str, blocks: int = 1) -> None:
    """Add empty blocks."""
    call(url, "anvil_mine", hex(blocks))


def tip(url: str) -> int:
    """Number of the latest block."""
    return latest(url)[0]


@contextmanager
def mining(url: str, *, restless: Callable[[], None] | None = None) -> Iterator[None]:
    """Empty blocks come all the time, as on a public chain; after each, ``restless`` is called."""
    enough = threading.Event()

    def work() -> None:
        while not enough.wait(0.01):
            mine(url)
            if restless:
                restless()

    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(work)
        try:
            yield
        finally:
            enough.set()
    worker.result()


def reorganise(url: str, depth: int, transactions: Sequence[bytes] = ()) -> None:
    """Replace the last blocks by as many others; the first of these has the transactions."""
    call(url, "evm_increaseTime", 1)  # else an empty block would come back with the same hash
    call(url, "anvil_reorg", depth, [["0x" + raw.hex(), 0] for raw in transactions])


def sent_by(url: str, account: str) -> int:
    """How many transactions of an account are on the chain."""
    return int(str(call(url, "eth_getTransactionCount", account, "latest")), 16)
