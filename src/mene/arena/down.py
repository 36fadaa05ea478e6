"""Judges that are down: excluded from battles after failures, for increasing times, until they answer again."""

from __future__ import annotations

import time
from collections.abc import Callable

FIRST_S, LONGEST_S = 30.0, 1800.0
FAILURES = 3  # in a row, after which a reachable judge counts as down too


class Down:
    """Tracks which judges are down. Not thread-safe.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, int] = {}
        self._until: dict[str, float] = {}

    def failed(self, judge: str, gone: bool) -> None:
        """Record that a judge gave no verdict.

        Args:
            gone: it cannot be opened or reached, or took too long; otherwise the sample may be at fault.
        """
        count = self._failures[judge] = self._failures.get(judge, 0) + 1
        if not gone and count < FAILURES:
            return
        times = count - (0 if gone else FAILURES - 1)
        wait = min(FIRST_S * 2 ** (times - 1), LONGEST_S)
        self._until[judge] = self._clock() + wait

    def worked(self, judge: str) -> None:
        """Record that a judge gave a verdict."""
        self._failures.pop(judge, None)
        self._until.pop(judge, None)

    def now(self) -> frozenset[str]:
        """Return the judges that are down now. After its time is over, a judge is tried again."""
        return frozenset(name for name, until in self._until.items() if until > self._clock())
