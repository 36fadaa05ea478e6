"""Feed an engine just as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Event

from mene.engines.base import Completion, Request

# Between two looks at ``stop``. Without one too: a wait without end takes no Ctrl-C on Windows.
TICK_S = 0.05


def pump(
    requests: Iterable[Request | None],
    submit: Callable[[Request], Future[Completion]],
    ahead: int,
    stop: Event | None = None,
) -> Iterator[Completion]:
    """Keep up to ``ahead`` requests under way and yield their completions as they come.

    Closing the iterator, ``stop`` (set by another thread), or an exception cancels what has not begun.
    """
    # Each future says itself that it is done: to wait on all of them costs as much as there are, for every one.
    waiting: set[Future[Completion]] = set()
    done: SimpleQueue[Future[Completion]] = SimpleQueue()

    def following() -> Completion | None:
        """The next that is done; None once ``stop`` is set."""
        while stop is None or not stop.is_set():
            try:
                future = done.get(timeout=TICK_S)
            except Empty:
                continue
            waiting.discard(future)
            return future.result()
        return None

    try:
        for request in requests:
            if request is not None:
                future = submit(request)
                waiting.add(future)
                future.add_done_callback(done.put)
            while len(waiting) >= (ahead if request is not None else 1):
                if (completion := following()) is None:
                    return
                yield completion
        while waiting:
            if (completion := following()) is None:
                return
            yield completion
    finally:
        for future in waiting:
            future.cancel()
