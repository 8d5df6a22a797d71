"""A real Prefect server in a process of its own, for tests of flows."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from cdistrim.cli.prefect_environment import lone_server_settings, private_settings

__all__ = ["PrefectServer"]

_START_S = 180.0


class PrefectServer:
    """A server with its database in a directory.

    Args:
        home: Prefect's home; the database is ``prefect.db`` in it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def api_url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def database(self) -> Path:
        """Its SQLite file."""
        return self.home / "prefect.db"

    def environment(self) -> dict[str, str]:
        """What a process needs to run flows against this server."""
        return (
            private_settings()
            | lone_server_settings()
            | {
                "PREFECT_HOME": str(self.home),
                "PREFECT_PROFILES_PATH": str(self.home / "profiles.toml"),
                "PREFECT_API_URL": self.api_url,
                "PREFECT_LOGGING_LEVEL": "ERROR",
            }
        )

    @contextmanager
    def used_here(self) -> Iterator[None]:
        """Let flows of this context run against this server."""
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_HOME,
            PREFECT_LOGGING_LEVEL,
            PREFECT_RESULTS_PERSIST_BY_DEFAULT,
            temporary_settings,
        )

        with temporary_settings(
            {
                PREFECT_API_URL: self.api_url,
                PREFECT_HOME: self.home,
                PREFECT_LOGGING_LEVEL: "ERROR",
                PREFECT_RESULTS_PERSIST_BY_DEFAULT: False,
            }
        ):
            yield

    def __enter__(self) -> Self:
        command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--no-ui"]
        with (self.home / "server.log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *command, "--port", str(self.port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | self.environment(),
                start_new_session=True,
            )
        end = time.monotonic() + _START_S
        while not self._answers():
            assert self._process.poll() is None, (self.home / "server.log").read_text()
            assert time.monotonic() < end, "the Prefect server does not answer"
            time.sleep(0.2)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/api/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
