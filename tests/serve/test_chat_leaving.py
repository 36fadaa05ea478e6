"""Chats that wait for their turn, and clients that leave, read no more or wait too long. No model: what writes is played."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import Future
from typing import Any

import pytest
from served import until
from test_app import run

from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.remote.openai import OpenAIEngine
from mene.serve import stream
from mene.serve.door import Limits
from mene.serve.job import Full
from mene.serve.judges import Judges
from mene.serve.writer import Writer

CHAT = {"messages": [{"role": "user", "content": "Is it true?"}], "stream": True}


class PlayedEngine(LlamaCppEngine):
    """Writes two pieces, and waits before the piece ``waits`` until it is let."""

    def __init__(self) -> None:
        self.control_tokens = frozenset()
        self.waits, self.go = 1, threading.Event()
        self.text, self.ends = ("a", "b"), "eos"
        self.asked: list[str] = []

    def calls(self) -> Any:
        return Calls()

    def give_up(self, calls: Any) -> None:
        calls.given_up = True

    def write(self, messages: Any, body: Any, calls: Any) -> Any:
        self.calls_now = calls
        self.asked.append(messages[-1].content)
        last = {"stop_type": self.ends, "tokens_evaluated": 1, "tokens_predicted": 2, "timings": {"cache_n": 0}}  # fmt: skip
        for number, piece in enumerate([{"stop": False}, {"stop": True, **last}]):
            if number == self.waits:
                self.go.wait(10)
            text = self.text[number]
            log = {"token": text, "logprob": -0.1, "bytes": list(text.encode()), "top_logprobs": []}
            yield {"content": text, "completion_probabilities": [log], **piece}


class Calls:
    given_up = False


class PlayedServer(OpenAIEngine):
    """A server that never answers."""

    def __init__(self, at_once: int = 1) -> None:
        self.concurrency = at_once
        self.asked: list[Future[dict[str, Any]]] = []

    def chat(self, body: dict[str, Any]) -> Future[dict[str, Any]]:
        self.asked.append(Future())
        return self.asked[-1]


def played(app: Any, engine: Any = None, **how: Any) -> tuple[Writer, Any]:
    """What writes for the default judge, and its engine."""
    engine = engine or PlayedEngine()
    writer = app.serving.judges.writers["base"] = Writer(engine, own=False, **how)
    return writer, engine


async def ask(
    app: Any,
    sent: list[Any],
    left: asyncio.Event,
    send: Any,
    chat: dict[str, Any] = CHAT,
    path: str = "/v1/chat/completions",
) -> None:
    """The app as a server calls it, which has a say when the client leaves and what becomes of what is sent."""
    body = [{"type": "http.request", "body": json.dumps(chat).encode(), "more_body": False}]

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
        "path": path, "raw_path": b"", "query_string": b"", "root_path": "", "client": None,
        "server": ("localhost", 80), "headers": [(b"host", b"localhost")],
    }  # fmt: skip
    await app.client._transport.app(scope, receive, sending)


async def nothing(message: Any) -> None:
    pass


def test_a_stream_is_what_was_written() -> None:
    async def test(app: Any) -> None:
        writer, engine = played(app)
        engine.go.set()
        found = await app.post("/v1/chat/completions", CHAT)
        chunks = [json.loads(line[6:]) for line in found.text.split("\n\n")[:-2]]
        said = [one["choices"][0]["delta"].get("content", "") for one in chunks]
        assert "".join(said) == "ab" and found.text.endswith("data: [DONE]\n\n")
        assert not writer.busy and engine.calls_now.given_up

    run(test)


def test_a_client_that_leaves_before_the_first_piece() -> None:
    async def test(app: Any) -> None:
        (writer, engine), left = played(app), asyncio.Event()
        engine.waits = 0
        asking = asyncio.create_task(ask(app, [], left, nothing))
        await until(lambda: writer.busy)
        left.set()
        await asyncio.wait_for(asking, 5)
        assert not writer.busy
        engine.go.set()

    run(test)


def test_a_client_that_leaves_before_the_stream_starts() -> None:
    async def gone(message: Any) -> None:
        raise OSError("connection lost")

    async def test(app: Any) -> None:
        writer, engine = played(app)
        await ask(app, [], asyncio.Event(), gone)
        assert not writer.busy and engine.calls_now.given_up
        engine.go.set()

    run(test)


def test_a_client_that_leaves_amid_the_stream() -> None:
    async def test(app: Any) -> None:
        (writer, engine), left, sent = played(app), asyncio.Event(), list[Any]()
        asking = asyncio.create_task(ask(app, sent, left, nothing))
        await until(lambda: len(sent) == 3)  # the head, who speaks, the first piece
        assert writer.busy
        left.set()
        await asyncio.wait_for(asking, 5)
        assert not writer.busy and engine.calls_now.given_up
        engine.go.set()

    run(test)


def test_a_stream_that_takes_too_long_says_so() -> None:
    async def test(app: Any) -> None:
        (writer, engine), sent = played(app), list[Any]()
        await ask(app, sent, asyncio.Event(), nothing)
        text = b"".join(one.get("body", b"") for one in sent).decode()
        assert '"content": "a"' in text
        assert json.loads(text.strip().rpartition("data: ")[2])["error"]["message"].startswith(
            "no answer within 0.2 s"
        )
        assert not writer.busy
        engine.go.set()

    run(test, limits=Limits(seconds=0.2))


def test_a_client_that_reads_no_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LAST_S", 0.0)

    async def stuck(message: Any) -> None:
        await asyncio.sleep(20)

    async def test(app: Any) -> None:
        writer, engine = played(app)
        await asyncio.wait_for(ask(app, [], asyncio.Event(), stuck), 5)
        assert not writer.busy and engine.calls_now.given_up
        engine.go.set()

    run(test, limits=Limits(seconds=0.2))


def test_a_bias_is_refused() -> None:
    async def test(app: Any) -> None:
        writer, engine = played(app)
        engine.go.set()
        found = await app.post("/v1/chat/completions", {**CHAT, "logit_bias": {"17": -100}})
        assert found.status_code == 400 and found.json()["error"]["param"] == "logit_bias"
        none = await app.post("/v1/chat/completions", {**CHAT, "logit_bias": {}})
        assert none.status_code == 200 and not writer.busy

    run(test)


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


def test_chats_have_turns_between_clients() -> None:
    async def test(app: Any) -> None:
        writer, engine = played(app)
        engine.waits = 0
        asking = [asyncio.create_task(app.post("/v1/chat/completions", said("first")))]
        await until(lambda: engine.asked)
        keys = {"a": "right-key-1", "b": "right-key-2"}
        for text in ("a 1", "a 2", "a 3", "b 1"):
            headers = {"authorization": f"Bearer {keys[text[0]]}"}
            asks = app.post("/v1/chat/completions", said(text), headers=headers)
            asking.append(asyncio.create_task(asks))
            await until(lambda: writer._places == len(asking))
        engine.go.set()
        assert all(one.status_code == 200 for one in await asyncio.gather(*asking))
        assert engine.asked == ["first", "a 1", "b 1", "a 2", "a 3"]
        assert not writer.busy

    headers = {"authorization": "Bearer right-key-1"}
    run(test, keys=["right-key-1", "right-key-2"], headers=headers)


def test_too_many_chats_are_429() -> None:
    async def test(app: Any) -> None:
        _, engine = played(app, most=1)
        asking = asyncio.create_task(app.post("/v1/chat/completions", said("first")))
        await until(lambda: engine.asked)
        found = await app.post("/v1/chat/completions", said("second"))
        assert found.status_code == 429 and int(found.headers["retry-after"]) >= 1
        assert found.json()["error"]["message"].startswith("1 chats wait already")
        engine.go.set()
        assert (await asking).status_code == 200
        assert (await app.post("/v1/chat/completions", said("third"))).status_code == 200

    run(test)


def test_the_time_that_a_chat_waits_counts() -> None:
    async def test(app: Any) -> None:
        writer, engine = played(app)
        writer._turns = 0  # others write
        found = await app.post("/v1/chat/completions", said("late"))
        assert found.status_code == 504 and not engine.asked and not writer.busy
        assert found.json()["error"]["message"].startswith("no answer within 0.2 s")

    run(test, limits=Limits(seconds=0.2))


def test_a_server_behind_has_no_more_time_than_others() -> None:
    async def test(app: Any) -> None:
        writer, engine = played(app, PlayedServer())
        found = await app.post("/v1/chat/completions", said("late"))
        assert found.status_code == 504 and not writer.busy
        assert engine.asked[0].cancelled()

    run(test, limits=Limits(seconds=0.2))


def test_a_client_that_leaves_a_server_behind() -> None:
    async def test(app: Any) -> None:
        (writer, engine), left = played(app, PlayedServer()), asyncio.Event()
        asking = asyncio.create_task(ask(app, [], left, nothing, said("x")))
        waits = asyncio.create_task(app.post("/v1/chat/completions", said("y")))
        await until(lambda: writer._places == 2)
        assert len(engine.asked) == 1  # no more at once than it may be asked
        left.set()
        await asyncio.wait_for(asking, 5)
        assert engine.asked[0].cancelled()
        await until(lambda: len(engine.asked) == 2)
        engine.asked[1].set_result({"choices": [{"message": {"content": "hi"}}]})
        assert (await waits).json()["choices"][0]["message"]["content"] == "hi"
        assert not writer.busy

    run(test)


def test_a_server_behind_that_is_closed() -> None:
    async def test(app: Any) -> None:
        _, engine = played(app, PlayedServer())
        asking = asyncio.create_task(app.post("/v1/chat/completions", said("x")))
        await until(lambda: engine.asked)
        engine.asked[0].cancel()
        assert (await asking).status_code == 503

    run(test)


def test_a_judge_that_cannot_chat_frees_no_other(tmp_path: Any, monkeypatch: Any) -> None:
    async def test(app: Any) -> None:
        judges: Judges = app.serving.judges
        await judges.desk("base")
        await judges.desk("nano")
        monkeypatch.setattr("mene.serve.writer.fetch", lambda preset: tmp_path)  # a folder
        found = await app.post("/v1/chat/completions", {"model": "base", **said("x")})
        assert found.status_code == 400 and "cannot chat" in found.json()["error"]["message"]
        assert set(judges.desks) == {"base", "nano"}

    monkeypatch.setattr("mene.serve.judges.memory_of", lambda preset: 1_000)
    run(test, "base", "nano", memory=2_000)


def test_what_writes_takes_memory_and_is_freed(tmp_path: Any, monkeypatch: Any) -> None:
    """A judge whose engine cannot write has a second process: it counts, and is freed by itself."""

    async def test(app: Any) -> None:
        judges: Judges = app.serving.judges
        await judges.desk("nano")
        writer, engine = played(app)
        writer.own, closed = True, []
        monkeypatch.setattr(type(engine), "close", lambda self: closed.append(self))
        for desk in judges.desks.values():
            desk._places += 1  # they are at work
        place = writer.enter("a")
        with pytest.raises(Full):
            await judges._make_room(judges.presets["base"])
        place.leave()
        place.leave()  # twice is once
        await judges._make_room(judges.presets["base"])
        assert not judges.writers and closed == [engine] and len(judges.desks) == 2
        for desk in judges.desks.values():
            desk._places -= 1

    monkeypatch.setattr("mene.serve.judges.memory_of", lambda preset: 1_000)
    run(test, "base", "nano", memory=3_000)


def test_a_stream_of_verdicts_whose_client_reads_no_more_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "LAST_S", 0.0)

    async def stuck(message: Any) -> None:
        await asyncio.sleep(20)

    async def test(app: Any) -> None:
        desk = await app.serving.judges.desk()
        app.engine.open.clear()
        body = {"samples": ["a", "b"], "criterion": "Is it polite?", "stream": True}
        await asyncio.wait_for(ask(app, [], asyncio.Event(), stuck, body, "/v1/judge"), 5)
        app.engine.open.set()
        await until(lambda: not desk.busy)

    run(test, limits=Limits(seconds=0.2))


def test_a_client_that_leaves_before_a_stream_of_verdicts_starts() -> None:
    async def gone(message: Any) -> None:
        raise OSError("connection lost")

    async def test(app: Any) -> None:
        desk = await app.serving.judges.desk()
        app.engine.open.clear()
        body = {"samples": ["a", "b"], "criterion": "Is it polite?", "stream": True}
        await ask(app, [], asyncio.Event(), gone, body, "/v1/judge")
        await until(lambda: not desk.busy)  # though the engine has not answered
        app.engine.open.set()

    run(test)


def test_json_that_is_cut_off_ends_with_what_is_whole() -> None:
    async def test(app: Any) -> None:
        _, engine = played(app)
        engine.go.set()
        engine.text, engine.ends = ('["a"', ', "b'), "limit"
        form = {"json_schema": {"name": "x", "schema": {"type": "array"}}, "type": "json_schema"}
        ask = said("x", response_format=form, logprobs=True)
        [choice] = (await app.post("/v1/chat/completions", ask)).json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ('["a"]', "stop")
        assert choice["x_mene"] == {"shortened": True}
        assert [one["token"] for one in choice["logprobs"]["content"]] == ['["a"']
        form["json_schema"]["schema"] = {"type": "array", "minItems": 2}
        [choice] = (await app.post("/v1/chat/completions", ask)).json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ('["a", "b"]', "stop")
        form["json_schema"]["schema"] = {"type": "array", "minItems": 3}
        [choice] = (await app.post("/v1/chat/completions", ask)).json()["choices"]
        assert (choice["message"]["content"], choice["finish_reason"]) == ('["a", "b', "length")

    run(test)
