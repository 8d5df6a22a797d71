"""A whole consortium on one machine: what ``cdistrim up`` starts, watches and stops.

Every part is a process of its own, started from the installed package, as it would be on machines
of their own: chain, Prefect server, coordinator, one agent a site. A part that ends is started
again, as systemd would (see ``deployments/systemd``).
"""

from __future__ import annotations

import http.client
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from cdistrim.cli.prefect_environment import server_settings
from cdistrim.consortium import Consortium, found_consortium
from cdistrim.convening import SPEC_FILE
from cdistrim.data.cases import SiteData
from cdistrim.devnet import CHAIN_ID, Devnet
from cdistrim.devnet.directory import port_of
from cdistrim.errors import ConfigurationError, ServerUnavailableError
from cdistrim.report.wording import plural
from cdistrim.site import Site, write_atomically
from cdistrim.spec import CampaignSpec
from deployments.coordinator import check_cron
from deployments.empty_database import copy_empty_database
from deployments.parts import Parts
from deployments.sample import sample_data, sample_spec

__all__ = ["LocalConsortium", "run_consortium"]

START_S = 180.0
GRACE_S = 60.0
"""Longer than a site's own default: on one machine all processes share its cores."""

SERVER = "prefect"

LAST_REGISTERED = "restore_and_skip"
"""An agent registers its flows in the order of ``DEED_FLOWS``; a test compares."""

Names = tuple[str, ...]


