"""The prefix that all prompts of a run share: read once, and copied to every slot of llama.cpp."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from mene.engines.base import Request
from mene.engines.llamacpp.cache import Caches
from mene.engines.llamacpp.process import Calls
from mene.engines.llamacpp.texts import Texts
from mene.engines.llamacpp.turns import Turns
from mene.errors import EngineError

# Shorter prefixes (in characters) are not worth copying between slots.
SHARED_MIN = 200


class SharedStart:
    """Reads the prefix that prompts share, and attributes its tokens to the verdicts that follow.

    Args:
        lora: the part of a request that chooses an adapter (``Request.adapter``).
        gone: returns whether calls have been abandoned.
    """

    def __init__(
        self,
        texts: Texts,
        caches: Caches,
        turns: Turns,
        lora: Callable[[int | None], dict[str, Any]],
        gone: Callable[[Calls], bool],
    ) -> None:
        self._texts = texts
        self._caches = caches
        self._turns = turns
        self._lora = lora
        self._gone = gone
        self._lock = threading.Lock()
        self._owed = 0  # tokens read here and not yet attributed to a verdict

    def read(self, first: list[Request], calls: Calls) -> None:
        """Read the prefix that all of ``first`` share, and copy its KV cache to every slot."""
        prompts: list[str] = []
        chosen = [self._lora(request.adapter) for request in first]
        if any(lora != chosen[0] for lora in chosen):
            return  # llama.cpp's cache depends on the adapter
        for request in first:
            with suppress(EngineError):  # the row itself will report it
                prompts.append(self._texts.prompt(request))
        if len(prompts) < 2:
            return
        low, high = min(prompts), max(prompts)
        length = next(
            (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low)
        )
        shared = low[:length]
        if len(shared) < SHARED_MIN:
            return
        turn = self._turns.take(self._turns.room, lambda: self._gone(calls))
        if turn is None:
            return
        try:
            read = self._caches.share(self._texts.tokens(shared), calls, chosen[0])
            with self._lock:
                self._owed += read
        except (EngineError, OSError):
            # E.g. the disk is full: every row then reads its whole prompt.
            self._caches.clear()
        finally:
            self._turns.give_back(turn)

    def owed(self, cached_tokens: int) -> int:
        """Return how many of a verdict's cached tokens were in fact read here, and must count as read."""
        with self._lock:
            owed = min(self._owed, cached_tokens)
            self._owed -= owed
        return owed
