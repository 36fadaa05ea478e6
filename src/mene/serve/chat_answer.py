"""The response to a chat client, whole or in chunks, in OpenAI's format, with token probabilities."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import accumulate
from os.path import commonprefix
from typing import Any

from mene.errors import MeneError
from mene.serve.chat_going import Going, Piece
from mene.serve.door import Refused, refused
from mene.serve.json_end import shortened

NEVER = -9999.0  # OpenAI's log of a probability that is 0


async def whole(going: Going) -> dict[str, Any]:
    """Return the whole completion. JSON cut by the token limit is closed after its last complete part."""
    choices: list[dict[str, Any]] = []
    text, tokens, logs = "", Tokens(going.body.top_logprobs or 0), list[Any]()
    async for number, event in going.events():
        text += event["content"]
        logs += tokens.of(event)
        if event["stop"]:
            end, more = _ending(event), dict[str, Any]()
            schema = going.sent.get("json_schema")
            if end == "length" and schema and (ended := shortened(text, schema)) is not None:
                logs = _logs_of(logs, commonprefix([text, ended]))  # noqa: RUF071 (no paths)
                text, end, more = ended, "stop", {"x_mene": {"shortened": True}}
            choices.append(
                {
                    "index": number,
                    "message": {"role": "assistant", "content": text, "refusal": None},
                    "finish_reason": end,
                    "logprobs": {"content": logs, "refusal": None} if going.logs else None,
                    **more,
                }
            )
            text, tokens, logs = "", Tokens(going.body.top_logprobs or 0), []
    return {**going.head, "object": "chat.completion", "choices": choices, "usage": going.usage}


def _logs_of(logs: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return the tokens that make up the beginning of a text."""
    left = len(text.encode())
    ends = accumulate(len(one["bytes"]) for one in logs)
    return [one for one, end in zip(logs, ends, strict=True) if end <= left]


async def streamed(
    going: Going, first: Piece, events: AsyncIterator[Piece]
) -> AsyncIterator[bytes]:
    """Yield the completion in chunks; an error on the way is the last one."""
    options = going.body.stream_options
    counted = bool(options and options.include_usage)
    head = {**going.head, "object": "chat.completion.chunk", **({"usage": None} if counted else {})}

    def chunk(
        number: int, delta: dict[str, Any], end: str | None = None, logs: Any = None
    ) -> bytes:
        choice = {"index": number, "delta": delta, "finish_reason": end, "logprobs": logs}
        return _line({**head, "choices": [choice]})

    seen, tokens = -1, Tokens(0)
    item: Piece | None = first
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


def unfolded(done: dict[str, Any]) -> list[dict[str, Any]]:
    """Return another server's completion as the chunks of a stream."""
    head = {k: v for k, v in done.items() if k not in ("choices", "usage", "object")}
    chunks = []
    for choice in done.get("choices") or ():
        delta = choice.get("message") or {}
        rest = {k: v for k, v in choice.items() if k != "message"}
        chunks.append(
            {**head, "object": "chat.completion.chunk", "choices": [{**rest, "delta": delta}]}
        )
    chunks.append(
        {**head, "object": "chat.completion.chunk", "choices": [], "usage": done.get("usage")}
    )
    return chunks


async def sent(chunks: list[dict[str, Any]]) -> AsyncIterator[bytes]:
    """Yield chunks as server-sent events."""
    for one in chunks:
        yield _line(one)
    yield b"data: [DONE]\n\n"


def _line(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


class Tokens:
    """The tokens of one choice, with probabilities, as far as their text has been sent.

    For a character of several tokens, llama.cpp reports the last one, which stands for the whole character here.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: list[dict[str, Any]] = []

    def of(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Return a piece's tokens; a token whose text is held back is returned with that text."""
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
