"""Prefect's settings for what this program starts. To be called before Prefect is imported."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "embed_prefect",
    "lone_client_settings",
    "lone_server_settings",
    "private_settings",
    "server_settings",
]


def private_settings() -> dict[str, str]:
    """Settings that hold everywhere: nothing is reported to anybody, nothing is persisted."""
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }


def lone_server_settings() -> dict[str, str]:
    """Settings of a server that one process has for itself, on SQLite.

    What only a UI or automations would read is not written: these services write beside the flows'
    own calls, SQLite has one lock for all, and now and then everybody waited for it for the sixty
    seconds of Prefect's time limit (seen in 2 of 10 campaigns; without them in 0 of 7). Flow runs,
    their states and artifacts are kept.
    """
    return {
        "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
    }


def lone_client_settings(home: Path, api_url: str) -> dict[str, str]:
    """Settings of a process that runs flows against a server of its own.

    Args:
        home: Where the server keeps its database.
        api_url: The server's API.
    """
    return _settings_at(home, api_url) | {
        "PREFECT_API_REQUEST_TIMEOUT": "180",  # The first answer comes when the server is up.
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        # Between two of our own processes these only cost time, with every flow's new client.
        "PREFECT_API_ENABLE_HTTP2": "false",
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "false",
        "PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false",
    }


def embed_prefect(home: Path) -> None:
    """Let this process run flows against a server of its own, with its database in ``home``.

    Failures are told by the command line in its own words: Prefect's tracebacks stay off the
    terminal unless ``PREFECT_LOGGING_LEVEL`` asks for them.

    Raises:
        ServerUnavailableError: ``home`` can't be written to.
    """
    from deployments.embedded import EmbeddedServer

    home = home.resolve()
    server = EmbeddedServer(home)
    os.environ.update(lone_client_settings(home, server.api_url) | lone_server_settings())
    os.environ.update(
        {
            "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "CRITICAL"),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        }
    )
    server.start(os.environ)


def server_settings(home: Path, api_url: str) -> dict[str, str]:
    """What the processes around one Prefect server need; nothing of the user's own is used.

    Args:
        home: Where the server keeps its database.
        api_url: The server's API.
    """
    return _settings_at(home, api_url) | {
        # A hop of a campaign waits for two polls: the default of ten seconds would be most of it.
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        # SQLite answers bursts with 503; every call is repeated, with backoff.
        "PREFECT_CLIENT_MAX_RETRIES": "10",
        "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    }


def _settings_at(home: Path, api_url: str) -> dict[str, str]:
    """A server and its database, and nothing of the user's own profiles."""
    home = home.resolve()
    return private_settings() | {
        "PREFECT_HOME": str(home),
        "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
        "PREFECT_API_URL": api_url,
    }
