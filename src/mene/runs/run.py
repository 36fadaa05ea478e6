"""A run: a table of samples in, a ledger of verdicts out, and the sums a user wants at its end."""

from __future__ import annotations

import time
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

from mene.criterion import FREE, Criterion
from mene.errors import UsageError
from mene.events import Advance, Begin, Events, Stop, Warn, on_stderr, warner
from mene.judge.any_judge import AnyJudge, CriterionOf
from mene.judge.explain import explained
from mene.judge.explaining import NO_JURY, Chosen, Explaining
from mene.judge.judge import Judge
from mene.judge.reconsidered import before_reconsidering
from mene.runs.ledger import Ledger, ascending
from mene.runs.summary import Summary
from mene.runs.tables import Row
from mene.sample import Sample
from mene.verdict import Verdict, whole_characters

NO_REASONS = Explaining("none")


def run(
    judge: AnyJudge,
    criterion: Criterion | CriterionOf,
    rows: Iterable[Row | None],
    output: Path | None,
    *,
    name: str | None = None,
    columns: Mapping[str, str] | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    others: Iterable[Path] = (),
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    on_reused: Callable[[Verdict], None] = lambda verdict: None,
    explaining: Explaining = NO_REASONS,
    on_explained: Callable[[Verdict], None] = lambda verdict: None,
    events: Events = on_stderr,
    total: int | None = None,
    summary: Summary | None = None,
) -> Summary:
    """Judge a table.

    Args:
        judge: who judges.
        criterion: one for all rows, or a function that gives each sample's own.
        rows: the table; see ``tables.read_rows``, and ``tables.live`` for the Nones.
        output: the ledger; None = no file (``on_verdict`` gets everything all the same).
        name: of the criterion in the ledger, where every sample has its own.
        columns: those that ``rows`` were read from under other names (field -> column); a verdict says it, so that a report
            reads the table the same way.
        limit: only the first rows.
        overwrite: what the ledger holds is not used, and goes when there is a first verdict; nor is what ``others`` hold.
        others: further ledgers, of which verdicts with the same key are copied (``lent.ledgers_beside``).
        on_verdict: called with every new verdict as it comes; without a ledger in the order of the rows.
        on_reused: called with every verdict that was in the ledger already.
        explaining: which rows get a critique once all have their verdict.
        on_explained: called with every verdict that has its critique, new or found in the ledger. Without a ledger a row that
            gets a critique goes to ``on_verdict`` only then.
        events: told of the work ``name``, a step of which is a row, of that for critiques (``reasons_of``), and of repairs and
            oddities.
        total: rows that there are, where that is known, for whoever watches.
        summary: filled in as the run goes, so that a caller has it after an interruption.

    Returns:
        The summary over all rows, those found in the ledger included.
    """
    if explaining.which != "none" and len(judge.judges) > 1:
        raise UsageError(NO_JURY)
    name = criterion.name if isinstance(criterion, Criterion) else name or FREE
    ledger = Ledger(output, judge.name, name, warner(events), overwrite, others) if output else None
    going = _Run(
        judge,
        criterion,
        name,
        columns or {},
        ledger,
        explaining,
        summary or Summary(),
        on_verdict,
        on_reused,
        events,
    )
    start, loaded = time.perf_counter(), _loading(judge)
    events(Begin(name, total))
    try:
        try:
            going.judge_rows(rows, limit)
        finally:
            loading = _loading(judge) - loaded  # a judge that has had a run is loaded already
            going.summary.seconds = time.perf_counter() - start - loading
        if len(going.chosen):
            going.add_critiques(judge.judges[0], on_explained)
        if ledger is not None:
            going.summary.unkept = not ledger.finish()
    finally:
        if ledger is not None:
            ledger.close()
        going.hand_on_the_rest()
        events(Stop(name))
    return going.summary


def reasons_of(name: str) -> str:
    """What the events of a run call the writing of critiques."""
    return f"{name}: reasons"


