"""How many steps and how much room one template may take.

An operation on values of bounded size takes a bounded time, so no clock has to interrupt one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from jinja2.utils import Namespace

STEPS = 200_000  # loops, calls, filters and operators of one prompt
SECONDS = 5.0
SIZE = 2_000_000  # characters of one value, beside what the texts of the sample have
TOTAL = 100_000_000  # characters of all values that are looked at or made, beside 16 times those of the texts
ITEM = 20  # an item of a list counts as so many
BITS = 1024  # of a whole number


class TooMuch(Exception):
    """A template that takes more steps or room than a prompt can need."""


class TooSlow(TooMuch):
    """One that takes so long that no further row should wait for it."""


class Limits:
    """What one rendering may still use. ``room``: characters that its texts have."""

    def __init__(self, room: int = 0) -> None:
        self.steps, self.size = STEPS, SIZE + 8 * room
        self.total = TOTAL + 16 * room
        self.end = time.monotonic() + SECONDS

    def step(self, steps: int = 1) -> None:
        """Count a step, or what takes as long as several."""
        self.steps -= steps
        if self.steps < 0:
            raise TooMuch(f"more than {STEPS:,} steps: loops or calls without end?")
        if not self.steps & 31 and time.monotonic() > self.end:  # no step takes long
            raise TooSlow(f"not done after {SECONDS:.0f} seconds")

    def need(self, size: int) -> None:
        """Refuse what would have more than so many characters."""
        if size > self.size:
            raise TooMuch(f"a text or list of more than {self.size:,} characters")

    def spend(self, size: int) -> None:
        """Count characters of which there may be so many in all: variables keep what they are set to."""
        self.total -= size
        if self.total < 0:
            raise TooMuch("texts and lists that are too large together")

    def whole(self, value: Any) -> Any:
        """The value, if it is not too large written out: what is in it twice counts twice."""
        if type(value) is str:  # most are, a hundred times a row
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


# Those of what is compiled or rendered now.
current: ContextVar[Limits] = ContextVar("limits")


@contextmanager
def limited(room: int = 0) -> Iterator[None]:
    """Compile or render within this."""
    token = current.set(Limits(room))
    try:
        yield
    finally:
        current.reset(token)
