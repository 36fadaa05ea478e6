"""The llama.cpp process, restarted where a row has ended it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from mene.engines.llamacpp.process import Process
from mene.errors import ModelError

# Restarts without a finished row before mene gives up.
ENDS = 3
CLOSED = "this judge was closed; open a new one"
FORKED = "this judge was opened by another process, and a fork cannot use its model; open a judge in each process, after the fork"


class Restarted:
    """A llama.cpp process for use by any thread of the Python process that started it.

    Args:
        settings: see ``Process``.

    Attributes:
        on_restart: called before a new process replaces one that ended, whose caches are lost.

    Raises:
        ModelError: it cannot load the model.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._ends = 0  # number of times that the process ended since the last finished row
        self._process = Process(settings)
        self.closed = False
        self.on_restart: Callable[[], None] = lambda: None

    @property
    def is_ours(self) -> bool:
        """Whether this is the Python process that started it, and not a fork."""
        return os.getpid() == self._owner

    def alive(self) -> Process:
        """Return the process, a new one where a row has ended it.

        Raises:
            ModelError: it was closed, belongs to another Python process, or ended at several rows in a row.
        """
        if not self.is_ours:
            raise ModelError(FORKED)
        with self._lock:
            if self.closed:  # checked here, since another thread may have been loading until now
                raise ModelError(CLOSED)
            if not self._process.alive:
                self._ends += 1
                if self._ends >= ENDS:
                    raise ModelError(
                        f"llama.cpp ended {ENDS} times before a row was done; see whether memory is short (a smaller model or "
                        "--concurrency 1 needs less)"
                    )
                self.on_restart()
                self._process.close()
                self._process = Process(self._settings)
                if self.closed:  # another thread closed it meanwhile
                    self._process.close()
                    raise ModelError(CLOSED)
            return self._process

    def row_done(self) -> None:
        """Record that a row was judged, which resets the count of restarts."""
        self._ends = 0

    def close(self) -> None:
        """End the process at once, whatever it is doing."""
        self.closed = True
        self._process.close()
