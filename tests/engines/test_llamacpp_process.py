"""What the embedded engine does when its process misbehaves. No model is loaded: the process is played."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from mene.engines import pump
from mene.engines.base import Completion, Request
from mene.engines.llamacpp import engine as llamacpp
from mene.engines.llamacpp import restarted
from mene.engines.llamacpp.engine import LlamaCppEngine
from mene.engines.llamacpp.process import CHILD, Calls, Process, explained
from mene.errors import ModelError
from mene.message import Message

REQUEST = Request(0, (Message("user", "x"),), ("Yes", "No"), "", "")


class Played:
    """Stands for `Process`."""

    started = 0
    flash = True

    def __init__(self, settings: dict[str, Any]) -> None:
        type(self).started += 1
        self.settings = settings
        self.alive = True

    def post(self, path: str, body: dict[str, Any], calls: Calls | None = None) -> dict[str, Any]:
        if path == "/tokenize":
            return {"tokens": [ord(letter) for letter in body["content"]]}
        if path.startswith("/slots/"):
            return {"error": {"message": "Unable to save slot"}}
        return {"timings": {"prompt_n": len(body["prompt"])}}

    def close(self) -> None:
        self.alive = False


@pytest.fixture
def played(monkeypatch) -> type[Played]:
    kind = type("Fresh", (Played,), {})
    monkeypatch.setattr(restarted, "Process", kind)
    return kind


def test_a_start_that_cannot_be_shared_ends_no_run(played, small_model) -> None:
    engine = LlamaCppEngine(small_model, slots=2)
    requests = [
        Request(i, (Message("user", "same " * 80 + str(i)),), ("Yes", "No"), "", "")
        for i in range(3)
    ]
    engine._shared.read(requests, engine.calls())
    assert not engine._caches._cached
    assert engine._turns.take(1, lambda: False).alone  # type: ignore[union-attr]


def test_a_closed_engine_starts_no_other_process(played, small_model) -> None:
    engine = LlamaCppEngine(small_model)
    engine._process.alive().close()  # it ended by itself
    with ThreadPoolExecutor(2) as pool:
        with engine._process._lock:  # another thread is about to replace it
            asking = [pool.submit(engine._process.alive) for _ in range(2)]
            time.sleep(0.1)
            engine.close()
        for asked in asking:
            with pytest.raises(ModelError, match="was closed"):
                asked.result(timeout=60)
    assert played.started == 1


def test_a_fork_breaks_off_nothing_of_its_parent(played, small_model, monkeypatch) -> None:
    stops: list[Calls] = []
    monkeypatch.setattr(Calls, "stop", lambda calls: stops.append(calls))
    engine = LlamaCppEngine(small_model)
    running = engine.run([REQUEST] * 3)
    next(running)
    with monkeypatch.context() as forked:
        forked.setattr(os, "getpid", lambda: -1)
        running.close()  # type: ignore[attr-defined]
    assert not stops
    running = engine.run([REQUEST] * 3)
    next(running)
    running.close()  # type: ignore[attr-defined]
    assert len(stops) == 1


def test_more_writers_than_llama_cpp_has_sequences(played, small_model) -> None:
    for more in ({"writers": 300}, {"slots": 300}):
        engine = LlamaCppEngine(small_model, context=8, **more)
        assert engine._process.alive().settings["slots"] <= 256  # type: ignore[attr-defined]


def test_a_model_that_cannot_be_loaded_says_why(played, small_model, tmp_path) -> None:
    settings = LlamaCppEngine(small_model)._process.alive().settings  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match="failed to open.*No such file.*check the file"):
        Process(settings | {"model": str(tmp_path / "none.gguf")})
    with pytest.raises(ModelError, match="^TypeError: "):
        Process(settings | {"threads": None})


@pytest.mark.parametrize(
    ("said", "reason", "file"),
    [
        ("0.1 E load: error loading model: cut off\n0.2 E srv  init: exiting\n", "cut off", True),
        ("0.1 E load: error loading model: unable to allocate\n", "unable to allocate", False),
        ("0.1 E init:  n_seq_max must be <= 256\n0.2 E x: y\n", "n_seq_max must be", False),
        ("one\nterminate called: bad_alloc\n", "terminate called: bad_alloc", False),
        ("", "it failed", False),
    ],
)
def test_the_file_is_blamed_only_where_llama_cpp_blames_it(said, reason, file) -> None:
    found = explained("it failed.", said)
    assert reason in found
    assert ("check the file" in found) == file


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no other parent is given")
def test_the_process_ends_with_its_parent_though_its_input_is_held_open(tmp_path) -> None:
    stay = (
        f"import sys; sys.path.insert(0, {str(CHILD.parent)!r})\n"
        "import os, child\nparent = os.getppid()\nprint(os.getpid(), flush=True)\n"
        "open(sys.argv[1], 'w').close()\n"
        "child.stay(parent)\nprint('ended', flush=True)"
    )
    # This test holds the input of the grandchild, whose parent ends after its first line.
    parent = (
        "import os, subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', *sys.argv[1:]])\n"
        "while not os.path.exists(sys.argv[2]): time.sleep(0.01)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(
        [sys.executable, "-c", parent, stay, str(tmp_path / "there")], text=True, **pipes
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        lines = list(child.stdout)
        assert [line.strip() for line in lines[1:]] == ["ended"]


def test_a_process_that_ends_again_and_again_is_given_up(played, small_model) -> None:
    engine = LlamaCppEngine(small_model)
    for _ in range(2):
        engine._process.alive().close()
    engine._process.alive().close()
    for _ in range(2):
        with pytest.raises(ModelError, match="ended 3 times before a row was done"):
            engine._process.alive()
    assert played.started == 3


def test_a_process_that_cannot_be_started_is_a_model_error(small_model, monkeypatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ModelError, match=r"its process cannot start.*Cannot allocate memory"):
        LlamaCppEngine(small_model)


def test_slots_fit_the_memory_of_the_container(played, small_model, monkeypatch) -> None:
    monkeypatch.setattr(llamacpp, "memory_size", lambda: 1 << 30)
    few = LlamaCppEngine(small_model, slots=64, context=2048).slots
    monkeypatch.setattr(llamacpp, "memory_size", lambda: 64 << 30)
    assert few < LlamaCppEngine(small_model, slots=64, context=2048).slots


def test_a_loop_without_stop_does_not_wait_without_end(monkeypatch) -> None:
    waits: list[float | None] = []

    class Queue(pump.SimpleQueue):  # type: ignore[type-arg]
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            waits.append(timeout)
            return super().get(block, timeout)

    def submit(request: Request) -> Future[Completion]:
        future: Future[Completion] = Future()
        future.set_result(Completion(request.index))
        return future

    monkeypatch.setattr(pump, "SimpleQueue", Queue)
    assert len(list(pump.pump([REQUEST], submit, 1))) == 1
    assert waits == [pump.TICK_S]
