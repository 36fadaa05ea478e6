"""Where all clients of one judge wait, and the threads that feed its engine. Nothing else in the server asks an engine.

The event loop puts jobs in and gets futures; a thread takes what waits, in turns between clients, renders it, sorts it by
the text of the prompts so that shared beginnings stand side by side, and feeds one long run of the engine. There are two such
threads, one for labels and one for critiques: a critique takes seconds, and labels do not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from mene.criterion import Criterion
from mene.engines.base import Completion, Request
from mene.errors import EngineError, MeneError, ModelError
from mene.judge.ask import Ask
from mene.judge.explain import Explaining, key_of, reason_request, with_critique
from mene.judge.judge import Judge
from mene.judge.settings import no_reasons
from mene.sample import Sample
from mene.serve.cache import Cache
from mene.serve.plain import plain_criterion
from mene.verdict import Usage, Verdict

log = logging.getLogger("mene.serve")

# Jobs that an engine is given before it must have answered them all: as many as take it so long, within these bounds. Fewer
# share less of their prompts; of more, a client that comes now waits longer.
WINDOW_S, FEWEST, MOST = 4.0, 16, 256
HALF_S = 60.0  # after so much work, what was measured counts half
VARIANTS = 64  # judges with other settings that are kept
LONGEST_WAIT_S = 120.0  # what a client may be told; clients give up on more
Hear = Callable[[str], None]


class Writing(Protocol):
    """See ``writer.py``."""

    users: int

    def close(self) -> None: ...


class Full(MeneError):
    """There is no place in the queue now.

    Attributes:
        retry_after_s: when there will be one for whoever is told this, at the speed measured.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Closing(MeneError):
    """The server is shutting down, or this judge is."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One judgement that a client wants.

    Attributes:
        settings: other settings than the judge's own, as ``Judge.using`` takes them.
        explain: write a critique behind the verdict, which argues for its label.
    """

    sample: Sample
    criterion: Criterion
    settings: Mapping[str, Any] = field(default_factory=dict)
    explain: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """An ``Asked`` on its way. The thread of its lane owns all below ``lane``.

    Attributes:
        gone: nobody waits for it any more.
        also: jobs that ask exactly the same, and get the same verdict.
        alone: it was under way when the engine failed, and is tried once more by itself.
    """

    asked: Asked
    client: str
    hear: Hear | None
    future: asyncio.Future[Verdict]
    lane: Lane
    gone: bool = False
    alone: bool = False
    judge: Judge | None = None
    ask: Ask | None = None
    requests: Sequence[Request] = ()
    done: list[Completion | None] = field(default_factory=list)
    also: list[Job] = field(default_factory=list)
    verdict: Verdict | None = None
    why: tuple[str, str | None] = ("", None)

    @property
    def wanted(self) -> bool:
        """Does anybody wait for it?"""
        return not self.gone or any(not job.gone for job in self.also)


class Pace:
    """Verdicts a second while there is work, of late."""

    def __init__(self) -> None:
        self._since = self._count = self._seconds = 0.0

    def begin(self, now: float) -> None:
        """There is work again."""
        self._since = now

    def add(self, count: int, now: float) -> None:
        """So many more are done."""
        seconds, self._since = now - self._since, now
        kept = 0.5 ** (seconds / HALF_S)
        self._count = self._count * kept + count
        self._seconds = self._seconds * kept + seconds

    @property
    def rate(self) -> float | None:
        """None: nothing is done yet."""
        return self._count / max(self._seconds, 1e-6) if self._count else None


