"""The loop that feeds concurrent engines, without one."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import Future

import pytest
from played import request_of

from mene.engines.base import Completion, Request
from mene.engines.pump import pump
from mene.errors import ModelError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("asked", [2, 4])
def test_a_fork_that_goes_on_with_a_run_is_told_so_and_does_not_wait(asked: int) -> None:
    """What is under way is done by threads, and a fork has none of them: it waited for ever."""
    go = threading.Event()

    def submit(request: Request) -> Future[Completion]:
        future: Future[Completion] = Future()
        if request.index == 0:
            future.set_result(Completion(0))
        else:
            work = lambda: (go.wait(10), future.set_result(Completion(request.index)))  # noqa: E731
            threading.Thread(target=work, daemon=True).start()
        return future

    running: Generator[Completion, None, None] = pump(
        map(request_of, range(asked)), submit, ahead=2
    )
    assert next(running).index == 0
    child = os.fork()
    if not child:
        signal.alarm(5)  # ends one that waits
        try:
            next(running)
        except ModelError as error:
            os._exit(7 if "after the fork" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    go.set()
    assert sorted(done.index for done in running) == list(range(1, asked))
