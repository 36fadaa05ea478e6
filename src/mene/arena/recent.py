"""A cached value that is slow to compute: callers get the last value while a new one is computed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")
log = logging.getLogger("mene.serve")
SHARE = 0.05  # maximum share of the time spent on computing it
PATIENCE_S = 0.5  # maximum wait for a new value if there is an old one


class Recent(Generic[T]):
    """A value that is recomputed when it is old: the longer that takes, the older it may be. For one event loop.

    Only a caller that finds no value yet waits until it is computed.

    Args:
        make: computes it, outside of the event loop.
    """

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._kept: tuple[T] | None = None
        self._until = 0.0
        self._work: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return the value. Raises what ``make`` raises if there is no value yet."""
        if self._work is None and (self._kept is None or time.monotonic() >= self._until):
            self._work = asyncio.create_task(self._renew())
            self._work.add_done_callback(self._over)
        if self._work is None:
            assert self._kept is not None
            return self._kept[0]
        work = self._work  # many callers wait for it, and one may leave
        if self._kept is None:
            return await asyncio.shield(work)
        await asyncio.wait({work}, timeout=PATIENCE_S)
        return self._kept[0]

    async def _renew(self) -> T:
        began = time.monotonic()
        value = await self._make()
        ended = time.monotonic()
        self._kept, self._until = (value,), ended + (ended - began) / SHARE
        return value

    def _over(self, work: asyncio.Task[T]) -> None:
        self._work = None
        if not work.cancelled() and (error := work.exception()) is not None:
            log.error("the leaderboard: %s", error)
