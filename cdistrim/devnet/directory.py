"""What a devnet's directory holds, and the few JSON-RPC calls that the devnet itself makes.

``chain.json``
    The last dump: ``{chain_id, block, state}``.
``devnet.json``
    Where the running chain is. Removed when it stops; 0600 like everything here.
``devnet.lock``
    Held by the supervisor for as long as it lives; never deleted.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from cdistrim.errors import ConfigurationError, LedgerUnavailableError

__all__ = [
    "CHAIN_ID",
    "DUMP_NOW",
    "DUMP_S",
    "HOST",
    "DevnetStatus",
    "call",
    "command_line",
    "dump",
    "free_port",
    "is_locked",
    "latest",
    "locked",
    "port_of",
    "read_status",
    "replace",
]

CHAIN_ID = 31337
"""Chain id of development chains, by convention of the Ethereum tools."""

HOST = "127.0.0.1"

DUMP_NOW = signal.SIGUSR1
"""Tells the supervisor to dump new blocks at once."""

DUMP_S = 120.0
"""Longer than anvil takes for the dump of a chain."""


@dataclass(frozen=True)
class DevnetStatus:
    """Where a running chain is.

    ``saved_block`` and ``saved_hash`` name the block last dumped; -1 while the chain is loaded.
    """

    url: str
    pid: int
    anvil_pid: int
    chain_id: int
    detached: bool
    saved_block: int
    saved_hash: str


@contextmanager
def locked(directory: Path, timeout: float) -> Iterator[None]:
    """Hold the directory's lock. It is not inherited by anvil: Python closes it at exec."""
    with (directory / "devnet.lock").open("ab") as handle:
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ConfigurationError(
                        f"Another process runs the devnet in {directory}.",
                        hint="It may be at work: wait until it is done. "
                        f"`cdistrim devnet stop {directory}` ends the chain under it.",
                    ) from None
                time.sleep(0.05)
        yield


def is_locked(directory: Path) -> bool:
    """Whether a supervisor lives."""
    try:
        with (directory / "devnet.lock").open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def read_status(directory: Path) -> DevnetStatus | None:
    """What the last supervisor wrote; None if it stopped in order."""
    try:
        return DevnetStatus(**json.loads((directory / "devnet.json").read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def replace(path: Path, document: dict[str, object]) -> None:
    """Write a file so that a crash leaves either the old or the new one."""
    temporary = path.with_suffix(".tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(json.dumps(document).encode())
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def command_line(pid: int) -> str:
    """NUL-separated words of a process's command line; empty if it is gone, or can't be told."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def free_port(port: int) -> int:
    """``port`` if it can be bound, any free one for 0.

    Raises:
        ConfigurationError: It is in use.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(
                f"Port {port} of {HOST} can't be used: {error.strerror}.",
                hint="Choose another port, or 0 for a free one.",
            ) from error
        return int(probe.getsockname()[1])


def port_of(url: str) -> int:
    """The port of a chain's address."""
    return urlsplit(url).port or 0


def call(url: str, method: str, *params: object, timeout: float = 10.0) -> object:
    """One JSON-RPC call, without web3 and without the environment's proxies.

    Raises:
        LedgerUnavailableError: No answer, or an error as the answer.
    """
    connection = http.client.HTTPConnection(HOST, port_of(url), timeout=timeout)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise LedgerUnavailableError(f"The devnet at {url} does not answer: {error}") from error
    finally:
        connection.close()
    if "error" in answer:
        raise LedgerUnavailableError(f"The devnet refused {method}: {answer['error']['message']}.")
    return answer["result"]


def latest(url: str) -> tuple[int, str, int]:
    """Number, hash and timestamp of the latest block."""
    block = cast("dict[str, str]", call(url, "eth_getBlockByNumber", "latest", False))
    return int(block["number"], 16), block["hash"], int(block["timestamp"], 16)


def dump(url: str, chain_id: int, directory: Path) -> tuple[int, str]:
    """Write the dump; the block it covers at least (one mined meanwhile is dumped again)."""
    covered = latest(url)[:2]
    state = call(url, "anvil_dumpState", timeout=DUMP_S)
    replace(directory / "chain.json", {"chain_id": chain_id, "block": covered[0], "state": state})
    return covered
