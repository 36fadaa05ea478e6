"""Feed an engine just as fast as it works: the loop that concurrent engines share."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Event

from mene.engines.base import Completion, Request
from mene.errors import ModelError

# Between two looks at ``stop``. Without one too: a wait without end takes no Ctrl-C on Windows.
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
    """Keep up to ``ahead`` requests under way and yield their completions as they come.

    Closing the iterator, ``stop`` (set by another thread), or an exception cancels what has not begun.

    Raises:
        ModelError: a fork goes on with it. The threads that work stayed with its parent, and so does what they do.
    """
    owner = os.getpid()
    # Each future says itself that it is done: to wait on all of them costs as much as there are, for every one.
    waiting: set[Future[Completion]] = set()
    done: SimpleQueue[Future[Completion]] = SimpleQueue()

    def following() -> Completion | None:
        """The next that is done; None once ``stop`` is set."""
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
        if os.getpid() == owner:  # in a fork, a thread that is not there may hold a future's lock
            for future in waiting:
                future.cancel()
