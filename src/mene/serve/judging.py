"""The steps of a job outside the engine: render it, look it up in the cache, merge equal jobs, conclude its verdict, add its
reason. Called in the threads of the lanes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from mene.errors import EngineError, MeneError
from mene.serve.cache import Cache
from mene.serve.job import Job, named
from mene.serve.plain import plain_criterion
from mene.serve.reason import ask_reason, cannot_write, with_reason, without_reason
from mene.serve.variants import Variants
from mene.verdict import Usage, Verdict

log = logging.getLogger("mene.serve")


class Judging:
    """The steps of all jobs of one judge.

    Args:
        cache: verdicts by key.
        finish: receives a job's outcome, and whether the engine was not needed for it.
        follow: passes a job to the lane of critiques, which writes the reason of its verdict.
    """

    def __init__(
        self,
        variants: Variants,
        cache: Cache | None,
        finish: Callable[[Job, Verdict | MeneError, bool], None],
        follow: Callable[[Job], None],
    ) -> None:
        self._variants, self._cache = variants, cache
        self._finish, self._follow = finish, follow
        self._asking: dict[tuple[Any, ...], Job] = {}  # jobs that equal jobs may join
        self._lock = threading.Lock()

    def ready(self, job: Job) -> bool:
        """Make a job's requests. Return False if the engine is not needed."""
        try:
            return self._render(job) if job.verdict is None else self._reason(job)
        except MeneError as error:
            self.drop(job, error)
        except Exception as error:
            self.drop(job, unexpected(error))
        return False

    def answered(self, job: Job) -> None:
        """Continue with a job that has all its answers."""
        try:
            if job.verdict is None:
                self._conclude(job)
            else:
                self._explained(job)
        except MeneError as error:
            self.drop(job, error)
        except Exception as error:
            self.drop(job, unexpected(error))

    def drop_unwanted(self, job: Job) -> bool:
        """Give up a job if no client waits for it. Return whether it was given up."""
        with self._lock:  # no job can join it between check and removal
            if job.wanted:
                return False
            self._take_off(job)
        self._finish(job, EngineError("nobody waited for it"), False)
        return True

    def drop(self, job: Job, error: MeneError) -> None:
        """End a job with an error."""
        self._forget(job)
        self._finish(job, error, False)

    def _settle(self, job: Job, verdict: Verdict, spared: bool = False) -> None:
        self._forget(job)
        self._finish(job, verdict, spared)

    def _render(self, job: Job) -> bool:
        asked = job.asked
        judge = job.judge = self._variants.of(asked.settings)
        criterion = plain_criterion(asked.criterion, judge.engine.control_tokens)
        judge.check_abstaining(criterion)
        ask = job.ask = judge.ask(asked.sample, criterion)
        if job.hear is None and self._joins(job):
            return False
        if self._cache is not None and (found := self._cache.get(ask.key)) is not None:
            return self._known(job, found)
        job.requests = ask.requests
        job.done = [None] * len(ask.requests)
        ask.requests[0].hear = job.hear
        return True

    def _joins(self, job: Job) -> bool:
        """Let a job wait for an equal one. Return False if it is the first."""
        with self._lock:
            first = self._asking.setdefault(_same(job), job)
            if first is not job:
                first.also.append(job)
                job.first = first
            return first is not job

    def _forget(self, job: Job) -> None:
        """Let no further jobs join this one."""
        with self._lock:
            self._take_off(job)

    def _take_off(self, job: Job) -> None:
        if job.ask is None or job.judge is None:
            return
        key = _same(job)
        if self._asking.get(key) is job:
            del self._asking[key]

    def _known(self, job: Job, found: Verdict) -> bool:
        """Use a verdict from the cache. Return True if its reason must still be written."""
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
        """Make the verdict, and request its reason if one is wanted."""
        assert job.judge is not None and job.ask is not None
        done = [one for one in job.done if one is not None]
        for one in done:
            if one.error:
                raise one.error
        asked = job.asked
        verdict = job.judge.conclude(job.ask, asked.sample, asked.criterion, done).sound()
        if verdict.error is not None:
            raise EngineError(verdict.error)
        if self._cache is not None:
            self._cache.put(job.ask.key, verdict)
        if not asked.explain:
            self._settle(job, verdict)
        elif (why := cannot_write(job)) is not None:
            self._settle(job, without_reason(verdict, why))
        elif verdict.critique is not None:
            self._settle(job, verdict)
        else:
            job.verdict = verdict
            self._follow(job)

    def _reason(self, job: Job) -> bool:
        """Make the request for the reason. Return False if the verdict has one, or another lane writes it."""
        assert job.verdict is not None
        if (why := cannot_write(job)) is not None:
            self._settle(job, without_reason(job.verdict, why))
            return False
        request, job.why = ask_reason(job)
        if job.verdict.critique_key == job.why[0]:
            self._settle(job, job.verdict, spared=True)
            return False
        if not job.writes:  # its verdict was in the cache
            self._follow(job)
            return False
        request.hear = job.hear
        job.requests, job.done = (request,), [None]
        return True

    def _explained(self, job: Job) -> None:
        [done] = job.done
        assert job.ask is not None and done is not None
        whole = with_reason(job, done)
        if self._cache is not None and whole.critique_key == job.why[0]:
            self._cache.put(job.ask.key, whole)
        self._settle(job, whole)


def _same(job: Job) -> tuple[Any, ...]:
    """Return a key that is equal for two jobs if one verdict serves both."""
    assert job.ask is not None
    return job.ask.key, job.judge, job.asked.criterion.name, job.asked.explain


def unexpected(error: Exception) -> EngineError:
    """Return the error that a client gets for a bug; the log has the details."""
    log.error("this should not happen: %s: %s", type(error).__name__, error)
    log.debug("where:", exc_info=error)
    return EngineError(
        f"the judge failed on this: {type(error).__name__}; the server's log says more"
    )
