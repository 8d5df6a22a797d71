"""A Prefect server that belongs to one process: what a single command runs its flows against.

Prefect's own ephemeral server lives in the terminal's process group: Ctrl-C ends it before the
flows that report to it, which then wait a minute for an answer; and it outlives a killed owner.
This one is deaf to the terminal and ends with its owner, however that ends. It starts while the
owner still imports: its socket takes connections from the beginning and answers when it is up.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cdistrim.errors import ServerUnavailableError
from deployments.empty_database import copy_empty_database, make_database

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["EmbeddedServer"]

_HOST = "127.0.0.1"
_WATCH_S = 0.5
_STOP_S = 2.0


class EmbeddedServer:
    """A server with its database in a directory; ends with this process.

    Args:
        home: Prefect's home; the server's log is ``server.log`` in it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._socket = socket.create_server((_HOST, 0))
        self.api_url = f"http://{_HOST}:{self._socket.getsockname()[1]}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, environment: Mapping[str, str]) -> None:
        """Start it; it answers some seconds later.

        Raises:
            ServerUnavailableError: Its directory can't be written to.
        """
        descriptor = self._socket.fileno()
        command = ["-P", "-m", "deployments.embedded", str(descriptor), str(os.getpid())]
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            with (self.home / "server.log").open("wb") as log:
                self._process = subprocess.Popen(  # noqa: S603  our own module
                    [sys.executable, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(environment),
                    pass_fds=[descriptor],
                    start_new_session=True,
                )
        except OSError as error:
            raise ServerUnavailableError(
                f"Prefect's directory {self.home} can't be used: {error.strerror}.",
                hint="Give a directory that can be written to.",
            ) from error
        # Its answer may take as long as it starts; where it dies, nobody is left to accept.
        threading.Thread(target=self._hang_up, daemon=True).start()
        atexit.register(self.stop)

    def stop(self) -> None:
        """End it; harmless when called again."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
        process.kill()
        process.wait()

    def _hang_up(self) -> None:
        process = self._process
        if process is not None:
            process.wait()
            self._socket.close()


class _OneAtATime:
    """Lets HTTP requests in one after the other.

    SQLite has one writer. Of two requests that begin to write together one is answered with 503,
    and Prefect's client waits two seconds before it asks again; waiting here takes milliseconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        async with self._turn:
            await self._app(scope, receive, send)


def _end_with(owner: int) -> None:
    while os.getppid() == owner:
        time.sleep(_WATCH_S)
    os._exit(0)


def _serve(descriptor: int, owner: int) -> None:
    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    home = Path(os.environ["PREFECT_HOME"])
    if not copy_empty_database(home):
        make_database(home)
    app = create_app(ephemeral=True, final=True)
    config = uvicorn.Config(
        _OneAtATime(app), log_level="error", lifespan="on", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
