"""``mene judge --on ray``: from tables to a folder of parts, with the same verdicts as on one machine.

Ray Data moves the blocks: tasks read files, a pool of actors judges, readers wait while actors are busy, and a task whose
worker or machine dies is repeated elsewhere. The parts, not Ray, ensure that each row counts once: a block's part always has
the same name, whoever judges it and however often (``parts/manifest.py``).
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ray
from filelock import FileLock, Timeout
from ray.exceptions import RayError

from mene import __version__
from mene.errors import EngineError, LedgerError, UsageError
from mene.events import Begin, Events, Stop, Warn, on_stderr
from mene.runs.on_ray.blocks import Block
from mene.runs.on_ray.cluster import check_nodes, said
from mene.runs.on_ray.earlier import counted, earlier_manifest, read_part, usable_unread
from mene.runs.on_ray.pipeline import Needs, pipeline, pool, records
from mene.runs.on_ray.progress import Progress, Tally
from mene.runs.on_ray.worker import Done, Job
from mene.runs.parts import manifest as manifests
from mene.runs.parts.counting import counting
from mene.runs.parts.index import Index, index_of
from mene.runs.parts.manifest import (
    EARLIER,
    Manifest,
    Part,
    add_sums,
    asked_of,
    parts_in,
)
from mene.runs.parts.storage import is_remote, joined, make_folder, move, remove, write_bytes
from mene.runs.summary import Summary
from mene.runs.under_way import work_of

SAVED_S = 10.0  # seconds between two writings of the manifest, and at most this share of the time is spent on it:
SHARE = 0.05
STORE = 512 << 20  # bytes of a local Ray's object store, for blocks in progress and the index


def judge_on_ray(
    job: Job,
    judge: str,
    *,
    needs: Needs | None = None,
    workers: int | None = None,
    rows: int = 500,
    limit: int | None = None,
    overwrite: bool = False,
    events: Events = on_stderr,
    summaries: dict[str, Summary] | None = None,
) -> Manifest:
    """Judge tables on the current Ray cluster.

    Args:
        job: settings that all workers share.
        judge: the judge's name.
        needs: resources of a worker.
        workers: number of actors; default: as many as cores and memory allow, or one per GPU.
        rows: maximum number of rows in a part.
        limit: maximum number of rows over all tables.
        overwrite: use no existing verdicts, and remove them at the end.
        events: called with the progress of the work ``work_of``, in verdicts, and with warnings.
        summaries: criterion -> its sums over all rows, including those found in the folder; updated during the run.
            ``duplicates`` are not counted.

    Returns:
        The folder's new manifest.

    Raises:
        LedgerError: the folder belongs to another run, or is in use.
        UsageError: a table cannot be read.
        EngineError: Ray or the model failed; finished parts are kept.
    """
    make_folder(job.folder)
    with _alone(job.folder):
        driver = _Driver(job, judge, overwrite, events, {} if summaries is None else summaries)
        return driver.go(needs or Needs(), workers, rows, limit)


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Allow one driver at a time in a local folder. In an object store two drivers would write identical parts."""
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
    """A run in progress: hands out blocks and updates the manifest."""

    def __init__(
        self,
        job: Job,
        judge: str,
        overwrite: bool,
        events: Events,
        summaries: dict[str, Summary],
    ) -> None:
        self.work = job.work
        if overwrite:  # ledgers of killed runs hold verdicts too
            job = replace(job, work=os.path.join(job.work, f"anew-{secrets.token_hex(4)}"))
        self.job, self.events, self.overwrite = job, events, overwrite
        criteria = asked_of(job.criteria)
        self.summaries = summaries
        for name in criteria:
            summaries.setdefault(name, Summary())
        old = earlier_manifest(job.folder, judge, criteria, overwrite)
        self.there = parts_in(job.folder)
        # Parts that count until this run has replaced them.
        self.old = list(counted(old, job.files, self.there)) if old else []
        # Parts that can be used unread: of this run, complete, and without failed rows. Marks of other runs are never asked for.
        whole = (part for part in self.old if usable_unread(part, job.form, self.there))
        self.known = {} if overwrite else {part.mark: part for part in whole}
        self.manifest = Manifest(
            mene=__version__,
            judge=judge,
            criteria=criteria,
            run=job.run,
            form=job.form,
            files=list(job.files),
            rows=[None] * len(job.files),
        )
        self.failures: list[str] = []
        self._saved, self._took = 0.0, 0.0  # when the manifest was written, and how long it took
        self._warned: set[str] = set()

    def go(self, needs: Needs, workers: int | None, rows: int, limit: int | None) -> Manifest:
        job, name = self.job, work_of(self.summaries)
        with _probe(job.folder) as probe:
            check_nodes(probe)
        actors, cores, gpus, threads = pool(needs, workers)
        index = None if self.overwrite else self._index()
        tally = ray.remote(num_cpus=0, max_restarts=-1)(Tally).remote()
        held = {
            "job": ray.put(replace(job, threads=threads)),
            "index": ray.put(index),
            "tally": tally,
        }
        self._save(complete=False)  # from here on the folder belongs to its judge, and can be read
        done = frozenset(self.known)
        tables = [[(n, path)] for n, path in enumerate(job.files)]
        if limit is not None:  # only a single reader knows which rows come first
            tables = [[one for table in tables for one in table]]
        dataset = pipeline(tables, job.run, rows, done, limit, held, actors, cores, gpus)
        start = time.perf_counter()
        self.events(Begin(name, None))
        told = Progress(tally, name, len(job.criteria), self.events)
        try:
            with told:
                for block, result in records(dataset):
                    told.finish(block)
                    self._take(block, result)
        except RayError as error:
            raise EngineError(
                f"Ray failed ({said(error)}); run the same command again to continue"
            ) from None
        finally:
            for summary in self.summaries.values():
                summary.seconds += time.perf_counter() - start
            self._save(complete=False)
            self.events(Stop(name))
        if self.failures:
            raise UsageError(self.failures[0])
        if not self.manifest.parts:
            raise UsageError(f"{self.job.files[0]} has no rows: nothing to judge")
        return self._finish()

    def _index(self) -> Index | None:
        """Return the index of the verdicts in all parts, shared by all workers."""
        earlier = joined(self.job.folder, EARLIER)
        lines = {part.name: part.rows * len(part.summaries) for part in self.old}
        places = {name: (joined(self.job.folder, name), lines.get(name)) for name in self.there}
        asked = [*places.values(), *((joined(earlier, name), None) for name in parts_in(earlier))]
        if not asked:
            return None
        read = ray.remote(num_cpus=0.5, max_retries=3)(read_part)
        answers = ray.get([read.remote(*one) for one in asked])
        found, whole, damaged = [], [], set()
        for (path, _), (contents, why) in zip(asked, answers, strict=True):
            if why:
                damaged.add(path)
                said = why.rpartition("; ")[0]  # without its next step: the run itself takes it
                self.events(
                    Warn(f"{said}; it is not used, and rows without another verdict are judged")
                )
                continue
            found.append(contents)
            whole.append(path)
        self._forget({name for name, (path, _) in places.items() if path in damaged})
        return index_of(whole, found)

    def _forget(self, damaged: set[str]) -> None:
        """Take damaged parts out of those that count or are used unread."""
        self.old = [part for part in self.old if part.name not in damaged]
        self.known = {mark: p for mark, p in self.known.items() if p.name not in damaged}

    def _take(self, block: Block, done: Done | None) -> None:
        """Record a finished block."""
        if not block.rows:
            if not block.cut and not block.error:
                self.manifest.rows[block.file] = block.first
            if block.error:
                self.failures.append(block.error)
        elif done is None:
            part = self.known[block.mark]
            self.manifest.parts.append(part)
            self._add(part, reused=True)
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
            if done.first_error and not any(one.errors for one in self.summaries.values()):
                self.events(Warn(f"a row failed: {done.first_error}"))
            self.manifest.parts.append(done.part)
            self._add(done.part)
        if time.monotonic() - self._saved > max(SAVED_S, self._took / SHARE):
            self._save(complete=False)

    def _add(self, part: Part, reused: bool = False) -> None:
        for name, sums in part.summaries.items():
            add_sums(self.summaries[name], sums, reused)

    def _save(self, complete: bool) -> Manifest:
        start = time.monotonic()
        parts = list(counting(self.old, self.manifest.parts, self.manifest.rows))
        whole = self.manifest.model_copy(update={"complete": complete, "parts": parts})
        manifests.save(self.job.folder, whole)
        self._saved = time.monotonic()
        self._took = self._saved - start
        return whole

    def _finish(self) -> Manifest:
        """Move parts that the run did not ask for to ``earlier/``, and mark the folder complete. Where a limit cut the tables
        off, all parts stay."""
        folder, own = self.job.folder, {part.name for part in self.manifest.parts}
        earlier = joined(folder, EARLIER)
        self.old = []
        if None in self.manifest.rows:
            return self._save(complete=False)
        for name in parts_in(folder):
            if name not in own and self.overwrite:
                remove(joined(folder, name))
            elif name not in own:
                move(joined(folder, name), joined(earlier, name))
        for name in parts_in(earlier):
            if name in own or self.overwrite:
                remove(joined(earlier, name))
        saved = self._save(complete=True)
        if not is_remote(folder):  # left by killed writers
            for left in Path(folder).glob(".part-*"):
                left.unlink(missing_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        return saved


@contextmanager
def _probe(folder: str) -> Iterator[str | None]:
    """Create a temporary file in the folder, to find out which machines do not see it."""
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
    """Return the folder of ledgers in progress: beside the parts where all machines share a folder; else on each machine's
    disk."""
    if is_remote(folder):
        return os.path.join(tempfile.gettempdir(), f"mene-{getpass.getuser()}-{run[:16]}")
    return os.path.join(os.path.abspath(folder), ".under-way")
