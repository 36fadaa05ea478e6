"""Feed an engine just as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue

from mene.engines.base import Completion, Request


def pump(
    requests: Iterable[Request | None], submit: Callable[[Request], Future[Completion]], ahead: int
) -> Iterator[Completion]:
    """Keep up to ``ahead`` requests under way and yield their completions as they come.

    Closing the iterator, or an exception, cancels what has not begun.
    """
    # Each future says itself that it is done: to wait on all of them costs as much as there are, for every one.
    waiting: set[Future[Completion]] = set()
    done: SimpleQueue[Future[Completion]] = SimpleQueue()

    def following() -> Completion:
        future = done.get()
        waiting.discard(future)
        return future.result()

    try:
        for request in requests:
            if request is not None:
                future = submit(request)
                waiting.add(future)
                future.add_done_callback(done.put)
            while len(waiting) >= (ahead if request is not None else 1):
                yield following()
        while waiting:
            yield following()
    finally:
        for future in waiting:
            future.cancel()
