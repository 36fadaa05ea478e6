"""How fast a judge is of late: what a window of work is measured by, and what a client is told to wait."""

from __future__ import annotations

LONGEST_WAIT_S = 120.0  # what a client may be told; clients give up on more
HALF_S = 60.0  # after so much work, what was measured counts half


class Pace:
    """Verdicts, or chats, a second while there is work, of late."""

    def __init__(self) -> None:
        self._since = self._count = self._seconds = self._promised = 0.0

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

    def promise(self, count: int, now: float) -> float:
        """Seconds until there is room for so many more. Those who are refused are told one after the other when there is room
        for them, and do not come back all at once."""
        self._promised = max(self._promised, now) + count / (self.rate or 1.0)
        wait = min(max(self._promised - now, 0.05), LONGEST_WAIT_S)
        self._promised = now + wait
        return wait
