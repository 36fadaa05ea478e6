"""Showing two critiques at the same pace, so that a judge's writing speed does not reveal it.

While both write, each is shown as far as the slower one has come. The rest, and both verdicts, are shown once both are done. If
one judge writes nothing, nothing is shown before that, as for a slow judge.
"""

from __future__ import annotations

from mene.arena.words import SeatName

SEATS: tuple[SeatName, SeatName] = ("a", "b")


class InStep:
    """What two judges have written, and how much of it may be shown. Not thread-safe."""

    def __init__(self) -> None:
        self._heard: dict[SeatName, str] = {"a": "", "b": ""}
        self._shown = 0

    def hear(self, seat: SeatName, text: str) -> dict[SeatName, str]:
        """Add a piece of a seat's text.

        Returns:
            For each seat the text to show now, of equal length; empty where there is none.
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
