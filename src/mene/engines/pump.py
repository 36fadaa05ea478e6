"""Feeding an engine as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Event

from mene.engines.base import Completion, Request
from mene.errors import ModelError

# Interval of checking ``stop``. Used even without one: on Windows, Ctrl-C does not interrupt an endless wait.
TICK_S = 0.05
FORKED = (
    "these verdicts are under way in another process, and a fork cannot wait for them; open a judge in each process, after "
    "the fork"
)


def pump(
    requests: Iterable[Request | None],
    submit: Callable[[Request], Future[Completion]],
    ahead: int,
    stop: Event | None = None,
) -> Generator[Completion, None, None]:
    """Keep up to ``ahead`` requests in progress and yield their completions in order of completion.

    Closing the iterator, ``stop`` (set by another thread), or an exception cancels the requests that have not begun.

    Raises:
        ModelError: a forked process continues the iterator; the worker threads and their requests stayed with the parent.
    """
    owner = os.getpid()
    # Each future reports its own completion: waiting on the whole set would cost time in proportion to its size each time.
    waiting: set[Future[Completion]] = set()
    done: SimpleQueue[Future[Completion]] = SimpleQueue()

    def following() -> Completion | None:
        """Return the next completion; None once ``stop`` is set."""
        if os.getpid() != owner:
            raise ModelError(FORKED)
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
        if os.getpid() == owner:  # in a fork, a missing thread may hold a future's lock
            for future in waiting:
                future.cancel()
