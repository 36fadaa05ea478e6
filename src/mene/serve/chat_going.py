"""A chat request in progress: llama.cpp writes each choice in a thread, and its pieces arrive in the event loop."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.serve.chat_request import ChatRequest, messages_of, sent_on
from mene.serve.door import Refused, TooSlow, wrong
from mene.serve.writer import Place

Event = dict[str, Any] | Exception
# (number of the choice, piece in the form of llama.cpp's `/completion`); the last piece of each has ``stop``.
Piece = tuple[int, dict[str, Any]]


class Going:
    """A request in progress, its choices one after the other. It times out at ``until``, by the loop's clock.

    Raises:
        Refused: something in the body is not supported.
    """

    def __init__(self, body: ChatRequest, place: Place, model: str, seconds: float) -> None:
        engine = place.writer.engine
        assert isinstance(engine, LlamaCppEngine)
        self.body, self.place, self.seconds = body, place, seconds
        self._engine = engine
        self.until = asyncio.get_running_loop().time() + seconds
        self.messages = messages_of(body, engine.control_tokens)
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
        """Return OpenAI's usage: the prompt once, and the texts of all choices."""
        prompt, cached, written = self.used
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
            "prompt_tokens_details": {"cached_tokens": cached},
        }

    async def events(self) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of all choices, after waiting for their turn.

        Raises:
            Refused, MeneError: why there is no (further) answer.
        """
        loop = asyncio.get_running_loop()
        await its_turn(self.place, self.until, self.seconds)
        engine = self._engine
        calls = engine.calls()
        queues: list[asyncio.Queue[Event]] = [asyncio.Queue() for _ in range(self.body.n or 1)]
        # Not asyncio.timeout, which belongs to one task: the first piece is awaited in another task than the rest.
        late = loop.call_at(self.until, self._end, queues)

        def tell(queue: asyncio.Queue[Event], event: Event) -> None:
            with suppress(RuntimeError):  # the loop has ended, and its listeners with it
                loop.call_soon_threadsafe(queue.put_nowait, event)

        def work(queue: asyncio.Queue[Event], body: dict[str, Any]) -> None:
            try:
                for event in engine.write(self.messages, body, calls):
                    tell(queue, event)
            except Exception as error:
                tell(queue, error)

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
        error = too_slow(self.seconds)
        for queue in queues:
            queue.put_nowait(error)

    def _count(self, event: dict[str, Any], number: int) -> None:
        if not number:
            self.used[:2] = event["tokens_evaluated"], event["timings"]["cache_n"]
        self.used[2] += event["tokens_predicted"]


async def its_turn(place: Place, until: float, seconds: float) -> None:
    """Wait for a turn, until a time of the loop's clock.

    Raises:
        TooSlow: it did not come in time.
    """
    try:
        async with asyncio.timeout_at(until):
            await place.writes.wait()
    except TimeoutError:
        raise too_slow(seconds) from None


def too_slow(seconds: float) -> TooSlow:
    """Return the error of a chat that exceeded its time limit."""
    return TooSlow(f"no answer within {seconds:g} s; ask for fewer tokens")


def _said(error: Any) -> Refused:
    """Return llama.cpp's error as a refusal."""
    said = error if isinstance(error, dict) else {"message": str(error)}
    if said.get("type") == "exceed_context_size_error":
        message = f"the messages have {said['n_prompt_tokens']:,} tokens and the context window {said['n_ctx']:,}; shorten them"
        return Refused(413, message, "max_tokens_exceeded", ("messages",))
    return wrong(f"llama.cpp refused it: {str(said.get('message'))[:300]}")
