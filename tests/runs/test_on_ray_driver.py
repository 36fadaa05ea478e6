"""What the driver of ``mene judge --on ray`` writes into the manifest; Ray itself does not run here."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mene.criteria_set import load_criteria
from mene.events import Event, Warn, nowhere
from mene.runs.on_ray import cluster
from mene.runs.on_ray.blocks import blocks_of
from mene.runs.on_ray.worker import Job, Worker
from mene.runs.parts.manifest import Manifest
from mene.runs.read_ledger import read_verdicts
from tests.runs.test_on_ray_worker import judge_of, write_rows

if find_spec("ray") is None:
    pytest.skip("no Ray", allow_module_level=True)

ONE, TWO = load_criteria("helpfulness"), load_criteria(["helpfulness", "tone"])


def job_of(tmp_path: Path, engine: Any, **more: Any) -> Job:
    table = tmp_path / "rows.jsonl"
    if not table.exists():
        write_rows(table, 24)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    known = {"criteria": ONE, "run": "run", "files": (str(table),), "form": "jsonl", **more}
    work = str(out / ".under-way")
    return Job(open=lambda: judge_of(engine), folder=str(out), work=work, **known)


def driver_of(job: Job, overwrite: bool = False, events: Any = nowhere) -> Any:
    cluster.prepare()
    from mene.runs.on_ray.run import _Driver

    return _Driver(job, "toy", overwrite, events, {})


def go(driver: Any, size: int, most: int | None = None, limit: int | None = None) -> Manifest:
    """Judge blocks, as many as are asked for, and save, like a run that ends or is stopped."""
    job = driver.job
    worker = Worker(job, None)
    files = list(enumerate(job.files))
    for n, block in enumerate(blocks_of(files, job.run, size, frozenset(driver.known), limit)):
        if n == most:
            return driver._save(complete=False)
        driver._take(block, worker.judge(block) if block.raw else None)
    return driver._finish()


class NoRay:
    """Ray's calls, answered here."""

    def remote(self, **options: Any) -> Any:
        return lambda work: SimpleNamespace(remote=work)

    def get(self, answers: list[Any]) -> list[Any]:
        return answers


def places(found: Manifest) -> list[tuple[int, int]]:
    return [(part.first, part.rows) for part in found.parts]


def rows_of(folder: str) -> list[int | None]:
    return [verdict.row for verdict in read_verdicts(Path(folder))]


def test_a_stopped_run_with_parts_of_another_length_loses_and_doubles_nothing(
    tmp_path, toy
) -> None:
    job = job_of(tmp_path, toy)
    assert go(driver_of(job), 9).complete
    stopped = go(driver_of(job), 6, most=2)
    assert places(stopped) == [(0, 9), (9, 9), (18, 6)]
    assert rows_of(job.folder) == list(range(1, 25))
    done = go(driver_of(job), 6)
    assert (done.complete, places(done)) == (True, [(0, 6), (6, 6), (12, 6), (18, 6)])


def test_a_limit_does_not_say_how_long_a_table_is(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    found = go(driver_of(job), 9, limit=3)
    assert (found.complete, found.rows, places(found)) == (False, [None], [(0, 3)])
    found = go(driver_of(job), 9, limit=99)
    assert (found.complete, found.rows) == (True, [24])


def test_a_stopped_run_with_one_more_criterion_keeps_what_there_was(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    go(driver_of(job), 9)
    more = replace(job, criteria=TWO, run="more")
    assert places(go(driver_of(more), 9, most=0)) == [(0, 9), (9, 9), (18, 6)]
    assert rows_of(job.folder) == list(range(1, 25))
    go(driver_of(more), 9, most=1)
    found = [(v.row, v.criterion) for v in read_verdicts(Path(job.folder))]
    assert len(set(found)) == len(found) == 24 + 9
    assert go(driver_of(more), 9).complete
    assert len(rows_of(job.folder)) == 48


def test_a_failed_row_counts_until_it_is_asked_again(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    with Path(job.files[0]).open("a") as file:
        file.write('{"instruction": "no response"}\n')
    go(driver_of(job), 9)
    driver = driver_of(job)
    assert len(driver.known) == 2
    assert len(go(driver, 9, most=0).parts) == 3
    assert len(rows_of(job.folder)) == 25


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_damaged_part_of_the_right_size_is_judged_again(tmp_path, toy, monkeypatch, form) -> None:
    job = job_of(tmp_path, toy, form=form)
    part = go(driver_of(job), 9).parts[1]
    path = Path(job.folder, part.name)
    whole = path.read_bytes()
    path.write_bytes(whole[:200] + bytes(len(whole) - 400) + whole[-200:])
    told: list[Event] = []
    driver = driver_of(job, events=told.append)
    from mene.runs.on_ray import run as module

    monkeypatch.setattr(module, "ray", NoRay())
    driver._index()
    [warned] = [event.text for event in told if isinstance(event, Warn)]
    assert f"{path}: this part is damaged (" in warned
    assert warned.endswith("; it is not used, and rows without another verdict are judged")
    assert [p.first for p in driver.known.values()] == [0, 18]
    assert places(go(driver, 9, most=0)) == [(0, 9), (18, 6)]
    assert go(driver_of(job), 9).complete
    assert len(rows_of(job.folder)) == 24


def test_parts_of_another_form_are_written_anew(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    go(driver_of(job), 9)
    found = go(driver_of(replace(job, form="parquet")), 9)
    assert {Path(part.name).suffix for part in found.parts} == {".parquet"}
    assert {path.suffix for path in Path(job.folder).glob("part-*")} == {".parquet"}
    assert len(rows_of(job.folder)) == 24


def test_overwrite_uses_no_ledger_of_a_killed_run(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    [block, *_] = blocks_of([(0, job.files[0])], job.run, 9)
    worker = Worker(
        replace(job, folder="/proc/none"), None
    )  # as if killed before its part is written
    worker.judge(block)
    assert list(Path(job.work).glob("*.jsonl"))
    driver = driver_of(job, overwrite=True)
    assert driver.job.work != job.work
    assert not Path(driver.job.work).exists()
    go(driver, 9)
    assert sum(s.judged for s in driver.summaries.values()) == 24
    assert not Path(job.work).exists()


def test_a_stopped_overwriting_run_takes_nothing_away(tmp_path, toy) -> None:
    job = job_of(tmp_path, toy)
    go(driver_of(job), 9)
    driver = driver_of(job, overwrite=True)
    assert not driver.known
    assert places(go(driver, 9, most=1)) == [(0, 9), (9, 9), (18, 6)]
    assert len(rows_of(job.folder)) == 24
    other = replace(job, criteria=load_criteria("tone"), run="other")
    assert go(driver_of(other, overwrite=True), 9, most=0).parts == []


@pytest.mark.posix
def test_sigterm_while_ray_starts_ends_it_once_ray_is_there(monkeypatch) -> None:
    cluster.prepare()
    import ray
    from ray._private import utils

    started = []

    def init(**own: Any) -> None:
        utils.set_sigterm_handler(lambda *_: sys.exit(15))  # as Ray does
        os.kill(os.getpid(), signal.SIGTERM)
        started.append(own)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), cluster.cluster():
            raise AssertionError
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert started
