"""The judges behind one server: opened when they are first asked, freed when they are idle, within a budget of memory."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence

from mene.errors import MeneError, UsageError, nearest
from mene.judge.judge import Judge
from mene.judge.preset import SERVED, Preset
from mene.serve.cache import Cache
from mene.serve.desk import Closing, Desk, Full
from mene.serve.door import NoSuchJudge
from mene.serve.metrics import Meter
from mene.serve.writer import Writer, needs_own, open_writer

log = logging.getLogger("mene.serve")

# Names by which clients of other services ask for a judge; they mean the first one.
USUAL = (
    "default", "jev-latest", "jev-preview", "jev-1.13.0", "atla-selene", "atla-selene-mini",
)  # fmt: skip
LOOK_S = 5.0  # between two looks for judges that are idle
ROOM = 1.3  # memory of a model whose preset does not say it, in sizes of its file
Open = Callable[[Preset], Judge]


def open_judge(preset: Preset) -> Judge:
    """The judge, its weights in memory."""
    judge = Judge(preset, load=False)
    getattr(judge.engine, "engine", None)  # loads it
    return judge


class Judges:
    """Judges by name. For the event loop.

    Args:
        presets: the first is the default one.
        aliases: other names of them, and whose.
        opened: how one is opened, in a thread.
        memory: bytes that all loaded ones may take; None: no limit.
        idle_s: after which one is freed; None: never.
        most: jobs that may wait at each.

    Raises:
        UsageError: an alias names no judge, two have one name, or one alone needs more memory than there may be.
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
        self.ready = False  # the default judge was loaded when that was last tried
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
                f'no judge "{model[:80]}" here{nearest(model[:80], known)}; there are {", ".join(known)}'
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

    async def writer(self, model: str | None = None) -> Writer:
        """What writes for chat in the name of a judge, entered: leave it when that is done.

        Raises:
            NoSuchJudge, Full, ModelError: as of ``desk``.
            Refused: nothing here can write for it.
        """
        while True:
            desk = await self.desk(model)
            async with self._lock:
                if self.desks.get(self.name_of(model)) is not desk:
                    continue  # freed meanwhile
                if desk.writer is None:
                    desk.keep = True
                    try:
                        if needs_own(desk.base):
                            await self._make_room(desk.base.preset)
                        desk.writer = await asyncio.to_thread(open_writer, desk.base)
                    finally:
                        desk.keep = False
                assert isinstance(desk.writer, Writer)
                desk.used_at = time.monotonic()
                desk.writer.enter()
                return desk.writer

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
        if self._memory is None:
            return
        while self._taken() + memory_of(preset) > self._memory:
            idle = [name for name, desk in self.desks.items() if not desk.busy]
            if not idle:
                raise Full("no memory for another judge while the others work", 5.0)
            await self._free(min(idle, key=lambda name: self.desks[name].used_at))

    def _taken(self) -> int:
        return sum(
            memory_of(self.presets[name]) * (2 if getattr(desk.writer, "own", False) else 1)
            for name, desk in self.desks.items()
        )

    async def _free(self, name: str) -> None:
        desk = self.desks.pop(name)  # from here on, whoever asks for it opens it anew
        await desk.close()
        log.info("%s: freed", name)

    async def free_idle(self) -> None:
        """Free judges that nobody has asked for a while, for as long as it is not cancelled."""
        while self._idle_s is not None:
            await asyncio.sleep(min(LOOK_S, self._idle_s))
            async with self._lock:
                past = time.monotonic() - self._idle_s
                for name, desk in list(self.desks.items()):
                    if not desk.busy and desk.used_at < past:
                        await self._free(name)

    async def close(self, finish: bool = True) -> None:
        """Free all judges.

        Args:
            finish: answer what waits and is under way before.
        """
        self._closing = True
        async with self._lock:
            desks = list(self.desks.values())
            await asyncio.gather(*(desk.close(finish) for desk in desks))
            self.desks.clear()


def memory_of(preset: Preset) -> int:
    """Bytes that a judge takes, as far as it is known."""
    if preset.engine in SERVED:
        return 0
    return preset.memory or int((preset.weights.size or 0) * ROOM)
