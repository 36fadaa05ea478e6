"""What the tests of the arena's pages share: an arena over engines that are played, and its clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from mene.arena.app import LIMITS, build_app
from mene.arena.samples import Samples, bundled
from mene.arena.state import Arena
from mene.arena.store import Limits as Votes
from mene.arena.store import Store
from mene.arena.visitors import Hourly
from mene.judge.judge import Judge
from mene.judge.preset import Preset, load_preset
from mene.serve.judges import Judges
from mene.serve.keys import Keys
from mene.serve.metrics import Meter
from mene.serve.serving import Serving
from tests.serve.served import PlayedEngine
from tests.serve.threaded import threaded

SALT = bytes(32)
ADMIN = "a-key-for-admins"
SAMPLE = {
    "instruction": "When does it open?",
    "context": "It opens at nine.",
    "response": "At ten.",
}
ASKED = {"sample": SAMPLE, "criterion": "faithfulness"}
NAMES = ("base", "nano-base", "nano")


def arena_of(
    database: Path | str | Store,
    engines: Mapping[str, PlayedEngine],
    *,
    keys: list[str] | None = None,
    local: bool = True,
    cors: frozenset[str] = frozenset(),
    votes: Votes | None = None,
    **more: Any,
) -> Arena:
    """An arena whose judges answer as their engines are played."""

    def opened(preset: Preset) -> Judge:
        return Judge(preset, engine=engines[preset.name])  # type: ignore[arg-type]

    meter = Meter()
    judges = Judges([load_preset(name) for name in engines], opened=opened, meter=meter)
    serving = Serving(
        judges, meter, limits=LIMITS, keys=Keys(keys) if keys else None, local=local, cors=cors
    )
    more.setdefault("newcomers", Hourly(0, "new voters"))
    more.setdefault("battles", Hourly(0, "battles"))
    if isinstance(database, Store):
        store = database
    else:
        store = Store(database, votes or Votes(votes=()))
    return Arena(serving, store, Samples(bundled()), SALT, admins=Keys([ADMIN]), **more)


@dataclass
class Fought:
    """An arena under test; ``client`` has agreed to the terms."""

    arena: Arena
    client: httpx.AsyncClient
    engines: dict[str, PlayedEngine]
    transport: httpx.ASGITransport

    async def newcomer(self, agrees: bool = True, **headers: str) -> httpx.AsyncClient:
        """Another browser."""
        client = httpx.AsyncClient(
            transport=self.transport, base_url="http://localhost", headers=headers
        )
        if agrees:
            version = (await client.get("/api/arena")).json()["terms"]["version"]
            assert (await client.post("/api/terms", json={"version": version})).status_code == 200
        return client

    async def battle(self, **more: Any) -> tuple[str, list[tuple[str, Any]]]:
        """Begin a battle, and watch it to its end: its id, and all events."""
        answer = await self.client.post("/api/battles", json={**ASKED, **more})
        assert answer.status_code == 200, answer.text
        events = events_of(answer.text)
        return events[0][1]["id"], events

    async def vote(self, battle: str, choice: str, **more: Any) -> httpx.Response:
        """Vote on it."""
        return await self.client.post(
            f"/api/battles/{battle}/vote", json={"choice": choice, **more}
        )


def events_of(text: str) -> list[tuple[str, Any]]:
    """The events of a stream."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


@contextmanager
def running(arena: Arena, port: int = 0) -> Iterator[str]:
    """The arena at a port, served by a thread: its URL."""
    config = uvicorn.Config(build_app(arena), log_level="critical")
    with threaded(config, port, force=True) as found:
        yield f"http://127.0.0.1:{found}"


@asynccontextmanager
async def fought(
    folder: Path, names: tuple[str, ...] = NAMES, **more: Any
) -> AsyncIterator[Fought]:
    """An arena over a new database in a folder."""
    engines = {name: PlayedEngine() for name in names}
    arena = arena_of(folder / "arena.db", engines, **more)
    async with fought_over(arena, engines, agrees="keys" not in more) as made:
        yield made


@asynccontextmanager
async def fought_over(
    arena: Arena, engines: dict[str, PlayedEngine] | None = None, agrees: bool = True
) -> AsyncIterator[Fought]:
    """An arena with a client."""
    app = build_app(arena)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app):
        made = Fought(arena, httpx.AsyncClient(transport=transport), engines or {}, transport)
        made.client = await made.newcomer(agrees=agrees)
        yield made
    arena.store.close()
