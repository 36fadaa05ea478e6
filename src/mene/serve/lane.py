"""A thread that feeds an engine: it takes waiting jobs in windows, sorts them by prompt, and passes them to one long run."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from mene.engines.base import Request
from mene.errors import EngineError, MeneError, ModelError
from mene.judge.judge import Judge
from mene.serve.job import Closing, Job
from mene.serve.judging import Judging, unexpected
from mene.serve.pace import Pace
from mene.serve.queue import Queue

# A window: the jobs that an engine must have answered before it gets more. As many as take it so long, within these bounds.
# Smaller windows share fewer prefixes; larger ones let a new client wait longer.
WINDOW_S, FEWEST, MOST = 4.0, 16, 256


class Lane:
    """One thread, its waiting jobs, and the run of the engine that it feeds.

    Args:
        name: of the thread.
        lock: the caller holds it for every method but ``join``; the thread waits for its notification.
    """

    def __init__(
        self, name: str, judge: Judge, judging: Judging, pace: Pace, lock: threading.Condition
    ) -> None:
        self.queue: Queue[Job] = Queue()
        self._name, self._judge, self._judging, self._pace = name, judge, judging, pace
        self._lock = lock
        self._taken: deque[Job] = deque()  # rendered, and not yet with the engine
        self._flight: dict[
            int, tuple[Job, int]
        ] = {}  # index of a request -> its job, and its place in it
        self._stop = threading.Event()
        self._closed = self._abandon = False
        self._thread: threading.Thread | None = None

    def put(self, job: Job, first: bool = False) -> None:
        """Queue a job, behind or before the others of its client."""
        self.queue.put(job, first)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()

    def leave(self, job: Job) -> None:
        """Withdraw a job that no client waits for. If that is true of all jobs in the engine, its run is stopped."""
        # Other jobs may wait for one that was rendered, or join it later: `_requests` drops it if none does.
        if job.ask is None and self.queue.leave(job):
            return
        if self._flight and not any(other.wanted for other, _ in list(self._flight.values())):
            self._stop.set()

    def close(self, finish: bool) -> None:
        """End when all jobs are done, or at once."""
        self._closed = True
        if not finish:
            self._abandon = True
            self._stop.set()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        """Feed one run of the engine after another: a run ends if it fails, or if no client wants its answers."""
        engine = self._judge.engine
        while not self._ended():
            flight = self._flight = {}
            stop = self._stop = threading.Event()
            error: MeneError | None = None
            try:
                for completion in engine.run(self._requests(flight), stop):
                    job, part = flight.pop(completion.index)
                    job.done[part] = completion
                    if None not in job.done:
                        self._judging.answered(job)
            except MeneError as raised:
                error = raised
            except Exception as raised:
                error = unexpected(raised)
            if error is None and (flight or self._taken) and not stop.is_set():
                error = EngineError("the engine ended without an answer; ask again")
            left = [*dict.fromkeys(job for job, _ in flight.values()), *self._taken]
            self._taken.clear()
            self._end(left, error)

    def _ended(self) -> bool:
        with self._lock:
            if self._abandon:
                for job in self.queue.clear():
                    self._judging.drop(job, Closing("the server is shutting down"))
            return self._closed and not self.queue

    def _requests(self, flight: dict[int, tuple[Job, int]]) -> Iterator[Request | None]:
        """Yield requests to the engine. After a None it answers all before it pulls more."""
        serial = given = 0
        window = FEWEST
        while (jobs := self._take(window - given, wait=not given)) is not None:
            if not jobs:  # nothing waits, or the window is full: all must be answered first
                yield None
                given = 0
                rate = self._pace.rate or 0.0
                window = int(min(max(rate * WINDOW_S, FEWEST), MOST))
                continue
            given += window if jobs[0].alone else len(jobs)
            ready = [job for job in jobs if job.alone or self._judging.ready(job)]
            ready.sort(key=lambda job: job.requests[0].messages)
            self._taken.extend(ready)
            while self._taken:
                job = self._taken.popleft()
                if self._judging.drop_unwanted(job):
                    continue
                # Copies, since one that is asked again may still stand in the queue of the run before; all are under way
                # before the first goes out, so that none is forgotten where the run ends between two.
                numbered = [
                    replace(request, index=serial + i) for i, request in enumerate(job.requests)
                ]
                serial += len(numbered)
                for part, request in enumerate(numbered):
                    flight[request.index] = job, part
                yield from numbered

    def _take(self, most: int, wait: bool) -> list[Job] | None:
        """Return waiting jobs.

        Args:
            wait: for a job, since the engine is idle.

        Returns:
            the jobs; None: the thread must end.
        """
        with self._lock:
            while wait and not self.queue and not self._closed:
                self._lock.wait()
            if self._abandon or (wait and not self.queue):
                return None
            return self.queue.take(most, alone=wait)

    def _end(self, left: list[Job], error: MeneError | None) -> None:
        """Retry or fail the jobs that a run has not answered.

        One prompt may have failed the whole run, so each job is retried once, alone. If the model is lost, all of them fail, and
        all waiting jobs with them.
        """
        if isinstance(error, ModelError) or (error is not None and not left):
            with self._lock:
                left += self.queue.clear()
        for job in left:
            if job.hear is not None:
                job.hear.again()
            if self._abandon:
                self._judging.drop(job, Closing("the server is shutting down"))
            elif self._judging.drop_unwanted(job):
                pass
            elif error is None:  # the run was stopped, not because of these jobs
                with self._lock:
                    self.put(job, first=True)
            elif not (isinstance(error, ModelError) or job.alone or len(left) == 1):
                job.alone = True
                job.done = [None] * len(job.requests)
                with self._lock:
                    self.queue.put_again(job)
            else:
                self._judging.drop(job, error)
