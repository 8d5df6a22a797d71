"""A real Prefect server in a process of its own, for tests of flows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cdistrim.cli.prefect_environment import lone_client_settings, lone_server_settings
from deployments.embedded import EmbeddedServer

__all__ = ["PrefectServer"]


class PrefectServer:
    """A server with its database in a directory; it ends with the tests' process.

    Not before: what Prefect still has to say at the end of the process, it says to this server, or
    else tries for a minute.

    Args:
        home: Prefect's home; the database is ``prefect.db`` in it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._server = EmbeddedServer(home)

    @property
    def api_url(self) -> str:
        """Where clients find it."""
        return self._server.api_url

    def start(self) -> None:
        """Start it; whoever asks meanwhile waits."""
        self._server.start(os.environ | self.environment())

    def environment(self) -> dict[str, str]:
        """What a process needs to run flows against this server."""
        return (
            lone_client_settings(self.home, self.api_url)
            | lone_server_settings()
            | {"PREFECT_LOGGING_LEVEL": "ERROR"}
        )

    @contextmanager
    def used_here(self) -> Iterator[None]:
        """Let flows of this context run against this server."""
        import prefect.settings

        settings = self.environment()
        # Profiles are read before anything can be set here.
        known = {
            getattr(prefect.settings, name): value
            for name, value in settings.items()
            if name.startswith("PREFECT_") and name != "PREFECT_PROFILES_PATH"
        }
        with prefect.settings.temporary_settings(known):
            yield
