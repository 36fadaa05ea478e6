"""Fixtures: the real small model, real rows, and the toy engine of the unit tests."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from threading import Event
from typing import Any

import pytest
from hypothesis import settings

from mene.engines.base import Completion, Request, best
from mene.errors import EngineError
from mene.judge.open import fetch
from mene.judge.preset import load_preset
from mene.verdict import Usage

# The small judge, where a test names none.
os.environ.setdefault("MENE_JUDGE", "nano")

# Importing OpenVINO, as `pytest.importorskip` does, would report it (engines/openvino/runtime.py).
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# A job that a shell starts in the background ignores Ctrl-C, and so would the commands that tests stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of pytest-xdist: a core each, so that the threads of one do not wait for those of another.
if (worker := os.environ.get("PYTEST_XDIST_WORKER")) and hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})
    os.environ["OMP_NUM_THREADS"] = "1"

# How long an example takes is the machine's affair.
settings.register_profile("mene", deadline=None)
settings.load_profile("mene")


# Files that take longest come first, so that the workers end together (a file is one worker's; pyproject.toml).
LONGEST = (
    "test_run.py",
    "test_base.py",
    "test_llamacpp.py",
    "test_every_engine.py",
    "test_cli.py",
    "test_stream.py",
    "test_on_ray.py",
    "test_playground.py",
    "test_crash.py",
    "test_arena_pages.py",
    "test_serve.py",
    "test_bench_cli.py",
    "test_teacher.py",
    "test_curate.py",
    "test_transformers.py",
    "test_ablate.py",
    "test_sharded.py",
    "test_export.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.name != "posix":
        skip = pytest.mark.skip(reason="signals, rights and pipes are other ones here")
        for item in items:
            if item.get_closest_marker("posix"):
                item.add_marker(skip)
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.path.name, len(ranks)))


@pytest.fixture
def here(capsys, monkeypatch) -> Callable[..., CompletedProcess[str]]:
    """``mene`` with arguments, in this process: for tests of what it says, where a second for another one is too long."""

    def run(*arguments: object) -> CompletedProcess[str]:
        from mene.cli.app import main

        argv = ["mene", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", argv)
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        return CompletedProcess(argv, code, *capsys.readouterr())

    return run


class Lent:
    """An engine that stays open, whoever closes it."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def lent() -> Iterator[dict[tuple[Any, ...], Lent]]:
    """What ``opened_once`` has opened."""
    engines: dict[tuple[Any, ...], Lent] = {}
    yield engines
    for engine in engines.values():
        engine._engine.close()


@pytest.fixture
def opened_once(lent, monkeypatch) -> None:
    """Commands that run ``here`` share their models: each is loaded once."""
    from mene.judge import judge
    from mene.judge.open import open_engine

    def open_(preset, *, critique, concurrency=None, **more) -> Lent:
        how = (preset.engine, preset.weights, preset.adapter, preset.context, preset.dtype)
        machine = tuple(os.environ.get(name) for name in ("MENE_CACHE", "MENE_ENGINE"))
        key = (*how, critique, concurrency, machine)
        if key not in lent:
            lent[key] = Lent(
                open_engine(preset, critique=critique, concurrency=concurrency, **more)
            )
        return lent[key]

    monkeypatch.setattr(judge, "open_engine", open_)


@pytest.fixture(scope="session")
def small_model() -> Path:
    """SmolLM2-135M-Instruct as GGUF (Q8_0), the weights of the ``nano`` judge."""
    path = fetch(load_preset("nano"))
    assert path is not None
    return path


@pytest.fixture(scope="session")
def short_model(small_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last 4 of the small model's 30 layers: for tests that ask what an engine does, whatever the answers are worth."""
    from tiny import last_layers

    return last_layers(small_model, tmp_path_factory.mktemp("short") / "short.Q8_0.gguf")


@pytest.fixture(scope="session")
def bench_data() -> Path:
    """Folder with the benchmark files, from ``MENE_DATA`` or beside the checkout."""
    folder = (
        Path(os.environ.get("MENE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "bench"
    )
    if not folder.is_dir():
        pytest.skip("no benchmark data; set MENE_DATA")
    return folder


class ToyEngine:
    """Answers by a hash of the prompt, at once. For tests of what lies around an engine."""

    identity = "toy:1"
    context: int | None = 100_000
    control_tokens = frozenset({"<|im_start|>", "<|im_end|>"})

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.closed = False
        self.fail_on: str | None = None

    def run(
        self, requests: Iterable[Request | None], stop: Event | None = None
    ) -> Generator[Completion, None, None]:
        for request in requests:
            if stop is not None and stop.is_set():
                return
            if request is None:
                continue
            self.seen.append(request)
            text = request.messages[-1].content
            if not request.choose:
                usage = Usage(prompt_tokens=len(text), completion_tokens=1)
                yield Completion(request.index, critique="because", usage=usage)
                continue
            if self.fail_on and self.fail_on in text:
                yield Completion(request.index, error=EngineError("toy failure; try again"))
                continue
            weights = [
                1 + (sum(text.encode()) * (i + 3) + request.seed) % 17
                for i in range(len(request.labels))
            ]
            probabilities = {
                label: weight / sum(weights)
                for label, weight in zip(request.labels, weights, strict=True)
            }
            yield Completion(
                request.index,
                label=best(probabilities),
                probabilities=probabilities,
                critique="because" if request.critique_tokens else None,
                usage=Usage(prompt_tokens=len(text), completion_tokens=1),
            )

    def prompt(self, request: Request) -> str:
        return request.messages[-1].content

    def count(self, request: Request) -> int:
        return len(request.messages[-1].content.split())

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def toy() -> ToyEngine:
    return ToyEngine()


CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser of Playwright; tests are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="needs pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
