"""Who may use an engine's slots, and when: requests of all threads, in the order in which they came.

A slot is one sequence with its own cache. A verdict must not share a batch with anything else, or its last digits
depend on what the others do; so it asks for all of the room there is. What may share asks for the tokens it needs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """One request's place.

    Attributes:
        slot: the one that is its own until the turn is given back.
        room: what it takes of all there is.
        alone: nobody else had a turn when this one began.
    """

    slot: int
    room: int
    alone: bool


class Turns:
    """Hands out slots, first come, first served.

    Args:
        slots: how many there are.
        room: what all turns together may take.
    """

    def __init__(self, slots: int, room: int) -> None:
        self.room = room
        self._left = room
        self._slots = list(range(slots))
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def take(self, room: int, given_up: Callable[[], bool]) -> Turn | None:
        """Wait for a turn that takes ``room``; None when ``given_up()`` says that it is not wanted any more.

        The lowest free slot is handed out, so that those who come one by one share a cache.
        """
        room = min(room, self.room)
        with self._changed:
            mine = object()
            self._waiting.append(mine)
            try:
                while not given_up():
                    if self._waiting[0] is mine and self._slots and room <= self._left:
                        alone = self._left == self.room
                        self._left -= room
                        slot = min(self._slots)
                        self._slots.remove(slot)
                        return Turn(slot, room, alone)
                    self._changed.wait()
                return None
            finally:
                self._waiting.remove(mine)
                self._changed.notify_all()

    def give_back(self, turn: Turn) -> None:
        """End a turn."""
        with self._changed:
            self._left += turn.room
            self._slots.append(turn.slot)
            self._changed.notify_all()

    def wake(self) -> None:
        """Have all who wait look again whether they are still wanted."""
        with self._changed:
            self._changed.notify_all()
