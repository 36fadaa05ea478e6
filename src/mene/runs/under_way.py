"""A run in progress: every row is asked about by every criterion, and the verdicts come back in any order."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, NamedTuple

from mene.criterion import Criterion
from mene.events import Advance, Begin, Events, Stop, Warn
from mene.judge.any_judge import AnyJudge, Task
from mene.judge.explain import explained
from mene.judge.explaining import Chosen, Explaining
from mene.judge.judge import Judge
from mene.judge.reconsidered import before_reconsidering
from mene.runs.in_order import InOrder
from mene.runs.ledger import Ledger, ascending
from mene.runs.summary import Summary
from mene.runs.tables import Row
from mene.sample import Sample
from mene.verdict import Verdict, whole_characters

# In a section, every row has its own criterion, and these facts about it are not stored.
NO_FACTS = {"question": "", "scale": "", "failing": []}


def work_of(scopes: Iterable[str]) -> str:
    """Return the name of a run's work in its events."""
    return ", ".join(scopes)


def reasons_of(work: str) -> str:
    """Return the name of the writing of critiques in a run's events."""
    return f"{work}: reasons"


class _Question(NamedTuple):
    """The question at a position: its criterion, and the fields that identify its verdict in the ledger."""

    criterion: Criterion
    names: dict[str, Any]


