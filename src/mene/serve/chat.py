"""``POST /v1/chat/completions``: the judge's weights as a plain chat model, for metrics that bring prompts of their own.

llama.cpp writes, and its grammars keep JSON to its schema. Messages are data: what the model's tokeniser would read as a
control token is broken up in them.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mene.engines.remote.openai import OpenAIEngine
from mene.errors import MeneError
from mene.message import Message
from mene.serve.body import read_body
from mene.serve.door import Door, Refused, answer, refused, wrong
from mene.serve.plain import plain_text
from mene.serve.schema import described, held_to
from mene.serve.serving import serving_of
from mene.serve.writer import Writer

EVENTS = "text/event-stream"
ROOM = 1024  # tokens, where a request does not say; a small model may find no end
CHOICES = 16  # that one request may ask for
NEVER = -9999.0  # OpenAI's log of a probability that is 0


class Part(BaseModel):
    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None


class JsonSchema(BaseModel):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(BaseModel):
    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """A chat and how to go on with it, as OpenAI has it. What is not named here is ignored, but for tools."""

    model_config = ConfigDict(extra="allow")  # another server may know it

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, lt=2**31)
    max_completion_tokens: int | None = Field(None, ge=1, lt=2**31)
    n: int | None = Field(None, ge=1, le=CHOICES)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None


class ChatResponse(BaseModel):
    """A chat completion, as OpenAI has it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


Event = dict[str, Any] | Exception


