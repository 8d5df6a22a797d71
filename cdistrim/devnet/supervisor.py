"""The process that owns anvil: dumps the chain's new blocks and ends with its owner."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from cdistrim.devnet.anvil import find_anvil
from cdistrim.devnet.directory import (
    DUMP_NOW,
    HOST,
    DevnetStatus,
    call,
    command_line,
    dump,
    free_port,
    latest,
    port_of,
    read_status,
    replace,
)
from cdistrim.errors import ConfigurationError, LedgerUnavailableError

__all__ = ["answer", "reap", "supervise"]

_POLL_S = 0.2
_START_S = 20.0
_PRUNED_STATES = 64
"""States that anvil keeps in memory; without a bound it writes old ones to the home directory."""


class _Supervisor:
    """Owns one anvil process and the dump of its chain."""

    def __init__(self, directory: Path, port: int, chain_id: int, owner: int, share: float) -> None:
        self.stopping = False
        self.woken = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(DUMP_NOW, self._wake)
        self.directory = directory
        self.chain_id = chain_id
        self.owner = owner
        self.share = share
        self.port = free_port(port)
        self.url = f"http://{HOST}:{self.port}"
        self.anvil = subprocess.Popen(  # noqa: S603 - no shell, our own arguments
            [
                *(str(find_anvil()), "--quiet", "--host", HOST, "--port", str(self.port)),
                *("--chain-id", str(chain_id), "--accounts", "0", "--hardfork", "cancun"),
                *("--gas-price", "0", "--block-base-fee-per-gas", "0"),
                *("--disable-min-priority-fee", "--prune-history", str(_PRUNED_STATES)),
                *("--no-cors", "--no-request-size-limit"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.saved = (-1, "")
        self.publish()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
        self._wake(number, frame)

    def _wake(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - a handler's
        self.woken.set()

    def wait_until_up(self) -> None:
        end = time.monotonic() + _START_S
        while self.anvil.poll() is None and time.monotonic() < end:
            with suppress(LedgerUnavailableError):
                call(self.url, "eth_chainId")
                return
            time.sleep(0.01)
        raise ConfigurationError(
            f"anvil did not start at {self.url} (exit status {self.anvil.poll()}).",
            hint=f"See {self.directory / 'devnet.log'}.",
        )

    def load(self) -> None:
        """Continue from the dump, at a time not before its last block's."""
        path = self.directory / "chain.json"
        if not path.exists():
            return
        try:
            document = json.loads(path.read_bytes())
            found, state = document["chain_id"], document["state"]
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{path} is no dump of a chain.", hint="Restore it, or start in another directory."
            ) from error
        if found != self.chain_id:
            raise ConfigurationError(
                f"{path} holds a chain with id {found}; asked was {self.chain_id}.",
                hint=f"Use chain id {found}, or start in another directory.",
            )
        try:
            call(self.url, "anvil_loadState", state, timeout=120)
        except LedgerUnavailableError as error:
            raise ConfigurationError(
                f"anvil does not accept the dump in {path}: {error.what}",
                hint="Restore it, or start in another directory.",
            ) from error
        # anvil's clock starts at the wall clock: after time travel, or a clock set back, blocks
        # would be older than their parents and passed deadlines would be open again.
        ahead = latest(self.url)[2] - int(time.time())
        if ahead > 0:
            call(self.url, "evm_increaseTime", ahead)

    def publish(self) -> DevnetStatus:
        status = DevnetStatus(
            url=self.url,
            pid=os.getpid(),
            anvil_pid=self.anvil.pid,
            chain_id=self.chain_id,
            detached=self.owner == 0,
            saved_block=self.saved[0],
            saved_hash=self.saved[1],
        )
        replace(self.directory / "devnet.json", asdict(status))
        return status

    def watch(self) -> None:
        """Dump new blocks until told to stop, or until the owner or anvil has died."""
        due = time.monotonic()
        while True:
            asked = self.woken.wait(_POLL_S)
            self.woken.clear()  # before the dump: who asks during one gets another
            if self.stopping:
                return
            if self.anvil.poll() is not None:
                raise LedgerUnavailableError(f"anvil ended with status {self.anvil.returncode}.")
            if self.owner and os.getppid() != self.owner:
                return
            begin = time.monotonic()
            if begin < due and not asked:
                continue
            with suppress(LedgerUnavailableError):  # a slow answer must not end a living chain
                self.save_if_new()
            # A dump costs more the longer the chain is.
            due = begin + (time.monotonic() - begin) / self.share

    def save_if_new(self) -> None:
        if latest(self.url)[:2] != self.saved:
            self.saved = dump(self.url, self.chain_id, self.directory)
            self.publish()

    def close(self) -> None:
        with suppress(LedgerUnavailableError):
            self.save_if_new()
        self.anvil.terminate()
        try:
            self.anvil.wait(5)
        except subprocess.TimeoutExpired:
            self.anvil.kill()
            self.anvil.wait()


def supervise(directory: Path, port: int, chain_id: int, owner: int, share: float) -> None:
    """Run the chain until SIGTERM, or until the process ``owner`` has died (0: nobody).

    Args:
        directory: Of the chain; the caller holds its lock.
        port: TCP port, 0 for a free one.
        chain_id: The chain id.
        owner: Process id of who started it.
        share: Of the time, spent on dumps at most; above 0, at most 1.

    Raises:
        ConfigurationError: It can't start.
        LedgerUnavailableError: anvil died.
    """
    supervisor = _Supervisor(directory, port, chain_id, owner, share)
    loaded = False
    try:
        supervisor.wait_until_up()
        supervisor.load()
        loaded = True
        supervisor.save_if_new()
        answer(asdict(supervisor.publish()))
        supervisor.watch()
    finally:
        if loaded:
            supervisor.close()
        else:  # an empty chain must not replace the dump that could not be loaded
            supervisor.anvil.kill()
            supervisor.anvil.wait()
        (directory / "devnet.json").unlink(missing_ok=True)


def answer(line: dict[str, object]) -> None:
    """Tell the starter one line of JSON, then let go of its pipe."""
    with suppress(OSError, ValueError):  # nobody listens any more
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def reap(directory: Path) -> None:
    """Dump and end an anvil whose supervisor was killed. The caller holds the lock."""
    left = read_status(directory)
    if left is None:
        return
    words = command_line(left.anvil_pid).split("\0")
    if "--port" in words and str(port_of(left.url)) in words and "anvil" in words[0]:
        with suppress(LedgerUnavailableError):
            if left.saved_block >= 0:  # else it had not loaded the dump yet
                dump(left.url, left.chain_id, directory)
        with suppress(ProcessLookupError):
            os.kill(left.anvil_pid, signal.SIGKILL)
        end = time.monotonic() + 5
        while "anvil" in command_line(left.anvil_pid) and time.monotonic() < end:
            time.sleep(0.01)
    (directory / "devnet.json").unlink(missing_ok=True)
