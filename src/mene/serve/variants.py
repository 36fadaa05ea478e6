"""A judge with other settings than its own: created when a client first requests them, and cached."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mene.judge.judge import Judge

MOST = 64  # in the cache


class Variants:
    """The variants of one judge, which share its engine. Thread-safe."""

    def __init__(self, base: Judge) -> None:
        self.base = base
        self._kept: dict[tuple[Any, ...], Judge] = {}
        self._lock = threading.Lock()

    def of(self, settings: Mapping[str, Any]) -> Judge:
        """Return the judge with these settings, as ``Judge.using`` takes them.

        Raises:
            UsageError: they contradict each other.
        """
        if not settings:
            return self.base
        key = tuple(sorted(settings.items()))
        found = self._kept.get(key)
        if found is None:
            found = self.base.using(**settings)
            with self._lock:
                if len(self._kept) >= MOST:
                    self._kept.pop(next(iter(self._kept)))
                self._kept[key] = found
        return found
