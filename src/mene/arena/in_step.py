"""Two critiques shown at one pace, so that how fast a judge writes tells nobody which one it is.

While both write, each is shown as far as the slower one has come. What is left when the shorter one has ended, and both verdicts,
is shown once both are done. A judge that writes nothing lets nothing be shown before that: it looks like one that is slow.
"""

from __future__ import annotations

from mene.arena.words import SeatName

SEATS: tuple[SeatName, SeatName] = ("a", "b")


class InStep:
    """What two judges have written, and how much of it may be seen. For one thread."""

    def __init__(self) -> None:
        self._heard: dict[SeatName, str] = {"a": "", "b": ""}
        self._shown = 0

    def hear(self, seat: SeatName, text: str) -> dict[SeatName, str]:
        """Take a piece of what a seat writes.

        Returns:
            for each seat what may be shown now, of equal length; empty where nothing may.
        """
        self._heard[seat] += text
        both = min(map(len, self._heard.values()))
        if both <= self._shown:
            return {}
        new: dict[SeatName, str] = {
            one: heard[self._shown : both] for one, heard in self._heard.items()
        }
        self._shown = both
        return new
