"""Verdicts in the order of their rows, where there is no file that could be put in order at the end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from mene.verdict import Verdict


class InOrder:
    """Hands verdicts on in the order in which their rows were read."""

    def __init__(self, hand_on: Callable[[Verdict], None]) -> None:
        self._hand_on = hand_on
        self._rows: deque[int] = deque()
        self._waiting: dict[int, Verdict] = {}

    def expect(self, position: int) -> None:
        """A row was read."""
        self._rows.append(position)

    def add(self, position: int, verdict: Verdict) -> None:
        """Take a verdict, and hand on all whose turn it is."""
        self._waiting[position] = verdict
        while self._rows and self._rows[0] in self._waiting:
            self._hand_on(self._waiting.pop(self._rows.popleft()))

    def flush(self) -> None:
        """Hand on what is there; rows without a verdict are passed over."""
        rows, self._rows = self._rows, deque()
        for position in rows:
            if position in self._waiting:
                self._hand_on(self._waiting.pop(position))
