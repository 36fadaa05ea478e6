"""A worker: an actor with an open judge that turns blocks of rows into parts of verdicts.

A block is judged by the run of a single machine (``runs/run.py``), with its own ledger. The ledger starts with the verdicts
that earlier parts have on the same rows. It is kept until the part is written, so that a killed worker loses only the row in
progress, and its successor continues.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, count
from pathlib import Path

from mene.criteria_set import CriteriaSet
from mene.errors import LedgerError, MeneError, UsageError
from mene.events import Advance, Event, Warn
from mene.files import write_whole
from mene.judge.any_judge import AnyJudge
from mene.judge.explaining import Explaining
from mene.runs.on_ray.blocks import Block
from mene.runs.parts.index import ALIKE, Index
from mene.runs.parts.manifest import Form, Part, sums
from mene.runs.parts.overall import counted
from mene.runs.parts.part import write_part
from mene.runs.parts.storage import joined
from mene.runs.raw import Raw
from mene.runs.read_ledger import read_verdicts
from mene.runs.run import NO_REASONS, run
from mene.runs.summary import Summary
from mene.runs.tables import Row, row_of
from mene.verdict import Verdict

TOLD_S = 1.0  # seconds between two progress reports of a worker
IN_USE = "is being written by another mene process"
WARNINGS = 3  # warnings passed on per block


@dataclass(frozen=True)
class Job:
    """Settings that all blocks of a run share.

    Attributes:
        open: opens the judge, called in a worker.
        criteria: every row is judged by each.
        columns: see ``runs.run``.
        folder: of the parts; ``work``: of the ledgers in progress, shared by all machines or local to each.
        threads: threads per worker; 0 = the engine's default.
    """

    open: Callable[[], AnyJudge]
    criteria: CriteriaSet
    run: str
    files: tuple[str, ...]
    folder: str
    work: str
    columns: dict[str, str] = field(default_factory=dict)
    explaining: Explaining = NO_REASONS
    form: Form = "parquet"
    threads: int = 0

    def part_name(self, block: Block) -> str:
        """Return the file name of a block's part: its position, for people, and its mark."""
        return f"part-{block.file:05}-{block.first:010}-{block.mark}.{self.form}"


@dataclass
class Done:
    """The outcome of a block: its part, or why there is none.

    Attributes:
        failure: the error that ended the run; ``usage``: whether it was the user's mistake.
        first_error: the first error of a row.
    """

    part: Part | None = None
    failure: str = ""
    usage: bool = False
    first_error: str = ""
    warnings: list[str] = field(default_factory=list)


