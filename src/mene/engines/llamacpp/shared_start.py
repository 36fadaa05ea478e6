"""The start that all prompts of a run share: read once, and copied to every slot of llama.cpp."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from mene.engines.base import Request
from mene.engines.llamacpp.cache import Caches
from mene.engines.llamacpp.process import Calls
from mene.engines.llamacpp.texts import Texts
from mene.engines.llamacpp.turns import Turns
from mene.errors import EngineError

# A shared start shorter than this (characters) is not worth copying between slots.
SHARED_MIN = 200


class SharedStart:
    """Reads what prompts share, and counts its tokens for the verdicts that come after it.

    Args:
        has_adapter: the engine has an adapter besides its weights.
        gone: does nobody wait for these calls any more?
    """

    def __init__(
        self,
        texts: Texts,
        caches: Caches,
        turns: Turns,
        has_adapter: bool,
        gone: Callable[[Calls], bool],
    ) -> None:
        self._texts = texts
        self._caches = caches
        self._turns = turns
        self._has_adapter = has_adapter
        self._gone = gone
        self._lock = threading.Lock()
        self._owed = 0  # tokens that were read here; the next verdicts carry them

    def read(self, first: list[Request], calls: Calls) -> None:
        """Read the start that all of ``first`` share, and copy its KV cache to every slot."""
        prompts: list[str] = []
        for request in first:
            if not request.adapted and self._has_adapter:
                return  # the start is read with the adapter, which llama.cpp keeps apart
            with suppress(EngineError):  # the row will say so
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
            read = self._caches.share(self._texts.tokens(shared), calls)
            with self._lock:
                self._owed += read
        except (EngineError, OSError):
            # No room on the disk, say: every row then reads all of its own prompt.
            self._caches.clear()
        finally:
            self._turns.give_back(turn)

    def owed(self, cached_tokens: int) -> int:
        """How many of a verdict's cached tokens were read here for it, and are to be counted as read."""
        with self._lock:
            owed = min(self._owed, cached_tokens)
            self._owed -= owed
        return owed
