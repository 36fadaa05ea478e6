"""The process of llama.cpp, started again where a row has ended it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from mene.engines.llamacpp.process import Process
from mene.errors import ModelError

# Times that the process may end before a row is done; then mene gives up.
ENDS = 3
CLOSED = "this judge was closed; open a new one"
FORKED = "this judge was opened by another process, and a fork cannot use its model; open a judge in each process, after the fork"


class Restarted:
    """A llama.cpp process that any thread may ask for. It belongs to the Python process that started it.

    Args:
        settings: see ``Process``.

    Attributes:
        on_restart: called before a new process takes the place of one that ended, whose caches are gone.

    Raises:
        ModelError: it cannot load the model.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._ends = 0  # of the process, since the last row that was done
        self._process = Process(settings)
        self.closed = False
        self.on_restart: Callable[[], None] = lambda: None

    @property
    def is_ours(self) -> bool:
        """False in a fork of the Python process that started it."""
        return os.getpid() == self._owner

    def alive(self) -> Process:
        """The process; a new one where a row has ended it.

        Raises:
            ModelError: it was closed, belongs to another Python process, or ended at one row after the other.
        """
        if not self.is_ours:
            raise ModelError(FORKED)
        with self._lock:
            if self.closed:  # checked here, as another thread may have been loading until now
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
                if self.closed:  # meanwhile
                    self._process.close()
                    raise ModelError(CLOSED)
            return self._process

    def row_done(self) -> None:
        """A row was judged: the process may end as often as before."""
        self._ends = 0

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self.closed = True
        self._process.close()
