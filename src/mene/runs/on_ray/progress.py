"""Progress of a run while its blocks are being judged on other machines."""

from __future__ import annotations

import threading
from typing import Any

import ray

from mene.events import Advance, Events
from mene.runs.on_ray.blocks import Block


class Tally:
    """An actor that collects progress: workers report to it, the driver polls it."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def under_way(self, mark: str, rows: int) -> None:
        """Record that a worker has ``rows`` verdicts of a block."""
        self._rows[mark] = rows

    def rows(self) -> dict[str, int]:
        """Return block -> verdicts, for blocks that changed since the last call."""
        found, self._rows = self._rows, {}
        return found


class Progress:
    """Emits progress events for verdicts while their blocks are in progress; a restarted block is not counted twice.

    Args:
        each: number of verdicts per row.
    """

    def __init__(self, tally: Any, name: str, each: int, events: Events) -> None:
        self._tally, self._name, self._each, self._events = tally, name, each, events
        self._under_way: dict[str, int] = {}
        self._done, self._told = 0, 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._ask, name="mene-progress", daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()

    def finish(self, block: Block) -> None:
        """Record that a block is finished."""
        with self._lock:
            self._under_way.pop(block.mark, None)
            self._done += block.rows * self._each
            self._say()

    def _ask(self) -> None:
        while not self._stop.wait(1.0):
            try:
                found = ray.get(self._tally.rows.remote(), timeout=5)
            except Exception:  # it is being restarted, or Ray is shutting down
                continue
            with self._lock:
                self._under_way.update(found)
                self._say()

    def _say(self) -> None:
        new = self._done + sum(self._under_way.values()) - self._told
        if new > 0 and not self._stop.is_set():
            self._told += new
            self._events(Advance(self._name, new))
