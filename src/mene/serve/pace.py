"""The recent speed of a judge: it determines the size of a window of work, and how long refused clients should wait."""

from __future__ import annotations

LONGEST_WAIT_S = 120.0  # sent to clients; they give up if it is longer
HALF_S = 60.0  # half-life of a measurement, in seconds of work


class Pace:
    """Recent rate of verdicts (or chats) per second of work."""

    def __init__(self) -> None:
        self._since = self._count = self._seconds = self._promised = 0.0

    def begin(self, now: float) -> None:
        """Start measuring, since there is work again."""
        self._since = now

    def add(self, count: int, now: float) -> None:
        """Count so many more as done."""
        seconds, self._since = now - self._since, now
        kept = 0.5 ** (seconds / HALF_S)
        self._count = self._count * kept + count
        self._seconds = self._seconds * kept + seconds

    @property
    def rate(self) -> float | None:
        """Return the rate per second; None before the first is done."""
        return self._count / max(self._seconds, 1e-6) if self._count else None

    def promise(self, count: int, now: float) -> float:
        """Return the seconds until there is room for so many more. Refused clients get increasing times, so that they do not
        all return at once."""
        self._promised = max(self._promised, now) + count / (self.rate or 1.0)
        wait = min(max(self._promised - now, 0.05), LONGEST_WAIT_S)
        self._promised = now + wait
        return wait
