"""The Prefect server that a command needs: is there one, and does it answer?"""

from __future__ import annotations

import httpx
from prefect.settings import PREFECT_API_URL

from cdistrim.errors import ConfigurationError, ServerUnavailableError

__all__ = ["require_server"]

_PATIENCE_S = 5.0


def require_server() -> str:
    """The API of the configured server, which answers. Asked once, since Prefect asks for minutes.

    Raises:
        ConfigurationError: No server is configured.
        ServerUnavailableError: It does not answer.
    """
    url: str | None = PREFECT_API_URL.value()
    if not url:
        raise ConfigurationError(
            "No Prefect server is configured: PREFECT_API_URL is not set.",
            hint="Set it to the consortium's server, e.g. http://127.0.0.1:4200/api; "
            "`cdistrim up` starts one.",
        )
    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=_PATIENCE_S).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        parts = httpx.URL(url) if not isinstance(error, httpx.InvalidURL) else None
        where = f" at {parts.scheme}://{parts.netloc.decode()}" if parts else ""
        raise ServerUnavailableError(
            f"The Prefect server{where} does not answer ({type(error).__name__}).",
            hint="Start it, or correct PREFECT_API_URL.",
        ) from None
    return url
