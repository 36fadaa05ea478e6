"""``mene judge --on ray``: what Ray adds to a worker. One Ray for the file, with one core."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from mene.criteria_set import load_criteria
from mene.criterion import load_criterion
from mene.engines.base import Completion, best
from mene.errors import EngineError, LedgerError, UsageError
from mene.events import Advance, Event, nowhere
from mene.judge.judge import Judge
from mene.runs.on_ray import cluster
from mene.runs.on_ray.blocks import Block
from mene.runs.on_ray.worker import Job
from mene.runs.parts.manifest import load
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import run
from mene.runs.summary import Summary
from mene.runs.tables import read_rows

CRITERIA = load_criteria(["helpfulness", "tone"])
pytestmark = pytest.mark.posix
# It is not imported here: what it reads on its import `cluster.prepare` sets first.
if find_spec("ray") is None:
    pytest.skip("no Ray", allow_module_level=True)


class Toy:
    """An engine that answers by a hash of the prompt, at once. That of ``conftest.py`` is the main thread's alone."""

    identity = "toy:1"
    context: int | None = None
    control_tokens: frozenset[str] = frozenset()

    def run(self, requests: Any, stop: Any = None) -> Generator[Completion, None, None]:
        for request in requests:
            if request is not None:
                share = 0.5 + sum(request.messages[-1].content.encode()) % 97 / 200
                rest = (1 - share) / (len(request.labels) - 1)
                chances = dict.fromkeys(request.labels, rest) | {request.labels[0]: share}
                yield Completion(request.index, label=best(chances), probabilities=chances)

    def prompt(self, request: Any) -> str:
        return request.messages[-1].content

    def count(self, request: Any) -> int | None:
        return None

    def close(self) -> None:
        pass


def opened(pids: str) -> Judge:
    Path(pids, str(os.getpid())).touch()
    return Judge("openai:toy@http://localhost", mode="verdict", engine=Toy())


class Opening:
    """Opens the judge in a worker, and notes the worker's process."""

    def __init__(self, pids: Path) -> None:
        self.pids = str(pids)

    def __call__(self) -> Judge:
        return opened(self.pids)


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    cluster.prepare()
    root = str(Path(__file__).parents[2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join([root, f"{root}/src", os.environ.get("PYTHONPATH", "")])
        )
        patch.delenv("RAY_ADDRESS", raising=False)
        with cluster.cluster("--on ray", num_cpus=1, object_store_memory=100 << 20):
            yield


def test_a_run_with_a_killed_worker_and_another_one_with_more_rows(
    tmp_path, ray_here, monkeypatch
) -> None:
    from mene.runs.on_ray import run as driver
    from mene.runs.on_ray.run import judge_on_ray, work_folder

    (tmp_path / "pids").mkdir()
    table, one, folder = tmp_path / "rows.jsonl", tmp_path / "one.jsonl", str(tmp_path / "out")

    def write(first: int, last: int) -> None:
        with table.open("a") as file:
            for n in range(first, last):
                file.write(
                    json.dumps({"instruction": f"q{n % 5}", "response": f"answer {n}"}) + "\n"
                )

    write(0, 60)
    job = Job(
        Opening(tmp_path / "pids"), CRITERIA, "run", (str(table),), folder, work_folder(folder, "run"),
        form="jsonl",
    )  # fmt: skip
    told: list[Event] = []
    killed = Thread(target=kill_first, args=(tmp_path / "pids",))
    killed.start()
    sums: dict[str, Summary] = {}
    manifest = judge_on_ray(job, "toy", workers=1, rows=20, events=told.append, summaries=sums)
    killed.join()
    assert sorted(sums) == ["helpfulness", "tone"]
    assert {(s.rows, s.judged, s.errors) for s in sums.values()} == {(60, 60, 0)}
    assert sum(event.by for event in told if isinstance(event, Advance)) == 2 * 60
    assert manifest == load(folder)
    assert manifest.complete
    assert [(part.first, part.rows) for part in manifest.parts] == [(0, 20), (20, 20), (40, 20)]

    write(60, 70)
    again: dict[str, Summary] = {}
    judge_on_ray(job, "toy", workers=1, rows=20, events=nowhere, summaries=again)
    assert {(s.rows, s.judged, s.reused) for s in again.values()} == {(70, 10, 60)}
    judge = opened(str(tmp_path / "pids"))
    run(judge, CRITERIA, read_rows(str(table), criterion=CRITERIA), one)
    plain = [(v.id, v.row, v.criterion, v.key, v.probabilities) for v in read_verdicts(one)]
    assert [
        (v.id, v.row, v.criterion, v.key, v.probabilities) for v in read_verdicts(Path(folder))
    ] == plain
    assert not Path(job.work).exists()

    with pytest.raises(LedgerError, match="holds the verdicts of toy"):
        judge_on_ray(job, "other", events=nowhere)
    # What a reader says of an empty table; a pool of actors for that would take seconds.
    new, at_start = str(tmp_path / "new"), []

    def empty(dataset: Any) -> Iterator[Any]:
        at_start.append(load(new))
        return iter([(Block(0, 0, 0), None)])

    monkeypatch.setattr(driver, "records", empty)
    with pytest.raises(UsageError, match="has no rows"):
        judge_on_ray(replace(job, folder=new), "toy", events=nowhere)
    assert [(one.judge, one.complete) for one in at_start if one] == [("toy", False)]


def kill_first(pids: Path) -> None:
    """Kill the next worker that opens its judge."""
    before, deadline = set(os.listdir(pids)), time.monotonic() + 60
    while time.monotonic() < deadline:
        if new := set(os.listdir(pids)) - before:
            os.kill(int(new.pop()), signal.SIGKILL)
            return
        time.sleep(0.01)


def test_actors_fit_the_machines(ray_here) -> None:
    from mene.runs.on_ray.pipeline import Needs, pool

    assert pool(Needs(), None) == (1, 0.5, 0, 1)
    assert pool(Needs(gpus=1, cpu_too=True), None) == (1, 0.5, 0, 1)
    assert pool(Needs(memory=1 << 50), None)[0] == 1  # it is tried all the same
    assert pool(Needs(), 4) == (4, 0.125, 0, 1)
    assert pool(Needs(served=True), None)[:2] == (1, 0.1)
    with pytest.raises(EngineError, match="no machine of the cluster has one"):
        pool(Needs(gpus=1), None)


class Dies:
    """An engine whose first process dies at its second batch."""

    def __init__(self, marks: Path) -> None:
        self.marks = str(marks)

    def __call__(self):
        engine, real = Toy(), Toy.run

        def run(requests, stop=None):
            mark = Path(self.marks, "died")
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return real(engine, requests, stop)

        engine.run = run
        return engine


def test_an_engine_on_ray_says_what_one_here_says(tmp_path, ray_here) -> None:
    from mene.runs.on_ray.engine import BATCH, RayEngine
    from mene.sample import Sample

    engine = RayEngine(Dies(tmp_path), workers=1)
    assert (engine.identity, engine.context) == (Toy.identity, Toy.context)
    samples = [Sample(response=f"answer {n}", id=str(n)) for n in range(BATCH + 10)]
    there = Judge("openai:toy@http://localhost", mode="verdict", engine=engine)
    here = Judge("openai:toy@http://localhost", mode="verdict", engine=Toy())
    tone = load_criterion("tone")
    found, wanted = ([v.probabilities for v in j.judge(samples, tone)] for j in (there, here))
    assert found == wanted
    assert (tmp_path / "died").exists()
    there.close()