class Desk:
    """One judge's queue. All methods are for the event loop, in which it was made.

    Args:
        judge: closed with the desk.
        most: jobs that may wait or be under way.
        cache: verdicts by key.
        told: called with every outcome: what was asked, the verdict or error, and whether the engine was spared it.
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
        self.cache = cache
        self.pace = Pace()
        self.lock = threading.Condition()
        self.asking: dict[tuple[Any, ...], Job] = {}
        self.used_at = time.monotonic()
        self.writer: Writing | None = None  # for chat, once somebody has asked for it
        self.keep = False  # it is not idle, though nobody waits yet
        self._told = told
        self._variants: dict[tuple[Any, ...], Judge] = {}
        self._places = 0
        self._promised = 0.0
        self._done: deque[tuple[Job, Verdict | MeneError, bool]] = deque()
        self._telling = self._waking = self._closing = False
        self._loop = asyncio.get_running_loop()
        self._labels, self._critiques = Lane(self, "labels"), Lane(self, "critiques")

    @property
    def waiting(self) -> int:
        """Jobs that no thread has taken yet."""
        return sum(len(own) for lane in self._lanes for own in lane.queue.values())

    @property
    def running(self) -> int:
        """Jobs under way."""
        return max(self._places - self.waiting, 0)

    @property
    def busy(self) -> bool:
        """Does anybody wait for anything?"""
        writing = self.writer is not None and self.writer.users > 0
        return self._places > 0 or writing or self.keep

    @property
    def _lanes(self) -> tuple[Lane, Lane]:
        return self._labels, self._critiques

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
            Closing: no more work is taken.
        """
        now = time.monotonic()
        if self._closing:
            raise Closing("the server is shutting down; ask again when it is back")
        if self._places + len(asked) > self.most:
            raise self._full(len(asked), now)
        if not self._places:
            self.pace.begin(now)
        self.used_at = now
        self._places += len(asked)
        jobs = []
        for one, hear in zip(asked, hears or [None] * len(asked), strict=True):
            mode = one.settings.get("mode") or self.base.mode
            lane = self._critiques if mode == "critique" else self._labels
            job = Job(one, client, hear, self._loop.create_future(), lane)
            job.future.add_done_callback(partial(self._leave, job))
            jobs.append(job)
        with self.lock:
            for job in jobs:
                job.lane.put(job)
        if not self._waking:  # the threads once for all that comes in one turn of the loop
            self._waking = True
            self._loop.call_soon(self._wake)
        return [job.future for job in jobs]

    def _wake(self) -> None:
        self._waking = False
        with self.lock:
            self.lock.notify_all()

    async def judge(self, asked: Asked, client: str = "", hear: Hear | None = None) -> Verdict:
        """One verdict. Raises as ``enter``, and what makes this one fail."""
        return await self.enter([asked], client, [hear])[0]

    def _full(self, count: int, now: float) -> Full:
        """Those refused are told one after the other when there is room for them, and do not come back all at once."""
        rate = self.pace.rate or 1.0
        self._promised = max(self._promised, now) + count / rate
        wait = min(max(self._promised - now, 0.05), LONGEST_WAIT_S)
        self._promised = now + wait
        return Full(
            f"the judge is busy: {self._places} judgements wait, at {rate:.3g} a second; try again in {math.ceil(wait)} s",
            wait,
        )

    def _leave(self, job: Job, future: asyncio.Future[Verdict]) -> None:
        """A future is done, or nobody waits for it."""
        self._places -= 1
        if not future.cancelled():
            return
        job.gone = True
        with self.lock:
            job.lane.leave(job)

    # What follows is called in the threads.

    def variant(self, settings: Mapping[str, Any]) -> Judge:
        """The judge with these settings.

        Raises:
            UsageError: they make no sense together.
        """
        if not settings:
            return self.base
        key = tuple(sorted(settings.items()))
        found = self._variants.get(key)
        if found is None:
            found = self.base.using(**settings)
            with self.lock:
                if len(self._variants) >= VARIANTS:
                    self._variants.pop(next(iter(self._variants)))
                self._variants[key] = found
        return found

    def prompts(self, asked: Asked) -> list[dict[str, Any]]:
        """What the model would read for this: text and tokens of each of its prompts.

        Raises:
            MeneError: as of ``Judge.ask``.
        """
        judge = self.variant(asked.settings)
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

    def finish(self, job: Job, outcome: Verdict | MeneError, spared: bool = False) -> None:
        """A job is done, and so are those that asked the same. Futures are told together, once the loop has time."""
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

    def follow(self, job: Job) -> None:
        """Have the reason of a verdict written, in the other thread."""
        job.lane = self._critiques
        with self.lock:
            job.lane.put(job, first=True)
            self.lock.notify_all()

    async def close(self, finish: bool = True) -> None:
        """Take no more work and free the model.

        Args:
            finish: answer what waits and is under way before; else it ends with ``Closing``.
        """
        self._closing = True
        # The labels first: their last verdicts may still want a reason.
        for lane in self._lanes:
            with self.lock:
                lane.close(finish)
                self.lock.notify_all()
            await asyncio.to_thread(lane.join)
        if self.writer is not None:
            await asyncio.to_thread(self.writer.close)
        await asyncio.to_thread(self.base.close)


