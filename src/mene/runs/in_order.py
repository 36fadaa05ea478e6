"""Verdicts in the order of their rows, for runs without a file that could be sorted at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mene.verdict import Verdict


class InOrder:
    """Passes verdicts on in the order in which their rows were read."""

    def __init__(self, hand_on: Callable[[Verdict], None]) -> None:
        self._hand_on = hand_on
        self._rows: deque[int] = deque()
        self._waiting: dict[int, Verdict] = {}

    def expect(self, position: int) -> None:
        """Register a row that was read."""
        self._rows.append(position)

    def add(self, position: int, verdict: Verdict) -> None:
        """Add a verdict, and pass on all that are next in order."""
        self._waiting[position] = verdict
        while self._rows and self._rows[0] in self._waiting:
            self._hand_on(self._waiting.pop(self._rows.popleft()))

    def flush(self) -> None:
        """Pass on all remaining verdicts, skipping rows that have none."""
        rows, self._rows = self._rows, deque()
        for position in rows:
            if position in self._waiting:
                self._hand_on(self._waiting.pop(position))
