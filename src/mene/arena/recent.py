"""Something that takes long to compute, kept for as long as that is worth it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
SHARE = 0.05  # of the time, at most, goes into computing it


class Recent(Generic[T]):
    """A value that is computed anew when it is old: the longer that takes, the older it may be. Any thread may ask.

    Args:
        make: computes it.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[T, float] | None = None  # and until when it is good

    def get(self) -> T:
        """The value. Raises what ``make`` does."""
        with self._lock:
            began = time.monotonic()
            if self._kept is None or began >= self._kept[1]:
                value = self._make()
                took = time.monotonic() - began
                self._kept = value, began + took / SHARE
            return self._kept[0]