async def chat(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    body = await read_body(request, ChatRequest, serving.limits)
    if body.tools or body.functions:
        raise wrong("no tools are called here; leave them out", "tools")
    try:
        name = serving.judges.name_of(body.model)
        writer = await serving.judges.writer(body.model)
    except MeneError as error:
        raise refused(error) from None
    try:
        if isinstance(writer.engine, OpenAIEngine):
            told = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
            told = {k: v for k, v in told.items() if k not in ("stream", "stream_options")}
            whole = await asyncio.to_thread(writer.engine.chat, told)
            if not body.stream:
                return answer(whole)
            return StreamingResponse(_sent(_unfolded(whole)), media_type=EVENTS)
        going = Going(body, writer, name, serving.limits.seconds)
        if not body.stream:
            return answer(await _whole(request, going))
        first = await anext(events := going.events())
        writer.enter()  # for as long as it streams
        return StreamingResponse(_streamed(going, first, events, writer), media_type=EVENTS)
    except MeneError as error:
        raise refused(error) from None
    finally:
        writer.leave()


class Going:
    """A request on its way, its choices one after the other.

    Raises:
        Refused: something in the body cannot be done.
    """

    def __init__(self, body: ChatRequest, writer: Writer, model: str, seconds: float) -> None:
        self.body, self.writer, self.seconds = body, writer, seconds
        self.messages = _messages(body, writer)
        self.sent = _sent_on(body, self.messages)
        self.logs = bool(body.logprobs)
        self.seed = secrets.randbelow(2**31) if body.seed is None else body.seed
        self.used = [0, 0, 0]  # tokens: of the prompt, of these cached, written
        self.head = {
            "id": f"chatcmpl-{secrets.token_hex(12)}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }

    @property
    def usage(self) -> dict[str, Any]:
        """As OpenAI counts: the prompt once, the texts of all choices."""
        prompt, cached, written = self.used
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    async def events(self) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Number of the choice, and a piece of it as ``/completion`` has it; the last of each has ``stop``.

        Raises:
            Refused, MeneError: why there is nothing, or no more.
        """
        loop = asyncio.get_running_loop()
        engine = self.writer.engine
        assert not isinstance(engine, OpenAIEngine)
        calls = engine.calls()
        try:
            async with asyncio.timeout(self.seconds):
                for number in range(self.body.n or 1):
                    queue: asyncio.Queue[Event] = asyncio.Queue()
                    body = {**self.sent, "seed": (self.seed + number) % 2**32}

                    def work(queue: asyncio.Queue[Event] = queue, body: Any = body) -> None:
                        def put(event: Event) -> None:
                            loop.call_soon_threadsafe(queue.put_nowait, event)

                        try:
                            for event in self.writer.write(self.messages, body, calls):
                                put(event)
                        except Exception as error:
                            put(error)

                    threading.Thread(target=work, daemon=True, name="mene-chat").start()
                    ended = False
                    while not ended:
                        event = await queue.get()
                        if isinstance(event, Exception):
                            raise event
                        if "error" in event:
                            raise _said(event["error"])
                        if ended := event["stop"]:
                            self._count(event, number)
                        yield number, event
        except TimeoutError:
            message = f"no answer within {self.seconds:g} s; ask for fewer tokens (--timeout)"
            raise Refused(
                504, message, "timeout_error", headers={"x-should-retry": "false"}
            ) from None
        finally:
            engine.give_up(calls)

    def _count(self, event: dict[str, Any], number: int) -> None:
        if not number:
            self.used[:2] = event["tokens_evaluated"], event["timings"]["cache_n"]
        self.used[2] += event["tokens_predicted"]


def _messages(body: ChatRequest, writer: Writer) -> list[Message]:
    tokens = writer.engine.control_tokens
    found = []
    for number, message in enumerate(body.messages):
        content = message.content
        if content is None:
            raise wrong("a message needs a text", "messages", number, "content")
        if not isinstance(content, str):
            content = "\n".join(part.text for part in content)
        role = {"developer": "system", "tool": "user"}.get(message.role, message.role)
        found.append(Message(role, plain_text(content, tokens)))
    return found


def _sent_on(body: ChatRequest, messages: list[Message]) -> dict[str, Any]:
    """What llama.cpp is asked."""
    hot = 1.0 if body.temperature is None else body.temperature
    penalties = {
        "presence_penalty": body.presence_penalty or 0.0,
        "frequency_penalty": body.frequency_penalty or 0.0,
    }
    samplers = ["penalties"] if any(penalties.values()) else []
    sent: dict[str, Any] = {"cache_prompt": True, "n_predict": ROOM, **penalties}
    if hot > 0:
        sent |= {"temperature": hot, "top_p": 1.0 if body.top_p is None else body.top_p}
        sent["samplers"] = [*samplers, "top_p", "temperature"]
    else:
        sent |= {"temperature": 1.0, "top_k": 1, "samplers": [*samplers, "top_k"]}
    if room := body.max_completion_tokens or body.max_tokens:
        sent["n_predict"] = room
    if body.stop:
        stop = [body.stop] if isinstance(body.stop, str) else body.stop
        sent["stop"] = [text for text in stop if text]
    if body.logprobs:
        sent["n_probs"] = max(body.top_logprobs or 0, 1)
    elif body.top_logprobs:
        raise wrong("top_logprobs needs logprobs: true", "top_logprobs")
    wanted = body.response_format
    if wanted is not None and wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise wrong("the schema is missing", "response_format", "json_schema", kind="missing")
        schema = wanted.json_schema.schema_
        sent["json_schema"] = held_to(schema, "response_format", "json_schema", "schema")
    elif wanted is not None and wanted.type == "json_object":
        sent["json_schema"] = described([m._asdict() for m in messages])
    return sent


def _said(error: Any) -> Refused:
    """What llama.cpp says instead of an answer."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    if said.get("type") == "exceed_context_size_error":
        message = f"the messages have {said['n_prompt_tokens']:,} tokens and the context window {said['n_ctx']:,}; shorten them"
        return Refused(413, message, "max_tokens_exceeded", ("messages",))
    return wrong(f"llama.cpp refused it: {str(said.get('message'))[:300]}")


class Tokens:
    """The tokens of one choice, with probabilities, as far as their text was passed on.

    Of a character of several tokens llama.cpp tells the last one: it stands for the whole character here.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[dict[str, Any]] = []

    def of(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Those of a piece; a token whose text is held back waits for it."""
        self._held += [self._read(one) for one in event.get("completion_probabilities") or ()]
        left, found = event["content"].encode(), []
        while self._held and left:
            one = self._held.pop(0)
            if not self._held and not left.startswith(bytes(one["bytes"])):
                one |= {"token": left.decode(errors="replace"), "bytes": list(left)}
            left = left[len(one["bytes"]) :]
            found.append(one)
        return found

    def _read(self, one: dict[str, Any]) -> dict[str, Any]:
        top = [_token(other) for other in (one.get("top_logprobs") or [])[: self._most]]
        return {**_token(one), "top_logprobs": top}


def _token(one: dict[str, Any]) -> dict[str, Any]:
    log = one["logprob"]
    log = log if isinstance(log, int | float) and log > NEVER else NEVER
    return {"token": one["token"], "logprob": log, "bytes": one["bytes"]}


def _ending(event: dict[str, Any]) -> str:
    return "length" if event["stop_type"] == "limit" else "stop"


async def _whole(request: Request, going: Going) -> dict[str, Any]:
    """The completion, all at once; given up where the client goes away."""
    choices: list[dict[str, Any]] = []

    async def collect() -> None:
        text, tokens, logs = "", Tokens(going.body.top_logprobs or 0), list[Any]()
        async for number, event in going.events():
            text += event["content"]
            logs += tokens.of(event)
            if event["stop"]:
                choices.append(
                    {
                        "index": number,
                        "message": {"role": "assistant", "content": text, "refusal": None},
                        "finish_reason": _ending(event),
                        "logprobs": {"content": logs, "refusal": None} if going.logs else None,
                    }
                )
                text, tokens, logs = "", Tokens(going.body.top_logprobs or 0), []

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, away = asyncio.ensure_future(collect()), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((work, away), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Refused(499, "the client went away", "value_error")
        await work
    finally:
        work.cancel()
        away.cancel()
    return {**going.head, "object": "chat.completion", "choices": choices, "usage": going.usage}


async def _streamed(
    going: Going, first: tuple[int, dict[str, Any]], events: Any, writer: Writer
) -> AsyncIterator[bytes]:
    options = going.body.stream_options
    counted = bool(options and options.include_usage)
    head = {**going.head, "object": "chat.completion.chunk", **({"usage": None} if counted else {})}

    def chunk(
        number: int, delta: dict[str, Any], end: str | None = None, logs: Any = None
    ) -> bytes:
        choice = {"index": number, "delta": delta, "finish_reason": end, "logprobs": logs}
        return _line({**head, "choices": [choice]})

    seen, tokens, item = -1, Tokens(0), first
    try:
        while item is not None:
            number, event = item
            if number != seen:
                seen, tokens = number, Tokens(going.body.top_logprobs or 0)
                yield chunk(number, {"role": "assistant", "content": "", "refusal": None})
            logs = tokens.of(event)
            if event["content"]:
                said = {"content": logs, "refusal": None} if going.logs else None
                yield chunk(number, {"content": event["content"]}, logs=said)
            if event["stop"]:
                yield chunk(number, {}, _ending(event))
            item = await anext(events, None)
        if counted:
            yield _line({**head, "choices": [], "usage": going.usage})
        yield b"data: [DONE]\n\n"
    except (MeneError, Refused) as error:
        told = error if isinstance(error, Refused) else refused(error)
        yield _line({"error": {"message": told.message, "type": "server_error", "code": told.kind}})
    finally:
        await events.aclose()
        writer.leave()


def _unfolded(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """A completion of another server as the chunks of a stream."""
    head = {k: v for k, v in whole.items() if k not in ("choices", "usage", "object")}
    chunks = []
    for choice in whole.get("choices") or ():
        delta = choice.get("message") or {}
        rest = {k: v for k, v in choice.items() if k != "message"}
        chunks.append(
            {**head, "object": "chat.completion.chunk", "choices": [{**rest, "delta": delta}]}
        )
    chunks.append(
        {**head, "object": "chat.completion.chunk", "choices": [], "usage": whole.get("usage")}
    )
    return chunks


async def _sent(chunks: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    for one in chunks:
        yield _line(one)
    yield b"data: [DONE]\n\n"


def _line(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


DOORS = (
    Door(
        "POST", "/v1/chat/completions", chat, "The judge's weights as a plain chat model.",
        family="openai", takes=ChatRequest, gives=ChatResponse, streams=True,
    ),
)  # fmt: skip
