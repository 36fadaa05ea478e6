"""What the tests of the server share: engines that do as they are told, and an app over them without a socket."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from mene.criterion import Criterion
from mene.engines.base import Completion, Request, best
from mene.errors import EngineError, MeneError
from mene.judge.judge import Judge
from mene.judge.preset import Preset, load_preset
from mene.sample import Sample
from mene.serve.app import build_app
from mene.serve.cache import Cache
from mene.serve.desk import Asked
from mene.serve.door import Limits
from mene.serve.judges import Judges
from mene.serve.keys import Keys
from mene.serve.metrics import Meter
from mene.serve.serving import Serving
from mene.verdict import Usage


class PlayedEngine:
    """Answers by the prompt's bytes, in the order in which it is asked; holds where it is told to.

    Attributes:
        open: while it is not set, the engine answers nothing.
        at_work: set once it has pulled a request.
        ends_on: a text in a prompt that ends the whole run, with this error.
        fails_on: a text in a prompt that gives an error to its row.
        asked: prompts, in their order.
    """

    identity = "played:1"
    context: int | None = 100_000
    control_tokens = frozenset({"<|im_start|>", "<|im_end|>"})

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.at_work = threading.Event()
        self.ends_on: dict[str, MeneError | Exception] = {}
        self.fails_on = "\0"
        self.asked: list[str] = []
        self.runs = 0
        self.closed = False

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        self.runs += 1
        for request in requests:
            if request is None:
                continue
            self.at_work.set()
            while not self.open.wait(0.005):
                if stop is not None and stop.is_set():
                    return
            if stop is not None and stop.is_set():
                return
            yield self.answer(request)

    def answer(self, request: Request) -> Completion:
        text = request.messages[-1].content
        whole = "\n".join(message.content for message in request.messages)
        self.asked.append(whole)
        for ending, error in self.ends_on.items():
            if ending in whole:
                raise error
        usage = Usage(prompt_tokens=len(whole), completion_tokens=int(request.critique_tokens > 0))
        if self.fails_on in whole:
            return Completion(request.index, error=EngineError("it failed; try again"))
        if request.critique_tokens and request.hear is not None:
            request.hear("be")
            request.hear("cause")
        if not request.choose:
            return Completion(request.index, critique="because", usage=usage)
        weights = [1 + (sum(text.encode()) * (i + 3)) % 17 for i in range(len(request.labels))]
        shares = {
            label: weight / sum(weights)
            for label, weight in zip(request.labels, weights, strict=True)
        }
        critique = "because" if request.critique_tokens else None
        return Completion(
            request.index,
            label=best(shares),
            probabilities=shares,
            critique=critique,
            usage=usage,
        )

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return len(request.messages[-1].content.split())

    def close(self) -> None:
        self.closed = True


POLITE = Criterion.model_validate({"question": "Is it polite?", "scale": "yes/no"})


def asked(text: str, **settings: Any) -> Asked:
    """One judgement of a text."""
    explain = settings.pop("explain", False)
    return Asked(Sample(response=text, id=text), POLITE, settings, explain)


@cache  # reading one takes as long as a test of a route
def preset_of(name: str) -> Preset:
    return load_preset(name)


def played_judge(engine: PlayedEngine, preset: str = "base") -> Judge:
    return Judge(preset_of(preset), engine=engine)  # type: ignore[arg-type]


@dataclass
class Served:
    """An app under test."""

    client: httpx.AsyncClient
    serving: Serving
    engines: dict[str, PlayedEngine]

    @property
    def engine(self) -> PlayedEngine:
        return next(iter(self.engines.values()))

    async def post(self, path: str, body: Any, **more: Any) -> httpx.Response:
        return await self.client.post(path, json=body, **more)


@asynccontextmanager
async def served(
    *names: str,
    keys: list[str] | None = None,
    cache: Path | None = None,
    limits: Limits | None = None,
    cors: frozenset[str] = frozenset(),
    local: bool = True,
    headers: Mapping[str, str] | None = None,
    mcp: bool = False,
    **judges: Any,
) -> AsyncIterator[Served]:
    """The app over engines that are played, as its clients see it.

    Args:
        mcp: with the route of MCP, which takes longer to make than all the others.
    """
    meter, engines = Meter(), dict[str, PlayedEngine]()

    def opened(preset: Preset) -> Judge:
        engine = engines[preset.name] = PlayedEngine()
        return Judge(preset, engine=engine)  # type: ignore[arg-type]

    serving = Serving(
        Judges(
            [preset_of(name) for name in names or ("base",)],
            opened=opened,
            meter=meter,
            cache=Cache(cache) if cache is not None else None,
            **judges,
        ),
        meter,
        limits=limits or Limits(),
        keys=Keys(keys) if keys else None,
        cors=cors,
        local=local,
    )
    with patch("mene.serve.app.OWN", ("mcp",) if mcp else ()):
        app = build_app(serving)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            while not serving.ready:
                await asyncio.sleep(0.005)
            yield Served(client, serving, engines)


async def until(true: Any, seconds: float = 5.0) -> None:
    """Wait until a condition holds."""
    for _ in range(int(seconds / 0.005)):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to that")
