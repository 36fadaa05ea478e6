"""A judge with other settings than its own: made when a client first asks for them, and kept."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mene.judge.judge import Judge

MOST = 64  # that are kept


class Variants:
    """The variants of one judge, all over its engine. Any thread may ask."""

    def __init__(self, base: Judge) -> None:
        self.base = base
        self._kept: dict[tuple[Any, ...], Judge] = {}
        self._lock = threading.Lock()

    def of(self, settings: Mapping[str, Any]) -> Judge:
        """The judge with these settings, as ``Judge.using`` takes them.

        Raises:
            UsageError: they make no sense together.
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
