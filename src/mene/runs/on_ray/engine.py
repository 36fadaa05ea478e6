"""An engine on many machines: requests go to a pool of Ray actors, each with an engine on its machine.

For work whose rows and results stay on one machine while the model does not: ``mene bench``, a teacher's critiques. Requests,
keys and ledgers are the same as with any engine. For millions of rows use ``run.py``, where no row passes through the
driver.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from mene.engines.base import Completion, Engine, Request
from mene.engines.hear import Hearing
from mene.errors import EngineError, MeneError
from mene.runs.on_ray.cluster import check_nodes, said
from mene.runs.on_ray.pipeline import Needs, pool

BATCH = 64  # requests sent to an actor at once, neighbours that share a prefix
AHEAD = 2  # batches queued per actor

Batch = list[Request]


class RayEngine:
    """Runs requests on the current Ray cluster. An actor that dies is restarted, and its batch is sent again.

    Args:
        open: opens the engine, called on an actor's machine.
        needs: resources of an actor.
        workers: number of actors; default: as many as fit.

    Raises:
        EngineError: a machine cannot run mene.
        MeneError: the engine cannot be opened there.
    """

    def __init__(
        self, open: Callable[[], Engine], needs: Needs | None = None, workers: int | None = None
    ) -> None:
        check_nodes(None)
        count, cores, gpus, threads = pool(needs or Needs(), workers)
        holder = ray.remote(
            num_cpus=cores,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=-1,
            scheduling_strategy="SPREAD",
        )(_Holder)
        self._actors: list[Any] = [holder.remote(open, threads) for _ in range(count)]
        self.identity, self.context, self.control_tokens = self._ask(0, "about")

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``. On ``stop``, actors still finish the batches they have begun."""
        free = list(range(len(self._actors))) * AHEAD
        going: dict[Any, tuple[int, Batch]] = {}

        def finished(least: int) -> Generator[Completion, None, None]:
            """Yield the completions of finished batches, until at most ``least`` batches are in progress."""
            while len(going) > least:
                [first], _ = ray.wait(list(going), num_returns=1)
                actor, batch = going.pop(first)
                free.append(actor)
                yield from _heard(batch, self._got(first))

        for batch, idle in _batches(requests):
            if stop is not None and stop.is_set():
                return
            if batch:
                if not free:
                    yield from finished(len(going) - 1)
                actor = free.pop(0)
                sent = [replace(request, hear=None) for request in batch]
                going[self._actors[actor].run.remote(sent)] = actor, batch
            if idle:
                yield from finished(0)
        yield from finished(0)

    def prompt(self, request: Request) -> str:
        """See ``Engine.prompt``."""
        return self._ask(0, "prompt", replace(request, hear=None))

    def count(self, request: Request) -> int | None:
        """See ``Engine.count``."""
        return self._ask(0, "count", replace(request, hear=None))

    def close(self) -> None:
        """See ``Engine.close``."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors = []

    def _ask(self, actor: int, what: str, *given: Any) -> Any:
        if not self._actors:
            raise EngineError("this judge was closed; open a new one")
        return self._got(getattr(self._actors[actor], what).remote(*given))

    def _got(self, reference: Any) -> Any:
        try:
            found = ray.get(reference)
        except RayError as error:
            raise EngineError(
                f"Ray failed ({said(error)}); run the same command again to continue"
            ) from None
        if isinstance(found, MeneError):
            raise found
        return found


class _Holder:
    """An actor: an engine on its machine. It returns exceptions instead of raising them, since Ray would wrap them."""

    def __init__(self, open: Callable[[], Engine], threads: int) -> None:
        if threads:
            os.environ["MENE_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
        self._open, self._engine = open, None

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._open()
        return self._engine

    def about(self) -> Any:
        try:
            engine = self._opened()
        except MeneError as error:
            return error
        return engine.identity, engine.context, engine.control_tokens

    def run(self, requests: Batch) -> Any:
        try:
            return list(self._opened().run(iter(requests)))
        except MeneError as error:
            return error

    def prompt(self, request: Request) -> Any:
        try:
            return self._opened().prompt(request)
        except MeneError as error:
            return error

    def count(self, request: Request) -> Any:
        try:
            return self._opened().count(request)
        except MeneError as error:
            return error


def _batches(requests: Iterable[Request | None]) -> Iterator[tuple[Batch, bool]]:
    """Yield requests in batches, and whether no more are available for now."""
    batch: Batch = []
    for request in requests:
        if request is not None:
            batch.append(request)
        if request is None or len(batch) == BATCH:
            yield batch, request is None
            batch = []
    if batch:
        yield batch, False


def _heard(batch: Batch, done: list[Completion]) -> Generator[Completion, None, None]:
    """Yield completions; each critique is passed to its listener in one piece, as from a server."""
    listening = {request.index: request for request in batch if request.hear is not None}
    for completion in done:
        request = listening.get(completion.index)
        if request is not None and request.hear is not None:
            hearing = Hearing(request.hear, [request.cue])
            hearing.end(completion.critique)
            completion.notes += hearing.notes
        yield completion