class _Run:
    """A run under way: rows go out to the judge, verdicts come back in any order."""

    def __init__(
        self,
        judge: AnyJudge,
        criterion: Criterion | CriterionOf,
        name: str,
        columns: Mapping[str, str],
        ledger: Ledger | None,
        explaining: Explaining,
        summary: Summary,
        on_verdict: Callable[[Verdict], None],
        on_reused: Callable[[Verdict], None],
        events: Events,
    ) -> None:
        self.judge, self.criterion, self.name = judge, criterion, name
        self.columns = dict(columns)
        self.ledger, self.explaining, self.summary = ledger, explaining, summary
        self.on_verdict, self.on_reused, self.events = on_verdict, on_reused, events
        self.chosen = Chosen(explaining.limit)  # rows that get a critique
        self._under_way: dict[int, dict[str, Any]] = {}  # position -> names of the row
        self._samples: dict[int, Sample] = {}  # rows that may get a critique, until their verdict
        self._ids = array(
            "q"
        )  # hashes of those of all rows: 8 bytes each, where a set takes ten times that
        self._in_order = InOrder(on_verdict)  # where there is no file

    def criterion_of(self, sample: Sample) -> Criterion:
        return self.criterion(sample) if callable(self.criterion) else self.criterion

    def judge_rows(self, rows: Iterable[Row | None], limit: int | None) -> None:
        """Give every row its verdict."""
        samples = self._read(rows, limit)
        stream = self.judge.stream(samples, self.criterion, self._known, memory=self.ledger)
        try:
            with closing(stream) as verdicts:
                for position, verdict in verdicts:
                    self._record(position, verdict)
        finally:
            self.summary.duplicates = sum(a == b for a, b in pairwise(ascending(self._ids)))
            self._ids = array("q")  # the ledger needs the room now

    def _read(
        self, rows: Iterable[Row | None], limit: int | None
    ) -> Iterator[tuple[int, Sample] | None]:
        last, question = None, ""
        for row in rows:
            if row is None:
                yield None
                continue
            if limit is not None and row.number >= limit:
                return
            self.summary.rows += 1
            if self.ledger is None:
                self._in_order.expect(row.number)
            sample = row.sample
            names: dict[str, Any] = {
                "id": sample.id if sample else row.id or str(row.number + 1),
                "row": row.number + 1,
                "content": sample.content if sample else "",
                "criterion": self.name,
                "question": "",
                "columns": self.columns,
            }
            self._under_way[row.number] = names
            if sample is None:
                error = whole_characters(str(row.error))
                self._record(row.number, Verdict(judge=self.judge.name, error=error))
                continue
            own = self.criterion_of(sample)
            if own is not last:
                last, question = own, own.question if own.in_words else ""
            names["question"] = question
            self._ids.append(hash(sample.id))
            yield row.number, sample

    def _known(self, position: int, sample: Sample, key: str) -> bool:
        names = self._under_way[position]
        found = self.ledger.take(position, names, key) if self.ledger else None
        written = found
        if self.ledger is not None and found is None and len(self.judge.judges) == 1:
            found = self._borrowed(self.ledger, names, key)
        if self.ledger is None or found is None:
            if self.explaining.which != "none":
                self._samples[position] = sample
            return False
        del self._under_way[position]
        own = self.criterion_of(sample)
        verdict = self.judge.calibrated(found, own)
        if verdict is not written:
            self.ledger.append(position, verdict)
        if self.explaining.selects(verdict, own):
            self.chosen.add(position, sample, verdict)
        self.summary.reused += 1
        self.summary.add(verdict)
        self.on_reused(verdict)
        self.events(Advance(self.name))
        return True

    def _borrowed(self, ledger: Ledger, names: dict[str, Any], key: str) -> Verdict | None:
        lent = ledger.borrow(names, key)
        if lent is None:
            return None
        found, source = lent
        self.summary.taken[source] += 1
        return found if self.explaining.reconsider else before_reconsidering(found)

    def _record(self, position: int, verdict: Verdict) -> None:
        # No answer to a row ends the run: what cannot be written down becomes an error here.
        verdict = verdict.say(**self._under_way.pop(position)).sound()
        if self.ledger is not None:
            self.ledger.append(position, verdict)
        self.summary.judged += verdict.error is None
        self.summary.spend(verdict.usage)
        self.summary.add(verdict)
        self.events(Advance(self.name))
        sample = self._samples.pop(position, None)
        if sample is None or not self.explaining.selects(verdict, self.criterion_of(sample)):
            self._hand_on(position, verdict)
            return
        # A line of a ledger can be written again. What is handed on can not: without a ledger it waits for its critique.
        left_out = self.chosen.add(position, sample, verdict)
        if self.ledger is not None:
            self.on_verdict(verdict)
        elif left_out is not None:
            self._hand_on(*left_out)

    def _hand_on(self, position: int, verdict: Verdict) -> None:
        if self.ledger is None:
            self._in_order.add(position, verdict)
        else:
            self.on_verdict(verdict)

    def add_critiques(
        self,
        judge: Judge,
        on_explained: Callable[[Verdict], None],
    ) -> None:
        """Ask for the reasons of the rows that were chosen."""
        work = reasons_of(self.name)
        self.events(Begin(work, len(self.chosen)))
        self.summary.unexplained = self.chosen.left_out
        start = time.perf_counter()
        try:
            for position, before, after, error in explained(
                judge, self.chosen, self.criterion_of, self.explaining
            ):
                new = after is not None and after is not before
                if after is not None and new and (said := after.mistake()):
                    after, error = None, said
                if after is None:
                    self.summary.unwritten += 1
                    self.events(Warn(f"{before.id}: no critique: {error}"))
                elif new and self.ledger is not None:
                    self.ledger.append(position, after)
                self.chosen.finish(position)
                if self.ledger is None:
                    self._in_order.add(position, after or before)
                if after is not None:
                    self.summary.explain(before, after, new=new)
                    on_explained(after)
                self.events(Advance(work))
        finally:
            self.events(Stop(work))
            self.summary.explaining_s = time.perf_counter() - start

    def hand_on_the_rest(self) -> None:
        """Where a run without a file was stopped: what has no critique is a verdict all the same."""
        if self.ledger is None:
            for position, _, verdict in self.chosen:
                self._in_order.add(position, verdict)
            self._in_order.flush()


class InOrder:
    """Hands verdicts on in the order in which their rows were read."""

    def __init__(self, hand_on: Callable[[Verdict], None]) -> None:
        self._hand_on = hand_on
        self._rows: deque[int] = deque()
        self._waiting: dict[int, Verdict] = {}

    def expect(self, position: int) -> None:
        """A row was read."""
        self._rows.append(position)

    def add(self, position: int, verdict: Verdict) -> None:
        """Take a verdict, and hand on all whose turn it is."""
        self._waiting[position] = verdict
        while self._rows and self._rows[0] in self._waiting:
            self._hand_on(self._waiting.pop(self._rows.popleft()))

    def flush(self) -> None:
        """Hand on what is there; rows without a verdict are passed over."""
        rows, self._rows = self._rows, deque()
        for position in rows:
            if position in self._waiting:
                self._hand_on(self._waiting.pop(position))


def _loading(judge: AnyJudge) -> float:
    """Seconds in which models were loaded, at the first row that needed them."""
    return sum(getattr(each.engine, "loading_s", 0.0) for each in judge.judges)
