"""``mene judge --on ray``: tables in, a folder of parts out. What one machine would have said, row by row.

Ray Data moves the blocks: tasks read files, a pool of actors judges, readers wait while the actors are behind, a task whose
worker or machine dies is given to another. What makes a row count once is not Ray but the parts: a block has one name,
whoever judges it and however often (``parts/manifest.py``).
"""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import pyarrow as pa
import ray
import ray.data
from filelock import FileLock, Timeout
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from mene import __version__
from mene.errors import EngineError, LedgerError, UsageError
from mene.events import Advance, Begin, Events, Stop, Warn, on_stderr
from mene.runs.on_ray.blocks import Block, blocks_of
from mene.runs.on_ray.cluster import check_nodes, said
from mene.runs.on_ray.worker import Done, Job, Worker
from mene.runs.parts import manifest as manifests
from mene.runs.parts.index import Index, contents_of, index_of
from mene.runs.parts.manifest import EARLIER, Manifest, add_sums, check_folder, parts_in
from mene.runs.parts.storage import is_remote, joined, make_folder, move, remove, write_bytes
from mene.runs.summary import Summary

READERS = 4  # files read at once
SAVED_S = 10.0  # seconds between two writings of the manifest, and at most this share of the time is spent on it:
SHARE = 0.05
STORE = (
    512 << 20
)  # bytes of the object store of a Ray that we start: blocks under way, and the index
DATA = 32 << 20  # bytes of blocks that wait between two steps


@dataclass(frozen=True)
class Needs:
    """What a worker takes of a machine.

    Attributes:
        memory: bytes; None where nobody knows.
        gpus: of a worker.
        served: the model is a server's, so that more workers do not make it faster.
    """

    memory: int | None = None
    gpus: float = 0
    served: bool = False


