"""How far a run is, while its blocks are under way on other machines."""

from __future__ import annotations

import threading
from typing import Any

import ray

from mene.events import Advance, Events
from mene.runs.on_ray.blocks import Block


class Tally:
    """How far the blocks under way are; workers tell it, the driver asks."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def under_way(self, mark: str, rows: int) -> None:
        """A worker has so many verdicts of a block."""
        self._rows[mark] = rows

    def rows(self) -> dict[str, int]:
        """Block -> verdicts, since the last time."""
        found, self._rows = self._rows, {}
        return found


class Progress:
    """Tells of the verdicts that are there while their blocks are under way; a block that was given up is not counted twice.

    Args:
        each: verdicts of a row.
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
        """A block is through."""
        with self._lock:
            self._under_way.pop(block.mark, None)
            self._done += block.rows * self._each
            self._say()

    def _ask(self) -> None:
        while not self._stop.wait(1.0):
            try:
                found = ray.get(self._tally.rows.remote(), timeout=5)
            except Exception:  # it is being restarted, or Ray ends
                continue
            with self._lock:
                self._under_way.update(found)
                self._say()

    def _say(self) -> None:
        new = self._done + sum(self._under_way.values()) - self._told
        if new > 0 and not self._stop.is_set():
            self._told += new
            self._events(Advance(self._name, new))