class LocalConsortium:
    """The processes of a consortium.

    Args:
        directory: Where chain, sites, store and logs are kept; a second start continues there.
        sites: Number of hospitals, 2 to 8.
        cron: Schedule of campaigns (UTC); empty for none.
        port: Of the Prefect server and its UI, on 127.0.0.1.
        say: Told what happens, a line at a time.
        grace: Seconds after which sites act without being called.
        data: Makes the hospitals' cases; asked only when the consortium is founded.
        spec: Makes the campaign; likewise.
    """

    def __init__(
        self,
        directory: Path,
        *,
        sites: int,
        port: int,
        cron: str = "",
        say: Callable[[str], None] = lambda _line: None,
        grace: float = GRACE_S,
        data: Callable[[Names], Mapping[str, SiteData]] = sample_data,
        spec: Callable[[Names], CampaignSpec] = sample_spec,
    ) -> None:
        self.directory = directory.resolve()
        self._names = tuple(f"hospital-{number}" for number in range(1, sites + 1))
        self._cron = cron
        self._port = port
        self._say = say
        self._grace = grace
        self._data = data
        self._spec = spec
        self._chain = Devnet(self.directory / "devnet")
        self._started = False
        self.parts = Parts(
            self.directory, server_settings(self.directory / "prefect", self.api_url), say
        )

    @property
    def api_url(self) -> str:
        """The Prefect server's API."""
        return f"http://127.0.0.1:{self._port}/api"

    def start(self) -> Consortium:
        """Start everything, or continue where it was; the consortium.

        Raises:
            ConfigurationError: The port or the directory is in use, or it holds other sites.
            UsageError: The schedule is no cron expression.
            ServerUnavailableError: The Prefect server does not come up.
        """
        check_cron(self._cron)
        # The chain's lock keeps a second `up` out of this directory; what a killed one left can go.
        chain = self._chain.start()
        self._started = True
        if left := self.parts.sweep():
            self._say(f"{left} processes of an earlier run were left; they are ended")
        self._check_port()
        self._say(f"chain        {chain.url}  (chain id {chain.chain_id})")
        self._start_server()
        consortium = self._prepare(chain.url)
        self._await_server()
        self._say(f"Prefect UI   http://127.0.0.1:{self._port}")
        for name, path in consortium.sites.items():
            serve = ["-m", "cdistrim", "site", "serve", str(path), "--grace", f"{self._grace:g}"]
            self.parts.launch(name, serve)
            self._say(f"{name:<12} agent serves {path}")
        serve = ["-m", "cdistrim", "coordinator", "serve", str(consortium.coordinator)]
        self.parts.launch("coordinator", [*serve, "--cron", self._cron] if self._cron else serve)
        self._say(f"coordinator  {f'campaigns at {self._cron!r}' if self._cron else 'no schedule'}")
        deployments = [f"{LAST_REGISTERED}/{name}" for name in self._names]
        self._await([*deployments, "campaign/coordinator"])
        return consortium

    def watch_once(self) -> None:
        """Start again what has ended."""
        self.parts.restart_ended()
        if not self._chain.alive:
            # At its old address, where everybody looks for it.
            url = Site(self.directory / self._names[0]).settings.ledger_url
            self._say("The chain has ended; starting it again")
            self._chain.stop()
            self._chain = Devnet(self.directory / "devnet", port=port_of(url))
            self._chain.start()

    def stop(self) -> None:
        """Stop everything, the server after its clients; the chain saves its state."""
        if self._started:
            self.parts.stop(last=SERVER)
            self._chain.stop()
            self._started = False

    def _check_port(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self._port))
            except OSError:
                raise ConfigurationError(
                    f"Port {self._port} is in use.", hint="Choose another one with --port."
                ) from None

    def _prepare(self, ledger_url: str) -> Consortium:
        founded = (self.directory / "consortium.json").exists()
        consortium = found_consortium(
            self.directory,
            {} if founded else self._data(self._names),
            ledger_url=ledger_url,
            chain_id=CHAIN_ID,
        )
        if tuple(consortium.sites) != self._names:
            raise ConfigurationError(
                f"{self.directory} holds {plural(len(consortium.sites), 'site')}, "
                f"{len(self._names)} were asked for.",
                hint="Give the same number, or another --directory.",
            )
        document = consortium.sites[self._names[0]] / SPEC_FILE
        if not document.exists():
            write_atomically(document, self._spec(self._names).canonical())
        spec = CampaignSpec.read(document)
        for path in consortium.sites.values():
            # All operators are the person at this machine, who just asked for this spec.
            Site(path).approve_spec(spec.digest())
        return consortium

    def _start_server(self) -> None:
        home = self.directory / "prefect"
        home.mkdir(mode=0o700, exist_ok=True)
        copy_empty_database(home)
        command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1"]
        self.parts.launch(SERVER, [*command, "--port", str(self._port)])

    def _await_server(self) -> None:
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.parts.alive(SERVER):
            if _finds(self._port, "/api/health"):
                return
            time.sleep(0.2)
        raise ServerUnavailableError(
            f"The Prefect server does not answer at {self.api_url}.",
            hint=f"See {self.directory / 'log' / 'prefect.log'}.",
        )

    def _await(self, deployments: list[str]) -> None:
        """Wait until everybody has registered, so that a campaign can be run."""
        end = time.monotonic() + START_S
        missing = deployments
        while missing and time.monotonic() < end:
            time.sleep(0.5)
            self.watch_once()
            missing = [n for n in missing if not _finds(self._port, f"/api/deployments/name/{n}")]
        for name in missing:
            part = name.split("/")[1]
            self._say(f"{part} has not registered yet; see {self.directory / 'log' / part}.log")


def _finds(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run_consortium(
    directory: Path, *, sites: int, cron: str, port: int, say: Callable[[str], None]
) -> None:
    """Start a consortium and keep it up until Ctrl-C, SIGTERM or SIGHUP."""
    consortium = LocalConsortium(directory, sites=sites, cron=cron, port=port, say=say)
    with _stopping(consortium, say):
        consortium.start()
        say(
            "\nRun a campaign: in the UI, Deployments > campaign > Run; or\n"
            f"  PREFECT_API_URL={consortium.api_url} "
            f"{Path(sys.executable).parent / 'prefect'} deployment run campaign/coordinator\n"
            "Ctrl-C stops everything; what the ledger has is kept."
        )
        while True:
            consortium.watch_once()
            time.sleep(0.5)


class _Stop(BaseException):
    """A signal asked for the end."""


@contextmanager
def _stopping(consortium: LocalConsortium, say: Callable[[str], None]) -> Iterator[None]:
    """Stop the consortium at the end, however it comes; a signal is a way to ask for it."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def ask(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)  # A second one must not break the stopping.
        raise _Stop

    for number in numbers:
        signal.signal(number, ask)
    try:
        yield
    except _Stop:
        say("\nstopping …")
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        consortium.stop()
    say("Everything is stopped. The same command continues where the ledger stands.")
