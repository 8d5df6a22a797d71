"""Errors that come out of flows, in the words of what caused them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cdistrim.errors import ServerUnavailableError

__all__ = ["as_they_were"]


@contextmanager
def as_they_were() -> Iterator[None]:
    """Raise the error behind a failed flow: on this terminal its full text is at home.

    Raises:
        CDistriMError: What a step of the flow raised.
        ServerUnavailableError: The Prefect server went away.
    """
    import httpx

    from tasks.boundary import SiteFailure, origin_of

    try:
        yield
    except SiteFailure as failure:
        raise origin_of(failure) from None
    except httpx.HTTPError as error:
        raise ServerUnavailableError(
            f"The Prefect server stopped answering ({type(error).__name__}).",
            hint="What the ledger has is kept. Look at the server's log, then run the same again.",
        ) from None
