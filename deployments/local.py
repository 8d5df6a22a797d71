"""A whole consortium on one machine: what ``cdistrim up`` starts, watches and stops.

Every part is a process of its own, started from the installed package, as it would be on machines
of their own: chain, Prefect server, coordinator, one agent a site. A part that ends is started
again, as systemd would (see ``deployments/systemd``).
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cdistrim.cli.prefect_environment import private_settings
from cdistrim.consortium import Consortium, found_consortium
from cdistrim.convening import SPEC_FILE
from cdistrim.demonstration import Demonstration, DemoOptions
from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.errors import ConfigurationError, UnavailableError
from cdistrim.site import Site, write_atomically

__all__ = ["LocalConsortium", "run_consortium"]

SERVER_START_S = 120.0
RESTART_PAUSE_S = 2.0


@dataclass
class _Part:
    command: list[str]
    process: subprocess.Popen[bytes]
    started: float


class LocalConsortium:
    """The processes of a consortium.

    Args:
        directory: Where chain, sites, store and logs are kept; a second start continues there.
        sites: Number of hospitals, 2 to 8.
        cron: Schedule of campaigns; empty for none.
        port: Of the Prefect server and its UI, on 127.0.0.1.
        say: Told what happens, a line at a time.
    """

    def __init__(
        self, directory: Path, *, sites: int, cron: str, port: int, say: Callable[[str], None]
    ) -> None:
        self.directory = directory
        self._names = tuple(f"hospital-{number}" for number in range(1, sites + 1))
        self._cron = cron
        self._port = port
        self._say = say
        self._parts: dict[str, _Part] = {}
        self._chain = Devnet(directory / "devnet")

    @property
    def api_url(self) -> str:
        """The Prefect server's API."""
        return f"http://127.0.0.1:{self._port}/api"

    def start(self) -> Consortium:
        """Start everything, or continue where it was; the consortium.

        Raises:
            ConfigurationError: The port is taken, or the directory holds other sites.
            UnavailableError: The Prefect server does not come up.
        """
        if _answers(self._port):
            raise ConfigurationError(
                f"Port {self._port} is in use.", hint="Choose another one with --port."
            )
        (self.directory / "log").mkdir(parents=True, exist_ok=True)
        chain = self._chain.start()
        self._say(f"chain        {chain.url}  (chain id {chain.chain_id})")
        consortium = self._prepare(chain.url)
        server = ["-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        self._launch("prefect", [*server, "--port", str(self._port)])
        self._await_server()
        self._say(f"Prefect UI   http://127.0.0.1:{self._port}")
        for name, path in consortium.sites.items():
            self._launch(name, ["-m", "cdistrim", "site", "serve", str(path)])
            self._say(f"{name:<12} agent serves {path}")
        serve = ["-m", "cdistrim", "coordinator", "serve", str(consortium.coordinator)]
        self._launch("coordinator", [*serve, "--cron", self._cron] if self._cron else serve)
        self._say(f"coordinator  {f'campaigns on {self._cron!r}' if self._cron else 'no schedule'}")
        return consortium

    def watch_once(self) -> None:
        """Start again what has ended."""
        for name, part in self._parts.items():
            code = part.process.poll()
            if code is None or time.monotonic() - part.started < RESTART_PAUSE_S:
                continue
            self._say(f"{name} ended with {code}; it is started again")
            self._launch(name, part.command)

    def stop(self) -> None:
        """Stop everything, agents first; the chain saves its state."""
        for name in reversed(list(self._parts)):
            self._parts[name].process.terminate()
        for part in self._parts.values():
            try:
                part.process.wait(15)
            except subprocess.TimeoutExpired:
                part.process.kill()
        self._parts.clear()
        self._chain.stop()

    def pids(self) -> Mapping[str, int]:
        """Process id of each part, by name."""
        return {name: part.process.pid for name, part in self._parts.items()}

    def _prepare(self, ledger_url: str) -> Consortium:
        demo = Demonstration(self.directory, DemoOptions())
        if len(self._names) > len(demo.split.sites):
            raise ConfigurationError(
                f"{len(self._names)} sites were asked for; the demo's data make "
                f"{len(demo.split.sites)}.",
                hint="Ask for fewer sites.",
            )
        data = dict(zip(self._names, demo.split.sites, strict=False))
        consortium = found_consortium(
            self.directory, data, ledger_url=ledger_url, chain_id=CHAIN_ID
        )
        if tuple(consortium.sites) != self._names:
            raise ConfigurationError(
                f"{self.directory} holds {len(consortium.sites)} sites, "
                f"{len(self._names)} were asked for.",
                hint="Give the same number, or another --directory.",
            )
        spec = demo.spec.model_copy(update={"name": "up", "order": self._names, "cycles": 1})
        convener = consortium.sites[self._names[0]]
        write_atomically(convener / SPEC_FILE, spec.canonical())
        for path in consortium.sites.values():
            # All operators are the person at this machine, who just asked for this spec.
            Site(path).approve_spec(spec.digest())
        return consortium

    def _launch(self, name: str, command: list[str]) -> None:
        environment = os.environ | private_settings()
        environment |= {
            "PREFECT_HOME": str((self.directory / "prefect").resolve()),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        }
        with (self.directory / "log" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603  our own modules
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._parts[name] = _Part(command, process, time.monotonic())

    def _await_server(self) -> None:
        end = time.monotonic() + SERVER_START_S
        while time.monotonic() < end:
            if _answers(self._port):
                return
            if self._parts["prefect"].process.poll() is not None:
                break
            time.sleep(0.5)
        raise UnavailableError(
            f"The Prefect server does not answer at {self.api_url}.",
            hint=f"See {self.directory / 'log' / 'prefect.log'}.",
        )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/api/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def run_consortium(
    directory: Path, *, sites: int, cron: str, port: int, say: Callable[[str], None]
) -> None:
    """Start a consortium and keep it up until Ctrl-C or SIGTERM."""
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consortium = LocalConsortium(directory, sites=sites, cron=cron, port=port, say=say)
    try:
        consortium.start()
        say(
            "\nRun a campaign: in the UI, Deployments > campaign > Run; or\n"
            f"  PREFECT_API_URL={consortium.api_url} "
            f"{Path(sys.executable).parent / 'prefect'} deployment run campaign/coordinator\n"
            "Ctrl-C stops everything; what the ledger has is kept."
        )
        while not stopping:
            consortium.watch_once()
            time.sleep(0.5)
    finally:
        consortium.stop()
