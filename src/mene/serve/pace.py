"""How fast a judge is of late: what a window of work is measured by, and what a client is told to wait."""

from __future__ import annotations

HALF_S = 60.0  # after so much work, what was measured counts half


class Pace:
    """Verdicts a second while there is work, of late."""

    def __init__(self) -> None:
        self._since = self._count = self._seconds = 0.0

    def begin(self, now: float) -> None:
        """There is work again."""
        self._since = now

    def add(self, count: int, now: float) -> None:
        """So many more are done."""
        seconds, self._since = now - self._since, now
        kept = 0.5 ** (seconds / HALF_S)
        self._count = self._count * kept + count
        self._seconds = self._seconds * kept + seconds

    @property
    def rate(self) -> float | None:
        """None: nothing is done yet."""
        return self._count / max(self._seconds, 1e-6) if self._count else None
