"""Who writes for chat, and who waits for it: llama.cpp on the judge's own weights, or the server that the judge asks."""

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

# Engines whose weights may be a file that llama.cpp reads too.
EMBEDDED = ("embedded", "openvino", "llamacpp")


class Writer:
    """What writes for the chats of one judge: as many at once as it can, in turns between clients. For the event loop.

    Args:
        engine: what writes.
        own: it was opened for this, and is closed with it; else it is the judge's.
        most: chats that may wait or be under way.

    Attributes:
        used_at: when it last had something to do.
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
        """Does anybody write, or wait for it?"""
        return self._places > 0

    def enter(self, client: str) -> Place:
        """A place, which must be left.

        Raises:
            Full: there is none.
            Closing: no more work is taken.
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
        """Its chat is over, or nobody wants it any more."""
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
        """Take no more chats, and free what was opened for them."""
        self._closing = True
        if self.own:
            await asyncio.to_thread(self.engine.close)


class Place:
    """A chat's place at a writer, from when it comes until it is over.

    Attributes:
        client: who asks, for turns.
        writes: it has its turn.
    """

    def __init__(self, writer: Writer, client: str) -> None:
        self.writer, self.client = writer, client
        self.writes = asyncio.Event()
        self._left = False

    def leave(self) -> None:
        """Give it back, once."""
        if not self._left:
            self._left = True
            self.writer.leave(self)


def needs_own(judge: Judge) -> bool:
    """Does chat take a second process, and memory for it?"""
    engine = getattr(judge.engine, "engine", judge.engine)
    return judge.preset.engine in EMBEDDED and not isinstance(engine, LlamaCppEngine)


def file_for(judge: Judge) -> Path | None:
    """The file that llama.cpp reads for the chats of a judge; None where the judge's own engine writes.

    Raises:
        Refused: nothing here can write for this judge.
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
    """The writer of a judge.

    Args:
        path: of ``file_for``; it is loaded.
        most: see ``Writer``.

    Raises:
        ModelError: the model cannot be loaded.
    """
    if path is not None:
        return Writer(LlamaCppEngine(path, context=judge.preset.context), own=True, most=most)
    engine = getattr(judge.engine, "engine", judge.engine)
    assert isinstance(engine, LlamaCppEngine | OpenAIEngine)
    return Writer(engine, most=most)
