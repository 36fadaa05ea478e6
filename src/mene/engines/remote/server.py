"""A server that is called over HTTP: rate limit, retries, and when to stop the run.

All remote engines share this part; each has its own requests and answers. ``wire.py`` makes a single call, ``faults.py`` and
``explain_fault.py`` interpret errors.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from concurrent.futures import CancelledError, Future
from typing import Any, TypedDict, TypeVar

import httpx

from mene.engines.base import Completion, Request
from mene.engines.hear import Hearing
from mene.engines.pump import pump
from mene.engines.remote.answer import clean
from mene.engines.remote.api import Api
from mene.engines.remote.explain_fault import explain_fault
from mene.engines.remote.faults import (
    MALFORMED,
    Fault,
    NotJSON,
    is_silence,
    is_unreachable,
    may_pass,
)
from mene.engines.remote.pauses import pause
from mene.engines.remote.wire import Wire, parse_url
from mene.errors import MeneError, ModelError, UsageError

T = TypeVar("T")
# Fills a completion, or raises.
Judging = Callable[[Request, Completion], Awaitable[None]]
# A server that is silent for a whole time-out has used more time than any pause; it is retried only this often.
SILENT_RETRIES = 1
# A server that has answered may be starting anew, and is waited for; one that never has most likely does not run.
UNREACHED_RETRIES = 2
# After so many failed rows in a row, with no answer in between, the run stops. A row without any reply counts
# double.
HOPELESS = 10
FORKED = (
    "this judge was opened by another process, and a fork cannot use its connections; open a judge in each process, "
    "after the fork"
)
# Exceptions of a single row's requests.
FAILURES = (Fault, httpx.HTTPError, TimeoutError, *MALFORMED)


class Settings(TypedDict, total=False):
    """Settings of a ``Server``, which explains them and has the defaults."""

    api_key: str | None
    concurrency: int
    retries: int
    timeout_s: float
    requests_per_minute: float | None
    backoff_s: float
    transport: httpx.AsyncBaseTransport | None


class Server:
    """A server, and the thread that calls it.

    Args:
        api: that it speaks.
        model: the model's name there.
        url: base URL; default: from the environment, else the API's home.
        api_key: of this server; default: the one in the environment, if it is for this host (``wire.py``).
        concurrency: requests in progress at once.
        retries: tries after the first, per request; fewer where a server is silent, or has never been reached.
        timeout_s: per try, seconds.
        requests_per_minute: rate limit, including retries.
        backoff_s: pause before the first retry where the server names none; doubles each time.
        transport: instead of the network.

    Attributes:
        name: the URL as it may be shown.
        concurrency: as given.
        identity: API, model and URL.
        is_home: whether it is the publisher's own server.

    Raises:
        UsageError: no URL, or an invalid number.
        ModelError: the publisher's own server without a key, or a secret that would go unencrypted to another machine.
    """

    def __init__(
        self,
        api: Api,
        model: str,
        url: str | None = None,
        *,
        api_key: str | None = None,
        concurrency: int = 8,
        retries: int = 5,
        timeout_s: float = 120.0,
        requests_per_minute: float | None = None,
        backoff_s: float = 0.5,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        for name, value in (("--rpm", requests_per_minute), ("timeout_s", timeout_s)):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} {value:g}: give a number above 0")
        if concurrency < 1:
            raise UsageError(f"--concurrency {concurrency}: give 1 or more")
        self.api, self.model = api, model
        url = (url or os.environ.get(api.base) or api.home).strip().rstrip("/")
        self._wire = Wire(
            url,
            api_key,
            api=api,
            connections=concurrency,
            timeout_s=timeout_s,
            transport=transport,
        )
        self.is_home = api.is_home(parse_url(url).host)
        self.name = self._wire.name
        self.identity = f"{api.engine}:{model}@{self.name}"
        self.concurrency = concurrency
        self._retries = retries
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._pause = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._free_at = 0.0
        self._owner = os.getpid()
        self._closed = False
        self._closing = (
            threading.Lock()
        )  # starts nothing before the thread exists that could end it
        # The event loop has its own thread, so that callers may have a running loop (Jupyter).
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(
            target=self._loop.run_forever, daemon=True, name=f"mene-{api.engine}"
        )
        self.thread.start()
        self._worked = False  # it has answered
        self._failed: list[int] = []  # severity of each failed row since the last answer
        self._lost: MeneError | None = None  # set when no row can succeed any more

    def run(
        self,
        requests: Iterable[Request | None],
        judge: Judging,
        first: Callable[[], Coroutine[Any, Any, Any]],
        stop: threading.Event | None = None,
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``.

        Args:
            judge: makes one request's calls.
            first: called before all requests, to check that the server is reachable.
        """
        try:
            self.wait(first())
        except httpx.HTTPError as error:
            reason = clean(str(error)).strip() or type(error).__name__
            raise ModelError(
                f"{self.name}: cannot connect ({reason}); check that the server runs and the URL is right"
            ) from None
        except (Fault, *MALFORMED):
            pass  # it is there but busy; each request tries again, and reports it if it persists
        self._lost = None
        self._failed.clear()
        gate = asyncio.Semaphore(self.concurrency)
        running: set[Future[Completion]] = set()

        def submit(request: Request) -> Future[Completion]:
            future = self.begin(self._judge(request, judge, gate))
            running.add(future)
            future.add_done_callback(running.discard)
            return future

        try:
            yield from pump(requests, submit, ahead=2 * self.concurrency, stop=stop)
        except CancelledError:
            raise self._end_of_use() from None
        finally:
            if os.getpid() == self._owner:  # in a fork, the event loop's thread is in the parent
                for future in list(running):
                    future.cancel()

    async def _judge(self, request: Request, judge: Judging, gate: asyncio.Semaphore) -> Completion:
        async with gate:
            if self._lost is not None:
                raise self._lost  # waiting requests need not find out again
            start = time.perf_counter()
            done = Completion(request.index)
            try:
                await judge(request, done)
            except MeneError as error:
                done.error = error
            except FAILURES as error:
                done.error = self.told(error)
            if isinstance(done.error, ModelError | UsageError):
                self._lost = done.error
                raise done.error  # no other request can succeed either
            if request.hear is not None and done.critique:
                hearing = Hearing(request.hear, ())
                hearing.end(done.critique)
                done.notes += hearing.notes
            done.latency_s = time.perf_counter() - start
            return done

    def told(self, error: Exception) -> MeneError:
        """Return what an error means for its row. Ends the run when the server seems lost: rows fail one after the other,
        without
        any answer.

        Errors about the row itself (a prompt that does not fit, a filter) concern that row only. Refusals count only while
        nothing
        was ever answered.
        """
        told = explain_fault(
            error,
            self.name,
            self.model,
            self._timeout_s,
            self._wire.advice,
            self._worked,
            self.api,
        )
        passing = may_pass(error)
        if isinstance(told, ModelError) or (
            isinstance(error, Fault) and (error.too_long or error.withheld)
        ):
            return told
        if passing or not self._worked:
            self._failed.append(1 if isinstance(error, Fault) else 2)
        if sum(self._failed) < HOPELESS:
            return told
        return ModelError(
            f"{told}. {len(self._failed)} rows in turn got no answer, so the run stops here; the verdicts so far are kept"
        )

    def answered(self) -> None:
        """Record an answer."""
        self._worked = True
        self._failed.clear()

    async def get(self, path: str, *, root: bool = False, longest_s: float = math.inf) -> Any:
        """Return the JSON at a path under the base URL, or beside its ``/v1``; raises like ``Wire.post``."""
        url = self._wire.address(path, root=root)
        return await self._send(lambda: self._wire.get(url), longest_s)

    async def post(self, path: str, body: Any, *, root: bool = False) -> Any:
        """Send ``body`` and return the reply's JSON; see ``get``."""
        url = self._wire.address(path, root=root)
        return await self._send(lambda: self._wire.post(url, body))

    async def _send(self, call: Callable[[], Awaitable[T]], longest_s: float = math.inf) -> T:
        """Make a call within the rate limit, and retry it after a temporary fault."""
        tried = 0
        while True:
            await self._pace()
            try:
                # httpx's own time-out restarts with every byte, and some servers send blanks.
                async with asyncio.timeout(min(self._timeout_s, longest_s)):
                    return await call()
            except (Fault, httpx.HTTPError, NotJSON, TimeoutError) as error:
                if tried >= self._most_retries(error) or not may_pass(error):
                    raise
                headers = error.headers if isinstance(error, Fault) else {}
            await asyncio.sleep(pause(tried, headers, self._backoff_s))
            tried += 1

    def _most_retries(self, error: Exception) -> int:
        if is_silence(error):
            return min(self._retries, SILENT_RETRIES)
        if is_unreachable(error) and not self._worked:
            return min(self._retries, UNREACHED_RETRIES)
        return self._retries

    async def _pace(self) -> None:
        if self._pause:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + self._pause
            await asyncio.sleep(self._free_at - self._pause - now)

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine in the event loop's thread.

        Raises:
            ModelError: the engine is closed, or belongs to the parent of this forked process.
        """
        if os.getpid() != self._owner:
            work.close()
            raise ModelError(FORKED)
        with self._closing:
            if self._closed:
                work.close()
                raise self._end_of_use()
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's thread, and wait for it."""
        try:
            return self.begin(work).result()
        except CancelledError:  # ``close`` was called in another thread
            raise self._end_of_use() from None

    def _end_of_use(self) -> ModelError:
        return ModelError(f"{self.identity} is closed; make a new engine")

    def close(self) -> None:
        """Abort the requests in progress, which end with a ModelError; close the connections and the thread."""
        if os.getpid() != self._owner:
            return  # everything belongs to the other process
        with self._closing:
            self._closed = True
            if self._loop.is_closed():
                return
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self.thread.join()
            self._loop.close()

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._wire.close()
