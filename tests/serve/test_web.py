"""What stands before a body, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

uvicorn = pytest.importorskip("uvicorn")
from tests.serve.threaded import threaded  # noqa: E402

pytest.importorskip("httptools")

from mene.serve import web  # noqa: E402

POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n"
ANSWER = b"HTTP/1.1 204"


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204})
    await send({"type": "http.response.body"})


@pytest.fixture
def connected() -> Iterator[socket.socket]:
    config = uvicorn.Config(app, http=web.Protocol, lifespan="off", log_level="critical")
    with (
        threaded(config) as port,
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        yield connection


def answers(connection: socket.socket, count: int) -> bytes:
    """What comes until there are so many answers, or the connection is closed."""
    found = b""
    while found.count(b"HTTP/1.1") < count and (more := connection.recv(65536)):
        found += more
    return found


def test_a_head_without_end_is_refused(connected):
    sent = 0
    with pytest.raises(OSError):
        connected.sendall(POST % 0 + b"X: ")
        while sent < 50_000_000:
            sent += connected.send(b"a" * 65536)
    assert sent < 50_000_000


def test_a_connection_without_a_request_is_closed(connected, monkeypatch):
    monkeypatch.setattr(web, "HEAD_S", 0.2)
    for begun in (b"", (POST % 0)[:20]):
        with socket.create_connection(connected.getpeername(), timeout=10) as other:
            other.sendall(begun)
            assert other.recv(100) == b""


def test_long_heads_and_bodies_and_requests_in_a_row_are_answered(connected):
    long = POST % 300_000 + b"X: " + b"a" * 30_000 + b"\r\n\r\n"
    half = (POST % 0)[:20]
    connected.sendall(long + b"b" * 300_000 + half)
    assert answers(connected, 1).startswith(ANSWER)
    connected.sendall((POST % 0)[20:] + b"\r\n")
    assert answers(connected, 1).startswith(ANSWER)
    connected.sendall((POST % 0 + b"\r\n") * 3)
    assert answers(connected, 3).count(ANSWER) == 3
