"""The text generator for chat, and its queue: llama.cpp with the judge's own weights, or the server that the judge uses."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path

from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.remote.api import only_decides
from mene.engines.remote.openai import OpenAIEngine
from mene.judge.judge import Judge
from mene.judge.open import fetch
from mene.serve.door import wrong
from mene.serve.job import Closing, Full
from mene.serve.pace import Pace
from mene.serve.queue import Queue

# Engines whose weights may be a file that llama.cpp can read, too.
EMBEDDED = ("embedded", "openvino", "llamacpp")


class Writer:
    """Generates text for the chats of one judge: as many at once as the engine can, clients taking turns. For the event loop.

    Args:
        engine: generates the text.
        own: the engine was opened for chat, and is closed with this; else it is the judge's.
        most: maximum number of chats waiting or under way.

    Attributes:
        used_at: when it was last busy.
    """

    def __init__(
        self, engine: LlamaCppEngine | OpenAIEngine, *, own: bool = False, most: int = 1024
    ) -> None:
        self.engine, self.own = engine, own
        self.used_at = time.monotonic()
        self._most, self._places = most, 0
        self._turns = engine.concurrency if isinstance(engine, OpenAIEngine) else 1
        self._queue: Queue[Place] = Queue()
        self._pace = Pace()
        self._closing = False

    @property
    def busy(self) -> bool:
        """Return whether any chat is under way or waiting."""
        return self._places > 0

    def enter(self, client: str) -> Place:
        """Return a place, which the caller must leave.

        Raises:
            Full: no place is free.
            Closing: no more work is accepted.
        """
        now = self.used_at = time.monotonic()
        if self._closing:
            raise Closing("the server is shutting down; ask again when it is back")
        if self._places >= self._most:
            wait = self._pace.promise(1, now)
            raise Full(f"{self._places} chats wait already; try again in {math.ceil(wait)} s", wait)
        if not self._places:
            self._pace.begin(now)
        self._places += 1
        place = Place(self, client)
        self._queue.put(place)
        self._pass_on()
        return place

    def leave(self, place: Place) -> None:
        """Free the place of a chat that has ended or is no longer wanted."""
        now = self.used_at = time.monotonic()
        self._places -= 1
        if place.writes.is_set():
            self._turns += 1
            self._pace.add(1, now)
        else:
            self._queue.leave(place)
        self._pass_on()

    def _pass_on(self) -> None:
        for place in self._queue.take(self._turns, alone=False):
            self._turns -= 1
            place.writes.set()

    async def close(self) -> None:
        """Accept no more chats, and close the engine if it was opened for them."""
        self._closing = True
        if self.own:
            await asyncio.to_thread(self.engine.close)


class Place:
    """A chat's place at a writer, from its arrival to its end.

    Attributes:
        client: id for fair queueing.
        writes: the chat has its turn.
    """

    def __init__(self, writer: Writer, client: str) -> None:
        self.writer, self.client = writer, client
        self.writes = asyncio.Event()
        self._left = False

    def leave(self) -> None:
        """Free the place; a second call does nothing."""
        if not self._left:
            self._left = True
            self.writer.leave(self)


def file_for(judge: Judge) -> Path | None:
    """Return the weights that llama.cpp loads for the chats of a judge; None if the judge's own engine generates the text.

    Raises:
        Refused: no engine here can generate text for this judge.
    """
    preset = judge.preset
    engine = getattr(judge.engine, "engine", judge.engine)
    if isinstance(engine, LlamaCppEngine | OpenAIEngine):
        return None
    if only_decides(preset.engine):
        raise wrong(f"{judge.name} only decides and writes no text; ask /v1/systemone", "model")
    path = fetch(preset) if preset.engine in EMBEDDED else None
    if path is None or path.is_dir():
        raise wrong(
            f"{judge.name} cannot chat: that takes weights in one GGUF file; choose another judge (`mene judges`)",
            "model",
        )
    return path


def open_writer(judge: Judge, path: Path | None, most: int) -> Writer:
    """Return the writer of a judge.

    Args:
        path: from ``file_for``; it is loaded.
        most: see ``Writer``.

    Raises:
        ModelError: the model cannot be loaded.
    """
    if path is not None:
        return Writer(LlamaCppEngine(path, context=judge.preset.context), own=True, most=most)
    engine = getattr(judge.engine, "engine", judge.engine)
    assert isinstance(engine, LlamaCppEngine | OpenAIEngine)
    return Writer(engine, most=most)
