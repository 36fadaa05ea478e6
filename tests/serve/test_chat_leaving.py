"""Clients of a chat that leave, read no more or wait too long: who writes is free again. No model: the writer is played."""

from __future__ import annotations

import asyncio
import json
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from served import until
from test_app import run

from mene.serve import chat
from mene.serve.door import Limits
from mene.serve.writer import Writer

CHAT = {"messages": [{"role": "user", "content": "Is it true?"}], "stream": True}


class PlayedWriter(Writer):
    """Writes two pieces, and waits before the piece ``waits`` until it is let."""

    def __init__(self) -> None:
        super().__init__(SimpleNamespace(control_tokens=frozenset(), calls=Calls, give_up=give_up))  # type: ignore[arg-type]
        self.waits, self.go = 1, threading.Event()

    def write(self, messages: Any, body: Any, calls: Any) -> Any:
        self.calls = calls
        last = {"stop_type": "eos", "tokens_evaluated": 1, "tokens_predicted": 2, "timings": {"cache_n": 0}}  # fmt: skip
        for number, piece in enumerate([{"stop": False}, {"stop": True, **last}]):
            if number == self.waits:
                self.go.wait(10)
            yield {"content": "ab"[number], **piece}


class Calls:
    given_up = False


def give_up(calls: Calls) -> None:
    calls.given_up = True


def played(app: Any) -> PlayedWriter:
    writer = PlayedWriter()

    async def entered(model: Any) -> PlayedWriter:
        writer.enter()
        return writer

    app.serving.judges.writer = entered
    return writer


async def ask(app: Any, sent: list[Any], left: asyncio.Event, send: Any) -> None:
    """The app as a server calls it, which has a say when the client leaves and what becomes of what is sent."""
    body = [{"type": "http.request", "body": json.dumps(CHAT).encode(), "more_body": False}]

    async def receive() -> Any:
        if body:
            return body.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def sending(message: Any) -> None:
        sent.append(message)
        await send(message)

    scope = {
        "type": "http", "asgi": {"spec_version": "2.3"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/v1/chat/completions", "raw_path": b"", "query_string": b"", "root_path": "", "client": None,
        "server": ("localhost", 80), "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    await app.client._transport.app(scope, receive, sending)


async def nothing(message: Any) -> None:
    pass


def test_a_stream_is_what_was_written() -> None:
    async def test(app: Any) -> None:
        writer = played(app)
        writer.go.set()
        found = await app.post("/v1/chat/completions", CHAT)
        chunks = [json.loads(line[6:]) for line in found.text.split("\n\n")[:-2]]
        said = [one["choices"][0]["delta"].get("content", "") for one in chunks]
        assert "".join(said) == "ab" and found.text.endswith("data: [DONE]\n\n")
        assert writer.users == 0 and writer.calls.given_up

    run(test)


def test_a_client_that_leaves_before_the_first_piece() -> None:
    async def test(app: Any) -> None:
        writer, left = played(app), asyncio.Event()
        writer.waits = 0
        asking = asyncio.create_task(ask(app, [], left, nothing))
        await until(lambda: writer.users == 1)
        left.set()
        await asyncio.wait_for(asking, 5)
        assert writer.users == 0
        writer.go.set()

    run(test)


def test_a_client_that_leaves_before_the_stream_starts() -> None:
    async def gone(message: Any) -> None:
        raise OSError("connection lost")

    async def test(app: Any) -> None:
        writer = played(app)
        await ask(app, [], asyncio.Event(), gone)
        assert writer.users == 0 and writer.calls.given_up
        writer.go.set()

    run(test)


def test_a_client_that_leaves_amid_the_stream() -> None:
    async def test(app: Any) -> None:
        writer, left, sent = played(app), asyncio.Event(), list[Any]()
        asking = asyncio.create_task(ask(app, sent, left, nothing))
        await until(lambda: len(sent) == 3)  # the head, who speaks, the first piece
        assert writer.users == 1
        left.set()
        await asyncio.wait_for(asking, 5)
        assert writer.users == 0 and writer.calls.given_up
        writer.go.set()

    run(test)


def test_a_stream_that_takes_too_long_says_so() -> None:
    async def test(app: Any) -> None:
        writer, sent = played(app), list[Any]()
        await ask(app, sent, asyncio.Event(), nothing)
        text = b"".join(one.get("body", b"") for one in sent).decode()
        assert '"content": "a"' in text
        assert json.loads(text.strip().rpartition("data: ")[2])["error"]["message"].startswith(
            "no answer within 0.2 s"
        )
        assert writer.users == 0
        writer.go.set()

    run(test, limits=Limits(seconds=0.2))


def test_a_client_that_reads_no_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "LAST_S", 0.0)

    async def stuck(message: Any) -> None:
        await asyncio.sleep(20)

    async def test(app: Any) -> None:
        writer = played(app)
        await asyncio.wait_for(ask(app, [], asyncio.Event(), stuck), 5)
        assert writer.users == 0 and writer.calls.given_up
        writer.go.set()

    run(test, limits=Limits(seconds=0.2))


def test_a_bias_is_refused() -> None:
    async def test(app: Any) -> None:
        writer = played(app)
        writer.go.set()
        found = await app.post("/v1/chat/completions", {**CHAT, "logit_bias": {"17": -100}})
        assert found.status_code == 400 and found.json()["error"]["param"] == "logit_bias"
        none = await app.post("/v1/chat/completions", {**CHAT, "logit_bias": {}})
        assert none.status_code == 200 and writer.users == 0

    run(test)