def named(verdict: Verdict, job: Job) -> Verdict:
    """The verdict of another job or of the cache, under the names of this one."""
    assert job.judge is not None
    return verdict.model_copy(
        update={
            "id": job.asked.sample.id,
            "criterion": job.asked.criterion.name,
            "judge": job.judge.name,
        }
    )


class Lane:
    """One thread, what waits for it, and the run of the engine that it feeds.

    Everything but ``join`` and the thread's own work is called with the desk's lock.
    """

    def __init__(self, desk: Desk, name: str) -> None:
        self.queue: dict[str, deque[Job]] = {}
        self._desk = desk
        self._name = name
        self._again: deque[Job] = deque()
        self._flight: dict[int, tuple[Job, int]] = {}
        self._ready_jobs: deque[Job] = deque()  # taken and rendered, and not with the engine yet
        self._stop = threading.Event()
        self._closed = self._abandon = False
        self._thread: threading.Thread | None = None

    def put(self, job: Job, first: bool = False) -> None:
        """Let a job wait, behind those of its client or before them."""
        own = self.queue.setdefault(job.client, deque())
        own.appendleft(job) if first else own.append(job)
        if self._thread is None:
            name = f"mene-{self._desk.base.name}-{self._name}"
            self._thread = threading.Thread(target=self._work, name=name, daemon=True)
            self._thread.start()

    def leave(self, job: Job) -> None:
        """Nobody waits for a job. Where that is true of all that the engine works on, it need not go on."""
        own = self.queue.get(job.client)
        if own is not None and job in own:
            own.remove(job)
            if not own:
                del self.queue[job.client]
        elif self._flight and not any(other.wanted for other, _ in list(self._flight.values())):
            self._stop.set()

    def close(self, finish: bool) -> None:
        """End when there is nothing more to do, or at once."""
        self._closed = True
        if not finish:
            self._abandon = True
            self._stop.set()

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def _take(self, most: int, wait: bool) -> list[Job] | None:
        """What waits, in turns between clients. None: it is time to end."""
        desk = self._desk
        with desk.lock:
            while wait and not self.queue and not self._again and not self._closed:
                desk.lock.wait()
            if self._abandon or (wait and self._closed and not self.queue and not self._again):
                return None
            if self._again:
                return [self._again.popleft()] if wait else []
            taken = []
            while self.queue and len(taken) < most:
                client = next(iter(self.queue))
                own = self.queue.pop(client)
                taken.append(own.popleft())
                if own:
                    self.queue[client] = own  # behind the others
            return taken

    def _work(self) -> None:
        """Feed one run of the engine after the other: one ends where it fails, or nobody wants what it does."""
        engine = self._desk.base.engine
        while not self._ended():
            flight = self._flight = {}
            self._stop = threading.Event()
            error: MeneError | None = None
            stop = self._stop
            try:
                for completion in engine.run(self._requests(flight), stop):
                    job, part = flight.pop(completion.index)
                    job.done[part] = completion
                    if None not in job.done:
                        self._conclude(job)
            except MeneError as raised:
                error = raised
            except Exception as raised:
                error = _unexpected(raised)
            unasked = flight or self._ready_jobs
            if error is None and unasked and not stop.is_set():
                error = EngineError("the engine ended without an answer; ask again")
            left = dict.fromkeys(job for job, _ in flight.values())
            self._end([*left, *self._ready_jobs], error)
            self._ready_jobs.clear()

    def _ended(self) -> bool:
        with self._desk.lock:
            empty = not self.queue and not self._again
            if self._abandon:
                left = [*self._again, *(job for own in self.queue.values() for job in own)]
                self.queue.clear()
                self._again.clear()
                for job in left:
                    self._desk.finish(job, Closing("the server is shutting down"))
            return self._closed and (empty or self._abandon)

    def _end(self, left: list[Job], error: MeneError | None) -> None:
        """What becomes of the jobs that a run has not answered.

        One prompt may have brought all down: each is asked once more, alone. A model that is gone fails them all, and those
        that wait, which would find it gone too.
        """
        if isinstance(error, ModelError) or (error is not None and not left):
            with self._desk.lock:
                left += [*self._again, *(job for own in self.queue.values() for job in own)]
                self.queue.clear()
                self._again.clear()
        for job in left:
            if self._abandon:
                self._drop(job, Closing("the server is shutting down"))
            elif not job.wanted:
                self._drop(job, EngineError("nobody waited for it"))
            elif error is None:  # it was stopped for the sake of others
                with self._desk.lock:
                    self.put(job, first=True)
            elif not (isinstance(error, ModelError) or job.alone or len(left) == 1):
                job.alone = True
                job.done = [None] * len(job.requests)
                with self._desk.lock:
                    self._again.append(job)
            else:
                self._drop(job, error)

    def _requests(self, flight: dict[int, tuple[Job, int]]) -> Iterator[Request | None]:
        serial = given = 0
        window = FEWEST
        while (jobs := self._take(window - given, wait=not given)) is not None:
            if not jobs:  # nothing waits, or the window is full: have it all answered first
                yield None
                given = 0
                rate = self._desk.pace.rate or 0.0
                window = int(min(max(rate * WINDOW_S, FEWEST), MOST))
                continue
            alone = jobs[0].alone
            ready = [job for job in jobs if job.alone or self._ready(job)]
            ready.sort(key=lambda job: job.requests[0].messages)
            self._ready_jobs.extend(ready)
            given += len(jobs) if not alone else window
            while self._ready_jobs:
                job = self._ready_jobs.popleft()
                if not job.wanted:
                    self._drop(job, EngineError("nobody waited for it"))
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

    def _ready(self, job: Job) -> bool:
        """Render a job; False where there is nothing to ask the engine."""
        try:
            if job.verdict is not None:
                return self._reason(job)
            return self._render(job)
        except MeneError as error:
            self._drop(job, error)
        except Exception as error:
            self._drop(job, _unexpected(error))
        return False

    def _render(self, job: Job) -> bool:
        desk, asked = self._desk, job.asked
        judge = job.judge = desk.variant(asked.settings)
        criterion = plain_criterion(asked.criterion, judge.engine.control_tokens)
        judge.check_abstaining(criterion)
        ask = job.ask = judge.ask(asked.sample, criterion)
        if job.hear is None:
            key = (ask.key, judge, asked.criterion.name, asked.explain)
            with desk.lock:
                first = desk.asking.setdefault(key, job)
                if first is not job:
                    first.also.append(job)
                    return False
        if desk.cache is not None and (found := desk.cache.get(ask.key)) is not None:
            return self._known(job, found)
        job.requests = ask.requests
        job.done = [None] * len(ask.requests)
        hearing(ask.requests[0], job.hear)
        return True

    def _known(self, job: Job, found: Verdict) -> bool:
        """Take a verdict of the cache; True where its reason must still be written."""
        assert job.judge is not None
        read = found.usage.prompt_tokens
        found = found.model_copy(
            update={"usage": Usage(prompt_tokens=read, cached_tokens=read), "latency_s": 0.0}
        )
        found = job.judge.calibrated(named(found, job), job.asked.criterion)
        if not job.asked.explain:
            if found.critique_key:
                found = found.model_copy(update={"critique": None, "critique_key": ""})
            self._settle(job, found, spared=True)
            return False
        job.verdict = found
        return self._reason(job)

    def _conclude(self, job: Job) -> None:
        """All answers to a job are there."""
        assert job.judge is not None and job.ask is not None
        try:
            if job.verdict is not None:
                self._explained(job)
                return
            errors = [done.error for done in job.done if done is not None and done.error]
            if errors:
                raise errors[0]
            done = [one for one in job.done if one is not None]
            verdict = job.judge.conclude(
                job.ask, job.asked.sample, job.asked.criterion, done
            ).sound()
            if verdict.error is not None:
                raise EngineError(verdict.error)
            if self._desk.cache is not None:
                self._desk.cache.put(job.ask.key, verdict)
            if not job.asked.explain:
                self._settle(job, verdict)
            elif not job.judge.preset.writes:
                note = f"no critique: {no_reasons(job.judge.preset)}"
                self._settle(job, verdict.say(notes=[*verdict.notes, note]))
            elif verdict.critique is not None:
                self._settle(job, verdict)
            else:
                job.verdict = verdict
                self._desk.follow(job)
        except MeneError as error:
            self._drop(job, error)
        except Exception as error:
            self._drop(job, _unexpected(error))

    def _reason(self, job: Job) -> bool:
        """Make the request for the reason; False where the verdict has it."""
        judge, verdict = job.judge, job.verdict
        assert judge is not None and verdict is not None
        if not judge.preset.writes:
            note = f"no critique: {no_reasons(judge.preset)}"
            self._settle(job, verdict.say(notes=[*verdict.notes, note]))
            return False
        criterion = plain_criterion(job.asked.criterion, judge.engine.control_tokens)
        explaining = Explaining("all", tokens=job.asked.settings.get("critique_tokens"))
        request, cut = reason_request(judge, job.asked.sample, criterion, verdict, explaining)
        key = key_of(judge.engine.identity, request, explaining)
        if verdict.critique_key == key:
            self._settle(job, verdict, spared=True)
            return False
        if job.lane is self and self is not self._desk._critiques:  # its verdict was in the cache
            self._desk.follow(job)
            return False
        hearing(request, job.hear)
        job.why, job.requests, job.done = (key, cut), (request,), [None]
        return True

    def _explained(self, job: Job) -> None:
        judge, verdict, [done] = job.judge, job.verdict, job.done
        assert judge is not None and verdict is not None and done is not None
        if done.error is not None or not done.critique:
            reason = str(done.error or "the model wrote nothing")
            self._settle(job, verdict.say(notes=[*verdict.notes, f"no critique: {reason}"]))
            return
        criterion = job.asked.criterion
        said = judge.asker.read(done, judge.template.written(criterion.scale), criterion.scale)
        key, cut = job.why
        whole = with_critique(verdict, said, criterion, key, Explaining("all"), cut)
        if self._desk.cache is not None and job.ask is not None:
            self._desk.cache.put(job.ask.key, whole)
        self._settle(job, whole)

    def _settle(self, job: Job, verdict: Verdict, spared: bool = False) -> None:
        self._forget(job)
        self._desk.finish(job, verdict, spared)

    def _drop(self, job: Job, error: MeneError) -> None:
        self._forget(job)
        self._desk.finish(job, error)

    def _forget(self, job: Job) -> None:
        """From here on, nobody else can wait for its verdict."""
        if job.ask is None or job.judge is None:
            return
        key = (job.ask.key, job.judge, job.asked.criterion.name, job.asked.explain)
        with self._desk.lock:
            if self._desk.asking.get(key) is job:
                del self._desk.asking[key]


def hearing(request: Request, hear: Hear | None) -> None:
    """Have the engine tell of the critique as it is written, where requests can say so."""
    if hear is not None and hasattr(request, "hear"):
        request.hear = hear  # pyright: ignore[reportAttributeAccessIssue]


def _unexpected(error: Exception) -> EngineError:
    log.error("this should not happen: %s: %s", type(error).__name__, error)
    log.debug("where:", exc_info=error)
    return EngineError(
        f"the judge failed on this: {type(error).__name__}; the server's log says more"
    )
