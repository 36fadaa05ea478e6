"""Feed an engine just as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from threading import Event

from mene.engines.base import Completion, Request

TICK_S = 0.05  # between two looks at ``stop``


def pump(
    requests: Iterable[Request | None],
    submit: Callable[[Request], Future[Completion]],
    ahead: int,
    stop: Event | None = None,
) -> Iterator[Completion]:
    """Keep up to ``ahead`` requests under way and yield their completions as they come.

    Closing the iterator, ``stop`` (set by another thread), or an exception cancels what has not begun.
    """
    waiting: set[Future[Completion]] = set()
    tick = TICK_S if stop is not None else None
    try:
        for request in requests:
            if request is not None:
                waiting.add(submit(request))
            while len(waiting) >= (ahead if request is not None else 1):
                done, waiting = wait(waiting, tick, FIRST_COMPLETED)
                if stop is not None and stop.is_set():
                    return
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, tick, FIRST_COMPLETED)
            if stop is not None and stop.is_set():
                return
            yield from (future.result() for future in done)
    finally:
        for future in waiting:
            future.cancel()
