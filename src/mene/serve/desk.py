"""The queue of one judge. Nothing else in the server calls an engine.

The event loop enqueues jobs and gets futures. A thread (``lane.py``) takes waiting jobs, in turns between clients, and feeds
one
long run of the engine. There are two such threads, for labels and for critiques: a critique takes seconds, and labels should
not
wait for it. ``judging.py`` handles the jobs themselves.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from mene.errors import MeneError
from mene.judge.judge import Judge
from mene.sample import FIELDS
from mene.serve.cache import Cache
from mene.serve.job import Asked, Closing, Full, Hear, Job, Once, TooMany, named
from mene.serve.judging import Judging
from mene.serve.lane import Lane
from mene.serve.pace import Pace
from mene.serve.plain import plain_criterion
from mene.serve.variants import Variants
from mene.verdict import Verdict

__all__ = ["Asked", "Closing", "Desk", "Full", "Hear", "size_of"]

# Maximum characters of samples in the queue, multiplied by their number of judgements, since prompts are held in memory.
LARGEST = 256_000_000


class Desk:
    """One judge's queue. All methods but ``prompts`` must be called in the event loop that it was created in.

    Args:
        judge: closed together with the queue.
        most: maximum number of jobs waiting or in progress.
        cache: verdicts by key.
        told: called with every outcome: the request, the verdict or error, and whether the engine was not needed.

    Attributes:
        used_at: time of its last activity.
    """

    def __init__(
        self,
        judge: Judge,
        *,
        most: int = 1024,
        cache: Cache | None = None,
        told: Callable[[Asked, Verdict | MeneError, bool], None] | None = None,
    ) -> None:
        self.base = judge
        self.most = most
        self.pace = Pace()
        self.variants = Variants(judge)
        self.used_at = time.monotonic()
        self._told = told
        self._places = self._characters = 0
        self._done: deque[tuple[Job, Verdict | MeneError, bool]] = deque()
        self._telling = self._waking = self._closing = False
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Condition()
        judging = Judging(self.variants, cache, self._finish, self._follow)
        self._labels, self._critiques = (
            Lane(f"mene-{judge.name}-{name}", judge, judging, self.pace, self._lock)
            for name in ("labels", "critiques")
        )

    @property
    def waiting(self) -> int:
        """Number of jobs that no thread has taken yet."""
        return self._labels.queue.waiting + self._critiques.queue.waiting

    @property
    def running(self) -> int:
        """Number of jobs in progress."""
        return max(self._places - self.waiting, 0)

    @property
    def busy(self) -> bool:
        """Whether any client is waiting."""
        return self._places > 0

    async def judge(self, asked: Asked, client: str = "", hear: Hear | None = None) -> Verdict:
        """Return one verdict. Raises like ``enter``, and the error of this judgement."""
        return await self.enter([asked], client, [hear])[0]

    def enter(
        self, asked: Sequence[Asked], client: str = "", hears: Sequence[Hear | None] = ()
    ) -> list[asyncio.Future[Verdict]]:
        """Enqueue jobs, all or none. Cancelling a future frees its place.

        Args:
            client: who asks; clients take turns.
            hears: one per job: called in a thread with every new piece of the critique, where the engine supports it.

        Returns:
            Futures of verdicts without an error; a failure raises its ``MeneError``.

        Raises:
            Full: there are not enough places now.
            TooMany: the queue is too small for this request.
            Closing: the queue accepts no more jobs.
        """
        now = time.monotonic()
        if self._closing:
            raise Closing("the server is shutting down; ask again when it is back")
        if len(asked) > self.most:
            raise TooMany(
                f"{len(asked):,} judgements in one request; the queue holds {self.most:,}: send fewer at a time"
            )
        sizes = [size_of(one) for one in asked]
        size = sum(sizes)
        if size > LARGEST:
            raise TooMany(
                f"the texts of one request have {size:,} characters, each counted as often as it is judged, and {LARGEST:,} may "
                "be: ask in several requests"
            )
        if self._places + len(asked) > self.most or self._characters + size > LARGEST:
            raise self._full(len(asked), now)
        if not self._places:
            self.pace.begin(now)
        self.used_at = now
        self._places += len(asked)
        self._characters += size
        jobs = []
        for one, hear, size in zip(asked, hears or [None] * len(asked), sizes, strict=True):
            writes = (one.settings.get("mode") or self.base.mode) == "critique"
            once = None if hear is None else Once(hear)
            job = Job(one, client, once, self._loop.create_future(), writes)
            job.future.add_done_callback(partial(self._leave, job, size))
            jobs.append(job)
        with self._lock:
            for job in jobs:
                self._lane(job).put(job)
        if not self._waking:  # wake the threads once per iteration of the loop
            self._waking = True
            self._loop.call_soon(self._wake)
        return [job.future for job in jobs]

    def _lane(self, job: Job) -> Lane:
        return self._critiques if job.writes else self._labels

    def _wake(self) -> None:
        self._waking = False
        with self._lock:
            self._lock.notify_all()

    def _full(self, count: int, now: float) -> Full:
        wait = self.pace.promise(count, now)
        rate = self.pace.rate or 1.0
        return Full(
            f"the judge is busy: {self._places} judgements wait, at {rate:.3g} a second; try again in {math.ceil(wait)} s",
            wait,
        )

    def _leave(self, job: Job, size: int, future: asyncio.Future[Verdict]) -> None:
        """Handle a future that is done or cancelled."""
        self._places -= 1
        self._characters -= size
        if not future.cancelled():
            return
        job.gone = True
        work = job.first or job  # a job that joined another one is worked on there
        with self._lock:
            self._lane(work).leave(work)

    def _follow(self, job: Job) -> None:
        """In a thread: pass a verdict on to the other thread for its critique."""
        job.writes, job.alone = True, False
        with self._lock:
            self._critiques.put(job, first=True)
            self._lock.notify_all()

    def _finish(self, job: Job, outcome: Verdict | MeneError, spared: bool) -> None:
        """In a thread: finish a job and those with the same request. Futures are resolved together in the event loop."""
        self._done.append((job, outcome, spared))
        for other in job.also:
            same = outcome if isinstance(outcome, MeneError) else named(outcome, other)
            self._done.append((other, same, True))
        if self._telling:
            return
        self._telling = True
        with suppress(RuntimeError):  # the loop has ended, and the waiting clients with it
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._telling = False  # first, so that anything added from here on schedules another call
        count = 0
        while self._done:
            job, outcome, spared = self._done.popleft()
            count += not spared
            if self._told is not None and not job.gone:
                self._told(job.asked, outcome, spared)
            if job.future.done():
                continue
            if isinstance(outcome, MeneError):
                job.future.set_exception(outcome)
            else:
                job.future.set_result(outcome)
        now = self.used_at = time.monotonic()
        self.pace.add(count, now)

    def prompts(self, asked: Asked) -> list[dict[str, Any]]:
        """Return text and tokens of each prompt that the model would read. Thread-safe.

        Raises:
            MeneError: as for ``Judge.ask``.
        """
        judge = self.variants.of(asked.settings)
        criterion = plain_criterion(asked.criterion, judge.engine.control_tokens)
        requests = judge.ask(asked.sample, criterion).requests
        return [
            {
                "id": asked.sample.id,
                "criterion": asked.criterion.name,
                "prompt": judge.engine.prompt(request),
                "cue": request.cue,
                "tokens": judge.engine.count(request),
            }
            for request in requests
        ]

    async def close(self, finish: bool = True) -> None:
        """Stop accepting jobs and free the model.

        Args:
            finish: complete the jobs in the queue first; else they end with ``Closing``.
        """
        self._closing = True
        # Labels first: their last verdicts may still need a critique.
        for lane in (self._labels, self._critiques):
            with self._lock:
                lane.close(finish)
                self._lock.notify_all()
            await asyncio.to_thread(lane.join)
        await asyncio.to_thread(self.base.close)


def size_of(asked: Asked) -> int:
    """Return the number of characters of sample and criterion."""
    texts = sum(len(text) for field in FIELDS if (text := getattr(asked.sample, field)))
    return texts + len(asked.criterion.question)
