"""The limits of steps and memory for one template.

Each operation on values of limited size takes limited time, so no timer needs to interrupt one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.utils import Namespace

STEPS = 200_000  # loops, calls, filters and operators per prompt
SECONDS = 5.0
SIZE = 2_000_000  # characters of one value, in addition to the sample's texts
TOTAL = 100_000_000  # characters of all values read or made, in addition to 16 times the texts
ITEM = 20  # characters that an item of a list counts as
BITS = 1024  # of an integer


class TooMuch(Exception):
    """A template exceeds the steps or memory that a prompt can need."""


class TooSlow(TooMuch):
    """A template is so slow that later rows should not wait for it."""


class Limits:
    """The remaining budget of one rendering. ``room``: characters of the sample's texts."""

    def __init__(self, room: int = 0) -> None:
        self.steps, self.size = STEPS, SIZE + 8 * room
        self.total = TOTAL + 16 * room
        self.end = time.monotonic() + SECONDS

    def step(self, steps: int = 1) -> None:
        """Count a step, or an operation that takes as long as several."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch(f"more than {STEPS:,} steps: loops or calls without end?")
        if not self.steps & 31 and time.monotonic() > self.end:  # each step is short
            raise TooSlow(f"not done after {SECONDS:.0f} seconds")

    def need(self, size: int) -> None:
        """Refuse a value larger than allowed."""
        if size > self.size:
            raise TooMuch(f"a text or list of more than {self.size:,} characters")

    def spend(self, size: int) -> None:
        """Count characters against the total, since variables keep their values."""
        self.total -= size
        if self.total < 0:
            raise TooMuch("texts and lists that are too large together")

    def whole(self, value: Any) -> Any:
        """Return the value unless it is too large when written out, with repeated parts counted each time."""
        if type(value) is str:  # as most are, a hundred times per row
            size = ITEM + len(value)
            self.total -= size
            if size > self.size or self.total < 0:
                self.need(size)
                self.spend(0)
            return value
        waiting, size = [value], 0
        while waiting:
            one = waiting.pop()
            size += ITEM
            if isinstance(one, str):
                size += len(one)
            elif isinstance(one, int) and one.bit_length() > BITS:
                raise TooMuch(f"a whole number of more than {BITS} bits")
            elif isinstance(one, dict):
                waiting += [*one, *one.values()]
            elif isinstance(one, list | tuple | set | type({}.items()) | type({}.values())):
                waiting += one
            elif isinstance(one, Namespace):
                waiting += object.__getattribute__(one, "_Namespace__attrs").values()
            self.need(size + len(waiting) * ITEM)
        self.spend(size)
        return value


# The limits of the current compilation or rendering.
current: ContextVar[Limits] = ContextVar("limits")


@contextmanager
def limited(room: int = 0) -> Iterator[None]:
    """Apply limits while compiling or rendering."""
    token = current.set(Limits(room))
    try:
        yield
    finally:
        current.reset(token)
