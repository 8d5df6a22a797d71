"""Prefect's settings for what this program starts. To be called before Prefect is imported."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["embed_prefect", "private_settings"]


def private_settings() -> dict[str, str]:
    """Settings that hold everywhere: nothing is reported to anybody, nothing is persisted."""
    return {
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    }


def embed_prefect(home: Path) -> None:
    """Let this process run flows against a server of its own, with its database in ``home``."""
    os.environ.pop("PREFECT_API_URL", None)
    os.environ.update(private_settings())
    os.environ.update(
        {
            "PREFECT_HOME": str(home.resolve()),
            "PREFECT_PROFILES_PATH": str((home / "profiles.toml").resolve()),
            "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "ERROR"),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
        }
    )
