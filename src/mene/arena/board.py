"""Leaderboards of one store: votes are read once, and results cached until the votes change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from mene.arena.asked import asked
from mene.arena.ballots import Ballots, Reader
from mene.arena.board_rows import make_board, make_history
from mene.arena.board_words import PRELIMINARY, Board, Filters, Measured, Moment, Row
from mene.arena.fairness import Counted, Suspect, counted, suspects
from mene.arena.moderation import left_out
from mene.arena.store import Store
from mene.stats.ratings import Tally, tally

__all__ = ["PRELIMINARY", "Board", "Boards", "Filters", "Measured", "Moment", "Row"]

MOST = 64  # maximum number of cached results
Found = TypeVar("Found")


class Boards:
    """Leaderboards, histories, suspicious voters and counts. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._reader = Reader(store)
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[object, Any] = {}
        self._of: tuple[Ballots, object] | None = None

    def board(self, filters: Filters | None = None) -> Board:
        """Return a leaderboard.

        Raises:
            UsageError: an unknown filter value.
        """
        wanted = filters or Filters()
        return self._once(
            wanted, lambda votes, fair: make_board(votes, wanted, fair, asked(self._store))
        )

    def history(self, points: int = 30, filters: Filters | None = None) -> list[Moment]:
        """Return the ratings at evenly spaced times between the first vote and the last."""
        wanted = filters or Filters()
        return self._once(
            (points, wanted), lambda votes, fair: make_history(votes, points, wanted, fair)
        )

    def suspects(self) -> list[Suspect]:
        """Return voters with a habit (``fairness.py``), except those already excluded by moderation."""
        return self._once("suspects", lambda votes, fair: suspects(votes, fair.mask))

    def counts(self, judges: Sequence[str]) -> Tally:
        """Return the votes between these judges, numbered in this order, for ``match.choose``."""
        return self._once(tuple(judges), lambda votes, fair: _between(votes, fair, judges))

    def _once(self, key: object, make: Callable[[Ballots, Counted], Found]) -> Found:
        with self._lock:
            ballots, out = self._reader.read(), left_out(self._store)
            if self._of is None or self._of[0] is not ballots or self._of[1] != out:
                self._of = (ballots, out)
                self._kept = {"counted": counted(ballots, *out)}
            if key not in self._kept:
                if len(self._kept) >= MOST:
                    self._kept = {"counted": self._kept["counted"]}
                self._kept[key] = make(ballots, self._kept["counted"])
            return self._kept[key]


def _between(ballots: Ballots, fair: Counted, judges: Sequence[str]) -> Tally:
    place = {name: number for number, name in enumerate(judges)}
    numbers = np.array([place.get(name, -1) for name in ballots.judges], np.int64)
    a, b = numbers[ballots.a[fair.mask]], numbers[ballots.b[fair.mask]]
    here = (a >= 0) & (b >= 0)
    return tally(a[here], b[here], ballots.score[fair.mask][here], len(judges))