def judge_on_ray(
    job: Job,
    judge: str,
    question: str = "",
    *,
    needs: Needs | None = None,
    workers: int | None = None,
    rows: int = 500,
    limit: int | None = None,
    overwrite: bool = False,
    events: Events = on_stderr,
    summary: Summary | None = None,
) -> Summary:
    """Judge tables on the Ray that is running (``cluster``).

    Args:
        judge: its name, and ``question`` what it is asked where a user asked it in words.
        needs: of a worker.
        workers: actors; default: as many as fit by cores and memory, or one for each GPU.
        rows: of a part, at most.
        limit: only the first rows of all tables together.
        overwrite: no verdict that is there is used, and all go at the end.
        events: told of the work ``job.criterion.name``, a step of which is a row, and of warnings.
        summary: filled in as the run goes.

    Returns:
        The summary over all rows, those found in the folder included. Its ``duplicates`` are not counted.

    Raises:
        LedgerError: the folder is that of another run, or in use.
        UsageError: a table that cannot be read.
        EngineError: Ray or the model failed; what is done is kept.
    """
    make_folder(job.folder)
    with _alone(job.folder):
        return _Driver(job, judge, question, overwrite, events, summary or Summary()).go(
            needs or Needs(), workers, rows, limit
        )


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """One driver at a time, where the folder is one of a file system. Two in an object store would write the same parts."""
    if is_remote(folder):
        yield
        return
    lock = FileLock(os.path.join(folder, ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LedgerError(
            f"{folder} is being written by another mene process; wait for it, or give another folder with -o"
        ) from None
    try:
        yield
    finally:
        lock.release()


class _Driver:
    """A run under way: it hands out blocks, and keeps the manifest."""

    def __init__(
        self, job: Job, judge: str, question: str, overwrite: bool, events: Events, summary: Summary
    ) -> None:
        self.job, self.events, self.summary, self.overwrite = job, events, summary, overwrite
        old = None if overwrite else check_folder(job.folder, judge, job.criterion.name, question)
        self.there = parts_in(job.folder)
        # Parts that need no look: of this run, whole, and without a row that failed.
        self.known = {
            part.print: part
            for part in (old.parts if old else ())
            if self.there.get(part.name) == part.size and not part.summary.get("errors")
        }
        self.manifest = Manifest(
            mene=__version__,
            judge=judge,
            criterion=job.criterion.name,
            question=question,
            run=job.run,
            form=job.form,
            files=list(job.files),
            rows=[None] * len(job.files),
        )
        self.failures: list[str] = []
        self._saved, self._took = time.monotonic(), 0.0
        self._warned: set[str] = set()

    def go(self, needs: Needs, workers: int | None, rows: int, limit: int | None) -> Summary:
        job, name = self.job, self.job.criterion.name
        with _probe(job.folder) as probe:
            check_nodes(probe)
        actors, cores, threads = pool(needs, workers)
        index = None if self.overwrite else self._index()
        tally = ray.remote(num_cpus=0, max_restarts=-1)(Tally).remote()
        held = {
            "job": ray.put(replace(job, threads=threads)),
            "index": ray.put(index),
            "tally": tally,
        }
        done = frozenset(self.known)
        tables = [[(n, path)] for n, path in enumerate(job.files)]
        if limit is not None:  # which rows are the first ones, one reader knows
            tables = [[one for table in tables for one in table]]
        dataset = _pipeline(tables, job.run, rows, done, limit, held, actors, cores, needs.gpus)
        start = time.perf_counter()
        self.events(Begin(name, None))
        told = _Progress(tally, name, self.events)
        try:
            with told:
                for block, result in _records(dataset):
                    told.finish(block)
                    self._take(block, result)
        except RayError as error:
            raise EngineError(
                f"Ray failed ({said(error)}); run the same command again to continue"
            ) from None
        finally:
            self.summary.seconds += time.perf_counter() - start
            self._save(complete=False)
            self.events(Stop(name))
        if self.failures:
            raise UsageError(self.failures[0])
        self._finish(limit)
        return self.summary

    def _index(self) -> Index | None:
        """Where the verdicts of all parts stand, read by all workers together."""
        earlier = joined(self.job.folder, EARLIER)
        paths = [joined(self.job.folder, name) for name in self.there]
        paths += [joined(earlier, name) for name in parts_in(earlier)]
        if not paths:
            return None
        read = ray.remote(num_cpus=0.5, max_retries=3)(_contents)
        found, whole = [], []
        for path, (contents, why) in zip(
            paths, ray.get([read.remote(p) for p in paths]), strict=True
        ):
            if why:
                self.events(Warn(f"{why}; its rows are judged again"))
                continue
            found.append(contents)
            whole.append(path)
        return index_of(whole, found)

    def _take(self, block: Block, done: Done | None) -> None:
        """Take note of a block that is through."""
        if not block.rows:
            self.manifest.rows[block.file] = block.first
            if block.error:
                self.failures.append(block.error)
        elif done is None:
            part = self.known[block.print].model_copy(update={"file": block.file})
            self.manifest.parts.append(part)
            add_sums(self.summary, part.summary, reused=True)
        elif done.part is None:
            error = UsageError if done.usage else EngineError
            raise error(
                f"{done.failure}; what is done is kept: run the same command again to continue"
            )
        else:
            for text in done.warnings:
                if text not in self._warned:
                    self._warned.add(text)
                    self.events(Warn(text))
            self.manifest.parts.append(done.part)
            add_sums(self.summary, done.part.summary)
        if time.monotonic() - self._saved > max(SAVED_S, self._took / SHARE):
            self._save(complete=False)

    def _save(self, complete: bool) -> None:
        start = time.monotonic()
        self.manifest.complete = complete
        manifests.save(self.job.folder, self.manifest)
        self._saved = time.monotonic()
        self._took = self._saved - start

    def _finish(self, limit: int | None) -> None:
        """Put aside what the run did not ask for, and say that it is complete."""
        folder, own = self.job.folder, {part.name for part in self.manifest.parts}
        earlier = joined(folder, EARLIER)
        for name in parts_in(folder):
            if name not in own and self.overwrite:
                remove(joined(folder, name))
            elif name not in own:
                move(joined(folder, name), joined(earlier, name))
        for name in parts_in(earlier):
            if name in own or self.overwrite:
                remove(joined(earlier, name))
        self._save(complete=limit is None)
        shutil.rmtree(self.job.work, ignore_errors=True)
        if not self.summary.rows:
            raise UsageError(f"{self.job.files[0]} has no rows: nothing to judge")


def _contents(path: str) -> tuple[Any, str]:
    try:
        return contents_of(path), ""
    except (LedgerError, UsageError) as error:
        return None, str(error)


@contextmanager
def _probe(folder: str) -> Iterator[str | None]:
    """A file in the folder, by which a machine is known that does not see it."""
    if is_remote(folder):
        yield None
        return
    probe = os.path.join(os.path.abspath(folder), f".probe-{os.getpid()}")
    write_bytes(probe, b"mene\n")
    try:
        yield probe
    finally:
        remove(probe)


def work_folder(folder: str, run: str) -> str:
    """Where the ledgers under way are: beside the parts, where all machines share that folder; else on each machine's disk."""
    if is_remote(folder):
        return os.path.join(tempfile.gettempdir(), f"mene-{os.getuid()}-{run[:16]}")
    return os.path.join(os.path.abspath(folder), ".under-way")


def pool(needs: Needs, workers: int | None) -> tuple[int, float, int]:
    """How many actors, the cores that Ray sets aside for each, and the threads that each computes with.

    Ray is asked for half of what an actor uses, so that those of a machine that is lost have room on the others until it is
    back. Actors are spread over the machines all the same.

    Raises:
        EngineError: the cluster has no such machine.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cores = sum(node.get("CPU", 0) for node in nodes)
    if needs.gpus:
        gpus = sum(node.get("GPU", 0) for node in nodes)
        if not gpus:
            raise EngineError("this judge needs a GPU, and no machine of the cluster has one")
        return workers or max(1, int(gpus // needs.gpus)), 0.5, 0
    fit = 0
    for node in nodes:
        most = int(node.get("CPU", 0))
        if needs.memory:
            most = min(most, int(node.get("memory", 0) // needs.memory))
        fit += most
    count = workers or (1 if needs.served else max(1, fit))
    threads = max(1, int(cores // count))
    return count, 0.1 if needs.served else min(0.5, cores / count / 2), threads


_OUT = pa.schema([("block", pa.binary()), ("done", pa.binary())])


def _pipeline(
    tables: Sequence[Sequence[tuple[int, str]]],
    run: str,
    rows: int,
    done: frozenset[str],
    limit: int | None,
    held: dict[str, Any],
    actors: int,
    cores: float,
    gpus: float,
) -> ray.data.Dataset:
    """Tables to blocks to records of what became of each."""
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # A block is an item of its own: it goes out as soon as it is read, to whoever is free.
    context.target_max_block_size = 1
    context.target_min_block_size = 0
    context.execution_options.preserve_order = False
    context.scheduling_strategy = "SPREAD"
    context.execution_options.resource_limits = context.execution_options.resource_limits.copy(
        object_store_memory=DATA
    )
    items = [{"tables": pickle.dumps(list(table))} for table in tables]
    with DataContext.current(context):
        return (
            ray.data.from_items(items, override_num_blocks=len(items))
            .map_batches(
                cast(Any, _read),
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=0,  # on a machine of a single core they and the actors would wait for each other
                concurrency=min(READERS, len(items)),
                fn_kwargs={"run": run, "size": rows, "done": ray.put(done), "limit": limit},
            )
            .map_batches(
                cast(Any, _Actor),
                batch_size=1,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=2),
                fn_constructor_kwargs={"held": [held]},
                num_cpus=cores,
                num_gpus=gpus or None,
            )
        )


def _read(items: pa.Table, run: str, size: int, done: Any, limit: int | None) -> Iterator[pa.Table]:
    if isinstance(done, ray.ObjectRef):
        done = ray.get(done)
    for item in items.column("tables").to_pylist():
        for block in blocks_of(pickle.loads(item), run, size, done, limit):
            yield pa.table({"block": [pickle.dumps(block)], "done": [b""]}, _OUT)


class _Actor:
    """A worker in the hands of Ray Data: a block that has nothing to judge passes through."""

    def __init__(self, held: list[dict[str, Any]]) -> None:
        job, index, tally = (held[0][name] for name in ("job", "index", "tally"))

        def tell(mark: str, rows: int) -> None:
            tally.under_way.remote(mark, rows)

        self._worker = Worker(ray.get(job), ray.get(index), tell)

    def __call__(self, table: pa.Table) -> pa.Table:
        blocks, results = [], []
        for packed in table.column("block").to_pylist():
            block: Block = pickle.loads(packed)
            done = self._worker.judge(block) if block.raw else None
            blocks.append(pickle.dumps(replace(block, raw=b"")))
            results.append(pickle.dumps(done))
        return pa.table({"block": blocks, "done": results}, _OUT)


def _records(dataset: ray.data.Dataset) -> Iterator[tuple[Block, Done | None]]:
    for row in dataset.iter_rows():
        yield pickle.loads(row["block"]), pickle.loads(row["done"])


class Tally:
    """How far the blocks under way are; workers tell it, the driver asks."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}

    def under_way(self, mark: str, rows: int) -> None:
        """A worker has done so many rows of a block."""
        self._rows[mark] = rows

    def rows(self) -> dict[str, int]:
        """Block -> rows, since the last time."""
        found, self._rows = self._rows, {}
        return found


class _Progress:
    """Tells of the rows that are done while their blocks are under way; a block that was given up is not counted twice."""

    def __init__(self, tally: Any, name: str, events: Events) -> None:
        self._tally, self._name, self._events = tally, name, events
        self._under_way: dict[str, int] = {}
        self._done, self._told = 0, 0
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._ask, name="mene-progress", daemon=True)

    def __enter__(self) -> _Progress:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()

    def finish(self, block: Block) -> None:
        """A block is through."""
        with self._lock:
            self._under_way.pop(block.print, None)
            self._done += block.rows
            self._say()

    def _ask(self) -> None:
        while not self._stop.wait(1.0):
            try:
                found = ray.get(self._tally.rows.remote(), timeout=5)
            except Exception:  # it is being restarted, or Ray ends
                continue
            with self._lock:
                self._under_way.update(found)
                self._say()

    def _say(self) -> None:
        new = self._done + sum(self._under_way.values()) - self._told
        if new > 0 and not self._stop.is_set():
            self._told += new
            self._events(Advance(self._name, new))