class Worker:
    """Judges blocks one after the other.

    Args:
        tell: called with a block's mark and its number of verdicts so far.
    """

    def __init__(
        self, job: Job, index: Index | None, tell: Callable[[str, int], None] = lambda *_: None
    ) -> None:
        self.job, self.index, self.tell = job, index, tell
        if job.threads:  # read by the engines on loading
            os.environ["MENE_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(job.threads)
        self._judge: AnyJudge | None = None

    def judge(self, block: Block) -> Done:
        """Judge a block and write its part. If the engine fails as a whole, it is opened once more."""
        for last in (False, True):
            try:
                if self._judge is None:
                    self._judge = self.job.open()
                return self._part(self._judge, block)
            except MeneError as error:
                usage = isinstance(error, UsageError)
                if last or usage:
                    return Done(failure=str(error), usage=usage)
                if self._judge is not None:
                    self._judge.close()
                    self._judge = None
            except Exception as error:  # Ray would replace it by a message of its own
                return Done(failure=f"a worker failed: {type(error).__name__}: {error}")
        raise AssertionError

    def _part(self, judge: AnyJudge, block: Block) -> Done:
        job, told = self.job, _Told(block.mark, self.tell)
        rows = list(_rows(job, block, pickle.loads(block.raw)))
        if read := dict.fromkeys(pair for row in rows for pair in row.read_as):
            names = ", ".join(f'"{column}" as {field}' for column, field in read)
            told.warnings.append(f"Note: read {names} (--map FIELD=COLUMN for another column)")
        ledger = Path(job.work) / f"{block.mark}.jsonl"
        ledger.parent.mkdir(parents=True, exist_ok=True)
        try:
            verdicts, summaries = self._verdicts(judge, rows, ledger, told)
        except LedgerError as error:
            if IN_USE not in str(error):
                raise
            # Another worker holds the ledger: Ray has given it up, but it runs on, on an unreachable machine.
            with tempfile.TemporaryDirectory(prefix="mene-") as own:
                verdicts, summaries = self._verdicts(judge, rows, Path(own) / ledger.name, told)
        for verdict in verdicts:
            verdict.say(row=(verdict.row or 0) + block.first)
        name = job.part_name(block)
        size = write_part(joined(job.folder, name), verdicts, job.form)
        ledger.unlink(missing_ok=True)
        part = Part(
            name=name, file=block.file, first=block.first, rows=block.rows, mark=block.mark,
            size=size, summaries={name: sums(one) for name, one in summaries.items()},
            overall=counted(verdicts, job.criteria),
        )  # fmt: skip
        error = next((v.error for v in verdicts if v.error is not None), "")
        return Done(part, first_error=error, warnings=told.warnings)

    def _verdicts(
        self, judge: AnyJudge, rows: Sequence[Row], ledger: Path, told: _Told
    ) -> tuple[list[Verdict], dict[str, Summary]]:
        """Return one verdict per row and criterion, in order, and criterion -> sums, from a run on this machine."""
        if self.index is not None and not ledger.exists():
            _write_known(ledger, rows, self.index)
        summaries: dict[str, Summary] = {}
        # Rows with shared text are adjacent, so that it is read once.
        run(
            judge,
            self.job.criteria,
            sorted(rows, key=_texts),
            ledger,
            columns=self.job.columns,
            explaining=self.job.explaining,
            events=told,
            summaries=summaries,
        )
        verdicts = list(read_verdicts(ledger))
        if len(verdicts) != len(rows):
            raise LedgerError(
                f"{ledger}: {len(verdicts)} verdicts where {len(rows)} are due; remove this file and run the same command again"
            )
        return verdicts, summaries


class _Told:
    """Listens to the events of a block: reports its progress at intervals, and keeps its first warnings."""

    def __init__(self, mark: str, tell: Callable[[str, int], None]) -> None:
        self.warnings: list[str] = []
        self._mark, self._tell = mark, tell
        self._rows, self._last = 0, time.monotonic()

    def __call__(self, event: Event) -> None:
        match event:
            case Advance(_, by):
                self._rows += by
                if time.monotonic() - self._last > TOLD_S:
                    self._last = time.monotonic()
                    self._tell(self._mark, self._rows)
            case Warn(text) if len(self.warnings) < WARNINGS:
                self.warnings.append(text)


def _rows(job: Job, block: Block, raws: Sequence[Raw]) -> Iterator[Row]:
    """Yield the rows of a block, once per criterion, numbered from 0, since a ledger reserves a place for every lower
    number."""
    table = told_apart(job.files)[block.file] if len(job.files) > 1 else ""
    for number, raw in enumerate(raws):
        place = block.first + number
        name = f"{table}:{place + 1}" if table else None
        for criterion in job.criteria:
            row = row_of(place, raw, job.columns, criterion, criterion.shown, name)
            yield row._replace(number=number)


@lru_cache(maxsize=1)
def told_apart(files: tuple[str, ...]) -> list[str]:
    """Return the names of tables: the ends of their paths, as long as needed so that no two are the same."""
    names = [""] * len(files)
    alike: dict[str, list[int]] = {"": list(range(len(files)))}
    for length in count(1):
        again: defaultdict[str, list[int]] = defaultdict(list)
        for number in chain.from_iterable(some for some in alike.values() if len(some) > 1):
            parts = files[number].replace(os.sep, "/").split("/")
            names[number] = "/".join(parts[-length:])
            if length < len(parts):
                again[names[number]].append(number)
        if not again:
            return names
        alike = again
    raise AssertionError


def _texts(row: Row) -> tuple[str, ...]:
    one = row.sample
    if one is None:
        return ()
    return tuple(text or "" for text in (one.context, one.instruction, one.reference))


def _write_known(ledger: Path, rows: Sequence[Row], index: Index) -> None:
    """Start a ledger with the verdicts of earlier parts on these rows."""
    places: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        if row.sample is not None and row.criterion is not None:
            places[row.sample.content, row.criterion.name].append(row.number + 1)
    lines, turn = [], defaultdict(int)
    most = ALIKE * len({name for _, name in places})
    for verdict in index.verdicts({content: None for content, _ in places}, most):
        asked = verdict.content, verdict.criterion
        if own := places.get(asked):
            verdict.say(row=own[turn[asked] % len(own)], earlier=False)
            turn[asked] += 1
            lines.append(verdict.to_json())
    if lines:
        write_whole(ledger, "".join(f"{line}\n" for line in lines))
