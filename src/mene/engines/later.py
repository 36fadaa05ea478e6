"""An engine that loads its model on the first request: a run with nothing to do loads nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from mene.engines.base import Completion, Engine, Reading, Request, reading_of
from mene.engines.openvino.dtype import Dtype
from mene.engines.pump import FORKED
from mene.errors import ModelError
from mene.weights.gguf_header import context_of, gguf_identity, read_header


class LaterEngine:
    """A model that is loaded on demand, in the thread that first needs it; see ``Engine``.

    Args:
        path, adapters: as for the engine to be loaded.
        context: as for the engine to be loaded.
        load: loads the engine.
        engine: name of that engine, the beginning of its identity.
        dtype: as for the engine ``openvino``.

    Attributes:
        loading_s: seconds that loading took; 0 before.

    Raises:
        ModelError: the file is missing or damaged, or an adapter is for another model.
    """

    def __init__(
        self,
        path: Path,
        adapters: Sequence[Path],
        context: int | None,
        load: Callable[[], Engine],
        engine: str = "llamacpp",
        dtype: Dtype = "float32",
    ) -> None:
        if engine == "openvino":
            from mene.engines.openvino.files import facts_of

            known = facts_of(path, adapters, dtype)
            self.identity = known.identity
        else:
            known = read_header(path)
            self.identity = gguf_identity(engine, path, adapters)
        self.control_tokens = known.control_tokens
        self.context: int | None = context_of(context, known.context)
        self.loading_s = 0.0
        self._load = load
        self._loaded: Engine | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._loading_in = 0  # process id of the thread that holds the lock

    @property
    def engine(self) -> Engine:
        """Return the engine, loading it if needed."""
        if self._loading_in not in (
            0,
            os.getpid(),
        ):  # in a fork, the copy of a held lock is never released
            raise ModelError(FORKED)
        with self._lock:
            if self._loaded is None and not self._closed:
                start = time.perf_counter()
                self._loading_in = os.getpid()
                try:
                    self._loaded = self._load()
                finally:
                    self._loading_in = 0
                self.loading_s = time.perf_counter() - start
                # Part of every verdict's key: if it changed, everything would be judged again.
                assert self._loaded.identity == self.identity
                if self._closed:  # `close` was called during loading, with nothing to close
                    self._loaded.close()
            if self._closed or self._loaded is None:
                raise ModelError("this judge was closed; open a new one")
            return self._loaded

    @property
    def reading(self) -> Reading | None:
        """See ``reading_of``."""
        return None if self._loaded is None else reading_of(self._loaded)

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``."""
        asked = iter(requests)
        first = list(islice(asked, 1))
        if first:
            yield from self.engine.run(chain(first, asked), stop)

    def prompt(self, request: Request) -> str:
        """See ``Engine.prompt``."""
        return self.engine.prompt(request)

    def count(self, request: Request) -> int | None:
        """See ``Engine.count``."""
        return self.engine.count(request)

    def close(self) -> None:
        """See ``Engine.close``."""
        self._closed = True
        if self._loaded is not None:
            self._loaded.close()
