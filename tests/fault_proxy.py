"""A real HTTP proxy before a chain that loses, delays, doubles and garbles what passes."""

from __future__ import annotations

import http.client
import json
import os
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

__all__ = ["Answer", "Fault", "FaultProxy", "Plan", "Request", "always", "dead_after", "seeded"]

_DELAY_S = 0.02
_LATE_S = 0.1


class Fault(Enum):
    """What can happen to a request. The node has got it in all but the first two."""

    DROP = "the connection ends before anything was forwarded"
    LATE = "the connection ends, and the request is forwarded after that"
    LOSE = "the connection ends after it was forwarded, without the answer"
    RESET = "the connection is reset after it was forwarded"
    CUT = "the connection ends in the middle of the answer"
    DELAY = "the answer comes later"
    DOUBLE = "it is forwarded twice, and the second answer is given"
    BAD_GATEWAY = "it is forwarded, and the answer is HTTP status 502"
    TRUNCATE = "the answer is whole as HTTP, but half of the JSON"


@dataclass(frozen=True)
class Answer:
    """An answer that the proxy gives itself: a JSON-RPC result or error, or an HTTP status.

    A result of bytes is the whole answer. With ``forward`` the node gets the request as well, and
    its answer is thrown away.
    """

    result: object = None
    error: dict[str, object] | None = None
    status: int = 200
    forward: bool = False


@dataclass(frozen=True)
class Request:
    """A JSON-RPC request; ``place`` counts all requests of the proxy from 0."""

    method: str
    params: list[Any]
    place: int


Plan = Callable[[Request], Fault | Answer | None]
"""What happens to a request; None lets it pass."""


def seeded(seed: int, rate: float = 0.2) -> Plan:
    """Every kind of fault, to about one request in ``1 / rate``; the same for the same seed."""

    def plan(request: Request) -> Fault | None:
        chance = random.Random(f"{seed}/{request.place}")  # noqa: S311 - faults, no secrets
        return chance.choice(list(Fault)) if chance.random() < rate else None

    return plan


def always(what: Fault | Answer, *methods: str, times: int | None = None) -> Plan:
    """The same for every request of these methods, for the first ``times`` of them."""
    done = 0

    def plan(request: Request) -> Fault | Answer | None:
        nonlocal done
        if request.method not in methods or (times is not None and done >= times):
            return None
        done += 1
        return what

    return plan


def dead_after(requests: int) -> Plan:
    """The last of so many requests arrives without an answer coming back; after it none arrives."""

    def plan(request: Request) -> Fault | None:
        if request.place + 1 < requests:
            return None
        return Fault.LOSE if request.place + 1 == requests else Fault.DROP

    return plan


class FaultProxy:
    """A proxy before the chain at ``target``, at :attr:`url` inside of its ``with`` block.

    Its ``plan`` may be changed under way.
    """

    def __init__(self, target: str, plan: Plan = lambda _: None) -> None:
        self.target = target
        self.requests: list[Request] = []
        self.faults: Counter[Fault] = Counter()
        self.plan = plan
        self._lock = threading.Lock()
        self._late: list[threading.Timer] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def count(self, method: str) -> int:
        """How often a method was asked for, whatever happened then."""
        with self._lock:
            return sum(request.method == method for request in self.requests)

    def __enter__(self) -> Self:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        for timer in self._late:  # so that nothing arrives in the next test
            timer.join()

    def _take(self, body: bytes) -> tuple[Request, Fault | Answer | None]:
        document = json.loads(body)
        with self._lock:
            place = len(self.requests)
            request = Request(document["method"], list(document["params"]), place)
            self.requests.append(request)
        # Outside of the lock: a plan may do things to the chain, or wait for another request.
        fate = self.plan(request)
        if isinstance(fate, Fault):
            with self._lock:
                self.faults[fate] += 1
        return request, fate

    def _later(self, body: bytes) -> None:
        timer = threading.Timer(_LATE_S, _forward, (self.target, body))
        self._late.append(timer)
        timer.start()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body would wait for each other

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                _, fate = proxy._take(body)
                if isinstance(fate, Answer):
                    if fate.forward:
                        _forward(proxy.target, body)
                    self._give(_document(body, fate), status=fate.status)
                elif fate in (Fault.DROP, Fault.LATE):
                    if fate is Fault.LATE:
                        proxy._later(body)
                    self.close_connection = True
                else:
                    self._pass(body, fate)

            def _pass(self, body: bytes, fate: Fault | None) -> None:
                answer = _forward(proxy.target, body)
                if fate is Fault.DOUBLE:
                    answer = _forward(proxy.target, body)
                if fate is Fault.DELAY:
                    time.sleep(_DELAY_S)
                if fate is Fault.LOSE:
                    self.close_connection = True
                elif fate is Fault.RESET:
                    self._reset()
                elif fate is Fault.BAD_GATEWAY:
                    self._give(b"<html>502 Bad Gateway</html>", status=502)
                elif fate is Fault.CUT:
                    self._give(answer[: len(answer) // 2], length=len(answer))
                    self.close_connection = True
                elif fate is Fault.TRUNCATE:
                    self._give(answer[: len(answer) // 2])
                else:
                    self._give(answer)

            def _give(self, answer: bytes, *, status: int = 200, length: int | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer) if length is None else length))
                self.end_headers()
                self.wfile.write(answer)

            def _reset(self) -> None:
                self.close_connection = True
                now = struct.pack("ii", 1, 0)  # linger for no time: RST in place of FIN
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                os.close(self.connection.detach())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                """Stay quiet."""

        return Handler


def _document(body: bytes, answer: Answer) -> bytes:
    if isinstance(answer.result, bytes):
        return answer.result
    what = {"result": answer.result} if answer.error is None else {"error": answer.error}
    return json.dumps({"jsonrpc": "2.0", "id": json.loads(body)["id"], **what}).encode()


def _forward(url: str, body: bytes) -> bytes:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        return connection.getresponse().read()
    finally:
        connection.close()
