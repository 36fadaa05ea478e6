"""Where all clients of one judge wait. Nothing else in the server asks an engine.

The event loop puts jobs in and gets futures; a thread (``lane.py``) takes what waits, in turns between clients, and feeds one
long run of the engine. There are two such threads, one for labels and one for critiques: a critique takes seconds, and labels
do not wait for it. ``judging.py`` is what becomes of a job besides.
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

# Characters of samples that may wait or be under way, each counted as often as it is judged: as prompts they are in memory.
LARGEST = 256_000_000


class Desk:
    """One judge's queue. All methods but ``prompts`` are for the event loop, in which it was made.

    Args:
        judge: closed with the desk.
        most: jobs that may wait or be under way.
        cache: verdicts by key.
        told: called with every outcome: what was asked, the verdict or error, and whether the engine was spared it.

    Attributes:
        used_at: when it last had something to do.
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
        """Jobs that no thread has taken yet."""
        return self._labels.queue.waiting + self._critiques.queue.waiting

    @property
    def running(self) -> int:
        """Jobs under way."""
        return max(self._places - self.waiting, 0)

    @property
    def busy(self) -> bool:
        """Does anybody wait for anything?"""
        return self._places > 0

    async def judge(self, asked: Asked, client: str = "", hear: Hear | None = None) -> Verdict:
        """One verdict. Raises as ``enter``, and what makes this one fail."""
        return await self.enter([asked], client, [hear])[0]

    def enter(
        self, asked: Sequence[Asked], client: str = "", hears: Sequence[Hear | None] = ()
    ) -> list[asyncio.Future[Verdict]]:
        """Put jobs in, all or none. Cancelling a future gives its place back.

        Args:
            client: who asks; clients have turns.
            hears: one for each: called in a thread with every new piece of the critique, where the engine can.

        Returns:
            futures of verdicts without an error; what failed raises its ``MeneError``.

        Raises:
            Full: there are not enough places.
            TooMany: there will never be.
            Closing: no more work is taken.
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
        if not self._waking:  # the threads once for all that comes in one turn of the loop
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
        """A future is done, or nobody waits for it."""
        self._places -= 1
        self._characters -= size
        if not future.cancelled():
            return
        job.gone = True
        work = job.first or job  # of one that joined another, that is where the work is
        with self._lock:
            self._lane(work).leave(work)

    def _follow(self, job: Job) -> None:
        """In a thread: have the reason of a verdict written, in the other one."""
        job.writes, job.alone = True, False
        with self._lock:
            self._critiques.put(job, first=True)
            self._lock.notify_all()

    def _finish(self, job: Job, outcome: Verdict | MeneError, spared: bool) -> None:
        """In a thread: a job is done, and so are those that asked the same. Futures are told together, once the loop has time."""
        self._done.append((job, outcome, spared))
        for other in job.also:
            same = outcome if isinstance(outcome, MeneError) else named(outcome, other)
            self._done.append((other, same, True))
        if self._telling:
            return
        self._telling = True
        with suppress(RuntimeError):  # the loop has ended, and so has everyone who waited
            self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._telling = False  # first: what is added from here on is told by another call
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
        """What the model would read for this: text and tokens of each of its prompts. Any thread may ask.

        Raises:
            MeneError: as of ``Judge.ask``.
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
        """Take no more work and free the model.

        Args:
            finish: answer what waits and is under way before; else it ends with ``Closing``.
        """
        self._closing = True
        # The labels first: their last verdicts may still want a reason.
        for lane in (self._labels, self._critiques):
            with self._lock:
                lane.close(finish)
                self._lock.notify_all()
            await asyncio.to_thread(lane.join)
        await asyncio.to_thread(self.base.close)


def size_of(asked: Asked) -> int:
    """Characters of what is judged, and by what."""
    texts = sum(len(text) for field in FIELDS if (text := getattr(asked.sample, field)))
    return texts + len(asked.criterion.question)
