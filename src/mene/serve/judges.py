"""The judges of one server: opened on their first request, freed when idle, within a memory budget."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mene.errors import MeneError, UsageError, nearest
from mene.judge.judge import Judge
from mene.judge.memory import memory_of
from mene.judge.preset import Preset
from mene.serve.cache import Cache
from mene.serve.desk import Closing, Desk, Full
from mene.serve.door import NoSuchJudge
from mene.serve.metrics import Meter
from mene.serve.writer import Place, Writer, file_for, open_writer

log = logging.getLogger("mene.serve")

# Model names used by clients of other services; they refer to the first judge.
USUAL = (
    "default", "jev-latest", "jev-preview", "jev-1.13.0", "atla-selene", "atla-selene-mini",
)  # fmt: skip
LOOK_S = 5.0  # seconds between two searches for idle judges
Open = Callable[[Preset], Judge]


def open_judge(preset: Preset) -> Judge:
    """Return the judge, with its weights in memory."""
    judge = Judge(preset, load=False)
    getattr(judge.engine, "engine", None)  # loads it
    return judge


class Judges:
    """Judges by name. To be used in the event loop.

    Args:
        presets: the first is the default.
        aliases: further names -> judge.
        opened: opens a judge, called in a thread.
        memory: maximum bytes of all loaded judges; None: no limit.
        idle_s: seconds after which an idle judge is freed; None: never.
        most: maximum queue length per judge.

    Raises:
        UsageError: an alias names no judge, two judges have the same name, or one needs more memory than allowed.
    """

    def __init__(
        self,
        presets: Sequence[Preset],
        *,
        aliases: Mapping[str, str] | None = None,
        opened: Open = open_judge,
        memory: int | None = None,
        idle_s: float | None = None,
        most: int = 1024,
        cache: Cache | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.presets = {preset.name: preset for preset in presets}
        if len(self.presets) < len(presets):
            raise UsageError("--judge: two judges have the same name; name each once")
        self.default = presets[0].name
        self.aliases = dict.fromkeys(USUAL, self.default) | dict(aliases or {})
        for alias, name in self.aliases.items():
            if name not in self.presets:
                raise UsageError(f'--alias {alias}={name}: no judge "{name}" is served here')
        for name, preset in self.presets.items():
            if memory is not None and memory_of(preset) > memory:
                raise UsageError(
                    f"{name} needs {memory_of(preset) / 1e9:.1f} GB of memory, and --memory allows {memory / 1e9:.1f} GB"
                )
        self.cache, self.meter = cache, meter
        self.desks: dict[str, Desk] = {}
        self.writers: dict[str, Writer] = {}  # chat writers, of judges that were chatted with
        self.ready = False  # whether the last attempt to load the default judge succeeded
        self._opened, self._memory, self._idle_s, self._most = opened, memory, idle_s, most
        self._lock = asyncio.Lock()
        self._closing = False

    def name_of(self, model: str | None) -> str:
        """The judge that a request means; none or an empty name is the default one.

        Raises:
            NoSuchJudge: there is none of that name.
        """
        if not model:
            return self.default
        name = self.aliases.get(model, model)
        if name not in self.presets:
            known = [*self.presets, *self.aliases]
            raise NoSuchJudge(
                f'no judge "{model[:80]}" here{nearest(model[:80], known) or ";"} there are {", ".join(known)}'
            )
        return name

    async def desk(self, model: str | None = None) -> Desk:
        """The desk of a judge, which is opened where it is not. Enter it before anything else is awaited: it may be freed.

        Raises:
            NoSuchJudge: there is none of that name.
            Full: there is no memory for it while others work.
            ModelError: it cannot be opened.
        """
        name = self.name_of(model)
        while (found := self.desks.get(name)) is None:
            async with self._lock:
                if name not in self.desks:
                    await self._open(name)
        return found

    async def chat(self, model: str | None, client: str) -> Place:
        """A place at what writes for chat in the name of a judge: leave it when the chat is over.

        Raises:
            NoSuchJudge, Full, ModelError: as of ``desk``.
            Refused: nothing here can write for it.
        """
        name = self.name_of(model)
        while (found := self.writers.get(name)) is None:
            desk = await self.desk(name)
            async with self._lock:
                if name not in self.writers and self.desks.get(name) is desk:
                    self.writers[name] = await self._opened_writer(desk.base)
        return found.enter(client)

    async def _opened_writer(self, judge: Judge) -> Writer:
        # Whether it can be is asked first: nothing is freed for one that cannot.
        path = await asyncio.to_thread(file_for, judge)
        if path is not None:
            await self._make_room(judge.preset)
        return await asyncio.to_thread(open_writer, judge, path, self._most)

    async def _open(self, name: str) -> None:
        if self._closing:
            raise Closing("the server is shutting down; ask again when it is back")
        preset = self.presets[name]
        await self._make_room(preset)
        began = time.monotonic()
        try:
            judge = await asyncio.to_thread(self._opened, preset)
        except MeneError:
            self.ready = self.ready and name != self.default
            raise
        self.ready = self.ready or name == self.default
        log.info("%s: loaded in %.1f s", name, time.monotonic() - began)
        told = self.meter.told(name) if self.meter is not None else None
        self.desks[name] = Desk(judge, most=self._most, cache=self.cache, told=told)

    async def _make_room(self, preset: Preset) -> None:
        while self._memory is not None and self._taken() + memory_of(preset) > self._memory:
            idle = self._idle()
            if not idle:
                raise Full("no memory for another judge while the others work", 5.0)
            await self._free(*idle[0][1:])

    def _taken(self) -> int:
        own = [name for name, writer in self.writers.items() if writer.own]
        return sum(memory_of(self.presets[name]) for name in (*self.desks, *own))

    def _idle(self) -> list[tuple[float, dict[str, Any], str]]:
        """Desks, and writers with a model of their own, with nothing to do: since when, and where each stands. Oldest first."""
        found = list[tuple[float, dict[str, Any], str]]()
        for name, desk in self.desks.items():
            writer = self.writers.get(name)
            shared = [desk] if writer is None or writer.own else [desk, writer]
            if not any(one.busy for one in shared):
                found.append((max(one.used_at for one in shared), self.desks, name))
        for name, writer in self.writers.items():
            if writer.own and not writer.busy:
                found.append((writer.used_at, self.writers, name))
        return sorted(found, key=lambda one: one[0])

    async def _free(self, held: dict[str, Any], name: str) -> None:
        if held is self.desks and name in self.writers and not self.writers[name].own:
            del self.writers[name]  # its engine goes with the desk
        gone = held.pop(name)  # from here on, whoever asks for it opens it anew
        await gone.close()
        log.info("%s%s: freed", name, "" if held is self.desks else " (chat)")

    async def free_idle(self) -> None:
        """Free what nobody has asked for a while, for as long as it is not cancelled."""
        while self._idle_s is not None:
            await asyncio.sleep(min(LOOK_S, self._idle_s))
            async with self._lock:
                while (idle := self._idle()) and idle[0][0] < time.monotonic() - self._idle_s:
                    try:
                        await self._free(*idle[0][1:])
                    except Exception as error:  # the others are still to be freed
                        log.error("%s: cannot be freed: %s", idle[0][2], error)

    async def close(self, finish: bool = True) -> None:
        """Free all judges.

        Args:
            finish: answer what waits and is under way before.
        """
        self._closing = True
        async with self._lock:
            await asyncio.gather(*(writer.close() for writer in self.writers.values()))
            await asyncio.gather(*(desk.close(finish) for desk in self.desks.values()))
            self.writers.clear()
            self.desks.clear()
