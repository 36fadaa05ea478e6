"""Who writes for chat: llama.cpp on the judge's own weights, or the server that the judge asks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.llamacpp.process import Calls
from mene.engines.remote.openai import OpenAIEngine
from mene.judge.judge import Judge
from mene.judge.open import fetch
from mene.message import Message
from mene.serve.door import wrong

# Engines whose weights may be a file that llama.cpp reads too.
EMBEDDED = ("embedded", "openvino", "llamacpp")


class Writer:
    """Writes texts, one after the other. Any thread may ask.

    Args:
        engine: what writes.
        own: it was opened for this, and is closed with it; else it is the judge's.

    Attributes:
        users: requests under way.
    """

    def __init__(self, engine: LlamaCppEngine | OpenAIEngine, own: bool = False) -> None:
        self.engine, self.own = engine, own
        self.users = 0
        self._lock = threading.Lock()

    def enter(self) -> None:
        """Begin a request; until ``leave`` this is not idle."""
        with self._lock:
            self.users += 1

    def leave(self) -> None:
        """End a request."""
        with self._lock:
            self.users -= 1

    def write(
        self, messages: list[Message], body: dict[str, Any], calls: Calls
    ) -> Iterator[dict[str, Any]]:
        """See ``LlamaCppEngine.write``."""
        assert isinstance(self.engine, LlamaCppEngine)
        return self.engine.write(messages, body, calls)

    def close(self) -> None:
        """Free what was opened for this."""
        if self.own:
            self.engine.close()


def needs_own(judge: Judge) -> bool:
    """Does chat take a second process, and memory for it?"""
    engine = getattr(judge.engine, "engine", judge.engine)
    return judge.preset.engine in EMBEDDED and not isinstance(engine, LlamaCppEngine)


def open_writer(judge: Judge) -> Writer:
    """The writer of a judge; loads a model where the judge runs on another engine.

    Raises:
        Refused: nothing here can write for this judge.
        ModelError: the model cannot be loaded.
    """
    preset = judge.preset
    engine = getattr(judge.engine, "engine", judge.engine)
    if isinstance(engine, LlamaCppEngine | OpenAIEngine):
        return Writer(engine)
    if preset.engine == "systemone":
        raise wrong(f"{judge.name} only decides and writes no text; ask /v1/systemone", "model")
    path = fetch(preset) if preset.engine in EMBEDDED else None
    if path is None or path.is_dir():
        raise wrong(
            f"{judge.name} cannot chat: that takes weights in one GGUF file; choose another judge (`mene judges`)",
            "model",
        )
    return Writer(LlamaCppEngine(path, context=preset.context), own=True)
