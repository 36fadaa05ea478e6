"""Server-sent events to a client that may disconnect, or stop reading."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

log = logging.getLogger("mene.serve")

EVENTS = "text/event-stream"
LAST_S = 5.0  # for the final events of a stream after its time limit


class Stream(StreamingResponse):
    """A stream that ends at ``until``; if its client has stopped reading, it is aborted a little later.

    Args:
        until: time of the event loop's clock.
        ended: called once at the end, even if the stream never began: a generator that was not started runs no ``finally``.
    """

    def __init__(
        self,
        content: AsyncIterator[bytes],
        until: float,
        ended: Callable[[], Awaitable[None]],
    ) -> None:
        # Otherwise proxies (nginx) buffer the response.
        super().__init__(content, media_type=EVENTS, headers={"x-accel-buffering": "no"})
        self._until, self._ended = until, ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout_at(self._until + LAST_S):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.info("a client read no more of its stream, and was given up")
        finally:
            await self._ended()
