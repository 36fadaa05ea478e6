"""A chat request on its way: a thread for each choice, in which llama.cpp writes, and its pieces in the event loop."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncGenerator
from typing import Any

from mene.engines.remote.openai import OpenAIEngine
from mene.serve.chat_request import ChatRequest, messages_of, sent_on
from mene.serve.door import Refused, TooSlow, wrong
from mene.serve.writer import Writer

Event = dict[str, Any] | Exception
# The number of a choice, and a piece of it as llama.cpp's `/completion` has it; the last of each has ``stop``.
Piece = tuple[int, dict[str, Any]]


class Going:
    """A request on its way, its choices one after the other. It is late from ``until`` on, by the loop's clock.

    Raises:
        Refused: something in the body cannot be done.
    """

    def __init__(self, body: ChatRequest, writer: Writer, model: str, seconds: float) -> None:
        self.body, self.writer, self.seconds = body, writer, seconds
        self.until = asyncio.get_running_loop().time() + seconds
        self.messages = messages_of(body, writer.engine.control_tokens)
        self.sent = sent_on(body, self.messages)
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

    async def events(self) -> AsyncGenerator[Piece, None]:
        """The pieces of all choices.

        Raises:
            Refused, MeneError: why there is nothing, or no more.
        """
        loop = asyncio.get_running_loop()
        engine = self.writer.engine
        assert not isinstance(engine, OpenAIEngine)
        calls = engine.calls()
        queues: list[asyncio.Queue[Event]] = [asyncio.Queue() for _ in range(self.body.n or 1)]
        # Not asyncio.timeout, which is of one task: the first piece is waited for in another one than the rest.
        late = loop.call_at(self.until, self._end, queues)

        def work(queue: asyncio.Queue[Event], body: dict[str, Any]) -> None:
            try:
                for event in self.writer.write(self.messages, body, calls):
                    loop.call_soon_threadsafe(queue.put_nowait, event)
            except Exception as error:
                loop.call_soon_threadsafe(queue.put_nowait, error)

        try:
            for number, queue in enumerate(queues):
                asked = queue, {**self.sent, "seed": (self.seed + number) % 2**32}
                threading.Thread(target=work, args=asked, daemon=True, name="mene-chat").start()
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
        finally:
            late.cancel()
            engine.give_up(calls)

    def _end(self, queues: list[asyncio.Queue[Event]]) -> None:
        error = TooSlow(f"no answer within {self.seconds:g} s; ask for fewer tokens")
        for queue in queues:
            queue.put_nowait(error)

    def _count(self, event: dict[str, Any], number: int) -> None:
        if not number:
            self.used[:2] = event["tokens_evaluated"], event["timings"]["cache_n"]
        self.used[2] += event["tokens_predicted"]


def _said(error: Any) -> Refused:
    """What llama.cpp says instead of an answer."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    if said.get("type") == "exceed_context_size_error":
        message = f"the messages have {said['n_prompt_tokens']:,} tokens and the context window {said['n_ctx']:,}; shorten them"
        return Refused(413, message, "max_tokens_exceeded", ("messages",))
    return wrong(f"llama.cpp refused it: {str(said.get('message'))[:300]}")
