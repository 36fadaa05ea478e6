"""``POST /v1/chat/completions``: the judge's weights as a plain chat model, for metrics with their own prompts.

llama.cpp writes the text, and its grammars enforce JSON schemas. Messages are untrusted: control tokens of the model are broken
up in them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mene.engines.remote.openai import OpenAIEngine
from mene.errors import MeneError
from mene.serve.body import read_body
from mene.serve.chat_answer import sent, streamed, unfolded, whole
from mene.serve.chat_going import Going, its_turn, too_slow
from mene.serve.chat_request import ChatRequest
from mene.serve.door import Door, Refused, answer, refused, wrong
from mene.serve.job import Closing
from mene.serve.serving import client_of, serving_of
from mene.serve.stream import EVENTS, Stream
from mene.serve.writer import Place

T = TypeVar("T")


class ChatResponse(BaseModel):
    """A chat completion, as OpenAI has it."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any]


async def chat(request: Request) -> Response:
    """The route."""
    serving = serving_of(request)
    body = await read_body(request, ChatRequest, serving.limits)
    if body.tools or body.functions:
        raise wrong("no tools are called here; leave them out", "tools")
    try:
        name = serving.judges.name_of(body.model)
        place = await serving.judges.chat(body.model, client_of(request))
    except MeneError as error:
        raise refused(error) from None
    streams: Stream | None = None
    try:
        if isinstance(place.writer.engine, OpenAIEngine):
            passed = _passed_on(place.writer.engine, place, body, serving.limits.seconds)
            done = await _while_there(request, passed)
            if not body.stream:
                return answer(done)
            return StreamingResponse(sent(unfolded(done)), media_type=EVENTS)
        going = Going(body, place, name, serving.limits.seconds)
        if not body.stream:
            return answer(await _while_there(request, whole(going)))
        events = going.events()
        first = await _while_there(request, anext(events))

        async def ended() -> None:
            try:
                await events.aclose()
            finally:
                place.leave()

        streams = Stream(streamed(going, first, events), going.until, ended)
        return streams
    except MeneError as error:
        raise refused(error) from None
    finally:
        if streams is None:
            place.leave()


async def _passed_on(
    engine: OpenAIEngine, place: Place, body: ChatRequest, seconds: float
) -> dict[str, Any]:
    """Return the reply of the judge's own server."""
    until = asyncio.get_running_loop().time() + seconds
    await its_turn(place, until, seconds)
    told = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    told = {k: v for k, v in told.items() if k not in ("stream", "stream_options")}
    asking = asyncio.wrap_future(engine.chat(told))
    try:
        async with asyncio.timeout_at(until):
            return await asking
    except TimeoutError:
        raise too_slow(seconds) from None
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is not None and task.cancelling():
            raise
        raise Closing("the server is shutting down") from None  # its engine was closed


async def _while_there(request: Request, work: Awaitable[T]) -> T:
    """Return the result of ``work``, which is aborted if the client disconnects."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, away = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait((working, away), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Refused(499, "the client went away", "value_error")
        return await working
    finally:
        working.cancel()
        away.cancel()


DOORS = (
    Door(
        "POST", "/v1/chat/completions", chat, "The judge's weights as a plain chat model.",
        family="openai", takes=ChatRequest, gives=ChatResponse, streams=True,
    ),
)  # fmt: skip