@dataclass
class UnderWay:
    """A run in progress. ``run.run`` explains its attributes; ``summaries`` has one entry per scope.

    The position of a question is its row's place in the table, times the number of scopes, plus the index of its scope.
    """

    judge: AnyJudge
    section: str
    scopes: tuple[str, ...]
    columns: Mapping[str, str]
    ledger: Ledger | None
    explaining: Explaining
    summaries: list[Summary]
    on_verdict: Callable[[Verdict], None]
    on_reused: Callable[[Verdict], None]
    events: Events
    # Samples of rows that may get a critique, until their verdict is there.
    _samples: dict[int, Sample] = field(default_factory=dict)
    _under_way: dict[int, _Question] = field(default_factory=dict)
    # Hashes of all ids: 8 bytes each, a tenth of what a set takes.
    _ids: array[int] = field(default_factory=lambda: array("q"))

    def __post_init__(self) -> None:
        self.work = work_of(self.scopes)
        # The rows that get a critique.
        self.chosen = [Chosen(self.explaining.limit) for _ in self.scopes]
        self._in_order = InOrder(self.on_verdict)  # used where there is no file

    def _summary(self, position: int) -> Summary:
        return self.summaries[position % len(self.scopes)]

    def _chosen(self, position: int) -> Chosen:
        return self.chosen[position % len(self.scopes)]

    def judge_rows(self, rows: Iterable[Row | None], limit: int | None) -> None:
        """Judge all rows."""
        stream = self.judge.stream(self._tasks(rows, limit), self._known, memory=self.ledger)
        try:
            with closing(stream) as verdicts:
                for position, verdict in verdicts:
                    self._record(position, verdict)
        finally:
            duplicates = sum(a == b for a, b in pairwise(ascending(self._ids)))
            for summary in self.summaries:
                summary.duplicates = duplicates
            self._ids = array("q")  # frees memory for the ledger

    def _tasks(self, rows: Iterable[Row | None], limit: int | None) -> Iterator[Task | None]:
        counted = -1  # the last row whose id was counted
        columns = dict(self.columns)
        for row in rows:
            if row is None:
                yield None
                continue
            if limit is not None and row.number >= limit:
                return
            sample, criterion = row.sample, row.criterion
            assert criterion is not None
            which = self.scopes.index(self.section or criterion.name)
            position = row.number * len(self.scopes) + which
            self._summary(position).rows += 1
            if self.ledger is None:
                self._in_order.expect(position)
            names: dict[str, Any] = {
                "id": sample.id if sample else row.id or str(row.number + 1),
                "row": row.number + 1,
                "content": sample.content if sample else "",
                "criterion": criterion.name,
                **(NO_FACTS if self.section else criterion.facts),
                "section": self.section,
                "columns": columns,
            }
            self._under_way[position] = _Question(criterion, names)
            if sample is None:
                error = whole_characters(str(row.error))
                self._record(position, Verdict(judge=self.judge.name, error=error))
                continue
            if row.number != counted:
                counted = row.number
                self._ids.append(hash(sample.id))
            yield position, sample, criterion

    def _known(self, position: int, sample: Sample, key: str) -> bool:
        criterion, names = self._under_way[position]
        found = self.ledger.take(position, names, key) if self.ledger else None
        written = found
        if self.ledger is not None and found is None and len(self.judge.judges) == 1:
            found = self._borrowed(self.ledger, position, key)
        if self.ledger is None or found is None:
            if self.explaining.which != "none":
                self._samples[position] = sample
            return False
        del self._under_way[position]
        verdict = self.judge.calibrated(found, criterion)
        if verdict is not written:
            self.ledger.append(position, verdict)
        if self.explaining.selects(verdict, criterion):
            self._chosen(position).add(position, sample, criterion, verdict)
        summary = self._summary(position)
        summary.reused += 1
        summary.add(verdict)
        self.on_reused(verdict)
        self.events(Advance(self.work))
        return True

    def _borrowed(self, ledger: Ledger, position: int, key: str) -> Verdict | None:
        lent = ledger.borrow(self._under_way[position].names, key)
        if lent is None:
            return None
        found, source = lent
        self._summary(position).taken[source] += 1
        return found if self.explaining.reconsider else before_reconsidering(found)

    def _record(self, position: int, verdict: Verdict) -> None:
        criterion, names = self._under_way.pop(position)
        # No single answer ends the run: a verdict that cannot be written becomes an error here.
        verdict = verdict.say(**names).sound()
        if self.ledger is not None:
            self.ledger.append(position, verdict)
        summary = self._summary(position)
        summary.judged += verdict.error is None
        summary.spend(verdict.usage)
        summary.add(verdict)
        self.events(Advance(self.work))
        sample = self._samples.pop(position, None)
        if sample is None or not self.explaining.selects(verdict, criterion):
            self._hand_on(position, verdict)
            return
        # A ledger's line can be rewritten, output cannot: without a ledger, a verdict waits for its critique.
        left_out = self._chosen(position).add(position, sample, criterion, verdict)
        if self.ledger is not None:
            self.on_verdict(verdict)
        elif left_out is not None:
            self._hand_on(*left_out)

    def _hand_on(self, position: int, verdict: Verdict) -> None:
        if self.ledger is None:
            self._in_order.add(position, verdict)
        else:
            self.on_verdict(verdict)

    @property
    def left_to_explain(self) -> int:
        """Return the number of rows that should get a critique and have none yet."""
        return sum(map(len, self.chosen))

    def add_critiques(self, judge: Judge, on_explained: Callable[[Verdict], None]) -> None:
        """Write the critiques of the chosen rows."""
        work = reasons_of(self.work)
        self.events(Begin(work, self.left_to_explain))
        for summary, chosen in zip(self.summaries, self.chosen, strict=True):
            summary.unexplained = chosen.left_out
        start = time.perf_counter()
        try:
            for position, before, after, error in explained(
                judge, chain.from_iterable(self.chosen), self.explaining
            ):
                new = after is not None and after is not before
                if after is not None and new and (said := after.mistake()):
                    after, error = None, said
                summary = self._summary(position)
                if after is None:
                    summary.unwritten += 1
                    self.events(Warn(f"{before.id}: no critique: {error}"))
                elif new and self.ledger is not None:
                    self.ledger.append(position, after)
                self._chosen(position).finish(position)
                if self.ledger is None:
                    self._in_order.add(position, after or before)
                if after is not None:
                    summary.explain(before, after, new=new)
                    on_explained(after)
                self.events(Advance(work))
        finally:
            self.events(Stop(work))
            for summary in self.summaries:
                summary.explaining_s = time.perf_counter() - start

    def hand_on_the_rest(self) -> None:
        """After an interruption of a run without a file: pass on the verdicts that still wait for a critique."""
        if self.ledger is None:
            for position, _, _, verdict in chain.from_iterable(self.chosen):
                self._in_order.add(position, verdict)
            self._in_order.flush()
