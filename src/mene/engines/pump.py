"""Feed an engine just as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait

from mene.engines.base import Completion, Request


def pump(
    requests: Iterable[Request | None], submit: Callable[[Request], Future[Completion]], ahead: int
) -> Iterator[Completion]:
    """Keep up to ``ahead`` requests under way and yield their completions as they come.

    Closing the iterator, or an exception, cancels what has not begun.
    """
    waiting: set[Future[Completion]] = set()
    try:
        for request in requests:
            if request is not None:
                waiting.add(submit(request))
            while len(waiting) >= (ahead if request is not None else 1):
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        for future in waiting:
            future.cancel()
