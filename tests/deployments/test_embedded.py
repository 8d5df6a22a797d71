"""The embedded Prefect server lets requests in one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest

from deployments.embedded import _OneAtATime

Message = MutableMapping[str, Any]


class Application:
    """Counts who is inside at the same time."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0

    async def __call__(self, _scope: object, _receive: object, _send: object) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(0)
        self.inside -= 1


async def _receive() -> Message:
    return {}


async def _send(_message: Message) -> None:
    pass


@pytest.mark.parametrize(("kind", "most"), [("http", 1), ("websocket", 5)])
def test_requests_wait_for_each_other_and_connections_that_stay_do_not(
    kind: str, most: int
) -> None:
    application = Application()
    served = _OneAtATime(application)

    async def ask() -> None:
        await asyncio.gather(*(served({"type": kind}, _receive, _send) for _ in range(5)))

    asyncio.run(ask())

    assert application.most == most


def test_a_request_that_fails_lets_the_next_one_in() -> None:
    async def failing(_scope: object, _receive: object, _send: object) -> None:
        raise ValueError

    served = _OneAtATime(failing)

    async def ask() -> None:
        for _ in range(2):
            with pytest.raises(ValueError):  # noqa: PT011  whatever it was
                await asyncio.wait_for(served({"type": "http"}, _receive, _send), 5)

    asyncio.run(ask())
