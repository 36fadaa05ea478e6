"""Scheduling an engine's slots among the requests of all threads, in the order of arrival.

A slot is one sequence with its own cache. A verdict must not share a batch with other requests, or its last digits depend
on them, so it asks for all of the room. Requests that may share ask only for the tokens that they need.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """A request's permission to use a slot.

    Attributes:
        slot: reserved until the turn is given back.
        room: the share of the total room that it takes.
        alone: whether no other turn was active when this one began.
    """

    slot: int
    room: int
    alone: bool


class Turns:
    """Hands out slots, first come, first served.

    Args:
        slots: number of slots.
        room: total room of all active turns.
    """

    def __init__(self, slots: int, room: int) -> None:
        self.room = room
        self._left = room
        self._slots = list(range(slots))
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def take(self, room: int, given_up: Callable[[], bool]) -> Turn | None:
        """Wait for a turn that takes ``room``; return None once ``given_up()`` returns True.

        The lowest free slot is used, so that requests that come one by one share a cache.
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
        """Make all waiting threads call ``given_up`` again."""
        with self._changed:
            self._changed.notify_all()
