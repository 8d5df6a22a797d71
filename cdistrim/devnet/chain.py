"""Start, stop and find a development chain."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from cdistrim.devnet.directory import (
    CHAIN_ID,
    DUMP_NOW,
    DUMP_S,
    DevnetStatus,
    call,
    free_port,
    is_locked,
    latest,
    locked,
    port_of,
    read_status,
)
from cdistrim.devnet.supervisor import reap
from cdistrim.errors import ConfigurationError, LedgerUnavailableError

__all__ = ["Devnet"]

_STOP_S = 20.0


class Devnet:
    """A development chain that lives in a directory.

    As a context manager it stops at the end of the block, unless it is detached or was running
    before.

    Args:
        directory: Its dump and its pid file; made if missing.
        port: TCP port on 127.0.0.1; 0 takes a free one.
        chain_id: The chain id; a directory keeps the one it was made with.
        detached: Whether the chain goes on when this process ends.
        dump_share: Share of the time that dumps take at most, above 0 to 1. What was mined since
            the last dump is lost if both of the chain's processes are killed.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        chain_id: int = CHAIN_ID,
        detached: bool = False,
        dump_share: float = 0.1,
    ) -> None:
        self.directory = directory
        self._port = port
        self._chain_id = chain_id
        self._detached = detached
        self._dump_share = dump_share
        self._supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> DevnetStatus:
        """Start the chain from its last dump; one that runs detached already is used as it is.

        Raises:
            ConfigurationError: No anvil, port in use, dump of another chain id or damaged, or
                another process runs this directory.
        """
        running = self.status()
        if running is not None and running.detached:
            if running.chain_id != self._chain_id or self._port not in (0, port_of(running.url)):
                raise ConfigurationError(
                    f"The devnet in {self.directory} runs already, at {running.url} with chain id "
                    f"{running.chain_id}.",
                    hint="Stop it with `cdistrim devnet stop` first, or ask for the same.",
                )
            return running
        if not self.directory.exists():
            free_port(self._port)  # What can't start leaves no directory.
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = [f"--port={self._port}", f"--chain-id={self._chain_id}"]
        options.append(f"--share={self._dump_share}")
        owner = 0 if self._detached else os.getpid()
        command = [sys.executable, "-P", "-m", "cdistrim.devnet", str(self.directory.resolve())]
        with (self.directory / "devnet.log").open("ab") as log:
            supervisor = subprocess.Popen(  # noqa: S603 - our own module, no shell
                [*command, *options, f"--owner={owner}"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C at a terminal is the owner's business
            )
        assert supervisor.stdout is not None  # noqa: S101 - for the type checker: PIPE above
        with supervisor.stdout:
            answer = json.loads(supervisor.stdout.readline() or b"{}")
        if "url" not in answer:
            supervisor.wait()
            raise ConfigurationError(
                answer.get("error", f"The devnet in {self.directory} did not start."),
                hint=answer.get("hint", f"See {self.directory / 'devnet.log'}."),
            )
        self._supervisor = supervisor
        return DevnetStatus(**answer)

    def stop(self) -> None:
        """Dump and stop the chain, whoever started it; nothing happens where none runs."""
        if self._supervisor is not None:
            self._supervisor.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._supervisor.wait(_STOP_S)
            self._supervisor = None
        if not self.directory.is_dir():
            return
        status = read_status(self.directory)
        if status is not None and is_locked(self.directory):
            with suppress(ProcessLookupError):
                os.kill(status.pid, signal.SIGTERM)
        with locked(self.directory, _STOP_S):
            reap(self.directory)

    def status(self) -> DevnetStatus | None:
        """Where the chain is; None unless it runs under a living supervisor and answers."""
        status = self._supervised()
        if status is None:
            return None
        try:
            answers = call(status.url, "eth_chainId") == hex(status.chain_id)
        except LedgerUnavailableError:
            return None
        return status if answers else None

    @property
    def url(self) -> str:
        """The chain's JSON-RPC address.

        Raises:
            LedgerUnavailableError: It does not run.
        """
        status = self.status()
        if status is None:
            raise LedgerUnavailableError(
                f"No devnet runs in {self.directory}.", hint="Run `cdistrim devnet start`."
            )
        return status.url

    def flush(self) -> None:
        """Have the chain dumped up to its latest block, and wait for it.

        Raises:
            LedgerUnavailableError: It does not run, or takes longer than a dump does.
        """
        url = self.url
        number, digest, _ = latest(url)
        end = time.monotonic() + 2 * DUMP_S  # one may be under way that began before the block
        asked = False
        while time.monotonic() < end:
            status = self._supervised()
            if status is None:
                break
            if status.saved_hash == digest or status.saved_block > number:
                return
            if not asked:
                with suppress(ProcessLookupError):
                    os.kill(status.pid, DUMP_NOW)
                asked = True
            time.sleep(0.02)
        raise LedgerUnavailableError(
            f"The devnet at {url} did not save block {number}.",
            hint=f"See {self.directory / 'devnet.log'}; restart the devnet.",
        )

    @property
    def known(self) -> bool:
        """Whether a chain was ever started in this directory."""
        return any(self.directory.glob("devnet.*"))

    @property
    def alive(self) -> bool:
        """Whether the chain lives, even where it answers late because it is dumped."""
        return self._supervised() is not None

    def _supervised(self) -> DevnetStatus | None:
        """What a living supervisor wrote once the chain was loaded; it ends when anvil does."""
        status = read_status(self.directory)
        if status is None or status.saved_block < 0 or not is_locked(self.directory):
            return None
        return status

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._supervisor is not None and not self._detached:
            self.stop()
