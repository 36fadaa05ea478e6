"""A run: a table of samples in, a ledger of verdicts out, and the sums a user wants at its end."""

from __future__ import annotations

import math
import time
from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from mene.criterion import FREE, Criterion
from mene.errors import UsageError
from mene.judge.any_judge import AnyJudge, CriterionOf
from mene.judge.combine import SAME_TEXT
from mene.judge.explain import NO_JURY, UNSURE, Chosen, Explaining, before_reconsidering, explained
from mene.judge.judge import Judge
from mene.runs.ledger import Ledger, ascending
from mene.runs.tables import Row, check_mapped, has_field, lacking, listed
from mene.sample import Sample
from mene.text.visible import to_stderr
from mene.verdict import Usage, Verdict, whole_characters


@dataclass
class Summary:
    """Sums over the verdicts of a run.

    Attributes:
        rows: rows of the table, while the run goes those read so far; ``judged`` of them now, ``reused`` from the ledger.
        taken: (file, judge) -> how many of those ``reused`` are that judge's, or of another file.
        errors: rows without a verdict.
        labels: label -> rows; without ``even``, pairs of two times the same text, and ``abstained``, rows left to a person.
        seconds: from the first row to the last, model loading not counted.
        usage: tokens of the rows judged now.
        pointwise: pairs whose responses were judged alone, so that no order could sway it.
        unsure: rows whose label has a probability under 0.6.
        explained: rows that have the critique that was asked for, ``written`` of them now.
        unexplained: rows that would have got one but for the limit; ``unwritten``: those of which it could not be written.
        reconsidered: labels that changed behind a critique.
        explaining_s: seconds that critiques took.
        empty: rows with an empty response, which is an answer too, and judged.
        unkept: all rows failed, and the file keeps its earlier verdicts instead of the errors (see ``Ledger.finish``).
    """

    rows: int = 0
    judged: int = 0
    reused: int = 0
    taken: Counter[tuple[Path, str]] = field(default_factory=Counter)
    errors: int = 0
    duplicates: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=lambda: [0.0, 0.0])  # sum, count
    confidences: list[float] = field(default_factory=lambda: [0.0, 0.0])
    orders: list[int] = field(default_factory=lambda: [0, 0])  # consistent, asked in both orders
    pointwise: int = 0
    unsure: int = 0
    even: int = 0
    abstained: int = 0
    empty: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    explained: int = 0
    written: int = 0
    unexplained: int = 0
    unwritten: int = 0
    reconsidered: int = 0
    explaining_s: float = 0.0
    unkept: bool = False

    def add(self, verdict: Verdict, times: int = 1) -> None:
        """Count one verdict's answer; ``times`` = -1 takes it back."""
        if verdict.error is not None:
            self.errors += times
            return
        self.empty += times * any(map(is_empty_response, verdict.notes))
        if SAME_TEXT in verdict.notes and verdict.label != "tie":
            self.even += times  # nobody has won
            return
        if verdict.abstained:
            self.abstained += times
            return
        self.labels[verdict.label or ""] += times
        if verdict.score is not None:
            self.scores[0] += verdict.score * times
            self.scores[1] += times
        if verdict.confidence is not None:
            self.confidences[0] += verdict.confidence * times
            self.confidences[1] += times
            self.unsure += (verdict.confidence < UNSURE) * times
        self.pointwise += (verdict.compare == "pointwise") * times
        if verdict.consistent is not None:
            self.orders[0] += verdict.consistent * times
            self.orders[1] += times

    def explain(self, before: Verdict, after: Verdict, new: bool) -> None:
        """Count a critique, and the label behind it where it was reconsidered."""
        self.explained += 1
        if new:
            self.written += 1
            self.spend(after.usage - before.usage)
        self.reconsidered += after.first is not None and after.first.label != after.label
        self.add(before, -1)
        self.add(after)

    def spend(self, usage: Usage) -> None:
        """Count one verdict's price."""
        self.usage.prompt_tokens += usage.prompt_tokens
        self.usage.cached_tokens += usage.cached_tokens
        self.usage.completion_tokens += usage.completion_tokens

    @property
    def done(self) -> int:
        """Rows that have a verdict, or an error."""
        return self.judged + self.reused + self.errors

    def stop(self, rows: int | None) -> None:
        """The run ends here. Rows are read ahead, so those of the table are what it was stopped in; None: nobody knows."""
        self.rows = self.done if rows is None else rows

    @property
    def mean_score(self) -> float | None:
        """Mean of the scores, ordinal scales only."""
        return self.scores[0] / self.scores[1] if self.scores[1] else None

    @property
    def mean_confidence(self) -> float | None:
        """Mean probability of the chosen labels."""
        return self.confidences[0] / self.confidences[1] if self.confidences[1] else None

    @property
    def rate(self) -> float:
        """Judgements per second."""
        return self.judged / self.seconds if self.seconds else math.nan

    def to_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "rows": self.rows,
            "judged": self.judged,
            "reused": self.reused,
            "taken": [
                {"file": str(file), "judge": judge, "rows": rows}
                for (file, judge), rows in self.taken.items()
            ],
            "errors": self.errors,
            "abstained": self.abstained,
            "labels": dict(self.labels.most_common()),
            "mean_score": self.mean_score,
            "mean_confidence": self.mean_confidence,
            "unsure": self.unsure,
            "empty": self.empty,
            "consistent": self.orders[0] if self.orders[1] else None,
            "both_orders": self.orders[1],
            "pointwise": self.pointwise,
            "explained": self.explained,
            "written": self.written,
            "unexplained": self.unexplained,
            "unwritten": self.unwritten,
            "reconsidered": self.reconsidered,
            "seconds": round(self.seconds, 3),
            "explaining_seconds": round(self.explaining_s, 3),
            "judgements_per_second": round(self.rate, 3) if self.judged else None,
            "tokens": {
                "read": self.usage.prompt_tokens - self.usage.cached_tokens,
                "reused": self.usage.cached_tokens,
                "written": self.usage.completion_tokens,
            },
        }


FIRST = 20  # rows of a pipe, see ``check_first``
NO_REASONS = Explaining("none")


def check_columns(path: str, criterion: Criterion, names: dict[str, str]) -> None:
    """Refuse a file that cannot be judged at all, before any time is spent.

    Raises:
        UsageError: names all missing columns and how to map others.
    """
    _refuse(path, criterion, names, *lacking(path, _wanted(criterion, names), names))


def check_first(
    rows: Iterable[Row | None],
    criterion: Criterion,
    names: dict[str, str],
    path: str = "standard input",
) -> Iterator[Row | None]:
    """The same of a pipe, which can be read only once: of what comes at once, the first ``FIRST`` rows. All rows are handed on.

    Args:
        rows: as of ``tables.live``. Where nobody writes for now, what has come is not held back: who writes may wait for its
            verdict.

    Raises:
        UsageError: as of ``check_columns``.
    """
    coming = iter(rows)
    held: list[Row | None] = []
    columns: dict[str, None] = {}
    for row in coming:
        if row is None and not held:
            continue  # the first has not come yet
        held.append(row)
        if row is None or row.sample is not None:
            break
        columns.update(dict.fromkeys(row.columns))
        if len(held) == FIRST:
            break
    if columns and not any(row is None or row.sample is not None for row in held):
        wanted = _wanted(criterion, names)
        missing = [field for field in wanted if not has_field(field, columns, names)]
        _refuse(path, criterion, names, missing, list(columns))
    return chain(held, coming)


def _wanted(criterion: Criterion, names: dict[str, str]) -> tuple[str, ...]:
    """Fields that a table must have: those that the criterion needs, and all of ``--map``."""
    return tuple(dict.fromkeys((*criterion.needs, *names)))


def _refuse(
    path: str,
    criterion: Criterion,
    names: dict[str, str],
    missing: Sequence[str],
    available: Sequence[str],
) -> None:
    if not missing:
        return
    check_mapped(path, names, missing, available)
    need = next((field for field in missing if field.startswith("response")), missing[0])
    name = criterion.name
    pair = has_field("response_a", available, names) and has_field("response_b", available, names)
    if need == "response" and pair:
        raise UsageError(
            f"{path}: its rows are pairs (response_a and response_b), and {name} judges one response; use a criterion "
            "that compares two, like -c preference, or choose one of them with --map response=COLUMN"
        )
    single = " (its rows have one response)" if has_field("response", available, names) else ""
    compares = " to compare two" if criterion.scale.kind == "pairwise" else ""
    fields = " and ".join(f'"{field}"' for field in missing)
    which = "which one it is" if len(missing) == 1 else "which they are"
    options = " ".join(f"--map {field}=COLUMN" for field in missing)
    raise UsageError(
        f"{path}: no column for {fields}, which {name} needs{compares}{single}; the columns are "
        f"{listed(available)}; say {which} with {options}"
    )


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
    on_chosen: Callable[[int], None] = lambda rows: None,
    on_explained: Callable[[Verdict], None] = lambda verdict: None,
    warn: Callable[[str], None] = to_stderr,
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
        on_chosen: called with the number of these rows, before the first critique.
        on_explained: called with every verdict that has its critique, new or found in the ledger. Without a ledger a row that
            gets a critique goes to ``on_verdict`` only then.
        warn: told about repairs and oddities.
        summary: filled in as the run goes, so that a caller has it after an interruption.

    Returns:
        The summary over all rows, those found in the ledger included.
    """
    if explaining.which != "none" and len(judge.judges) > 1:
        raise UsageError(NO_JURY)
    name = criterion.name if isinstance(criterion, Criterion) else name or FREE
    ledger = Ledger(output, judge.name, name, warn, overwrite, others) if output else None
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
    )
    start, loaded = time.perf_counter(), _loading(judge)
    try:
        try:
            going.judge_rows(rows, limit)
        finally:
            loading = _loading(judge) - loaded  # a judge that has had a run is loaded already
            going.summary.seconds = time.perf_counter() - start - loading
        if len(going.chosen):
            on_chosen(len(going.chosen))
            going.add_critiques(judge.judges[0], on_explained, warn)
        if ledger is not None:
            going.summary.unkept = not ledger.finish()
    finally:
        if ledger is not None:
            ledger.close()
        going.hand_on_the_rest()
    return going.summary


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
    ) -> None:
        self.judge, self.criterion, self.name = judge, criterion, name
        self.columns = dict(columns)
        self.ledger, self.explaining, self.summary = ledger, explaining, summary
        self.on_verdict, self.on_reused = on_verdict, on_reused
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
        warn: Callable[[str], None],
    ) -> None:
        """Ask for the reasons of the rows that were chosen."""
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
                    warn(f"{before.id}: no critique: {error}")
                elif new and self.ledger is not None:
                    self.ledger.append(position, after)
                self.chosen.finish(position)
                if self.ledger is None:
                    self._in_order.add(position, after or before)
                if after is not None:
                    self.summary.explain(before, after, new=new)
                    on_explained(after)
        finally:
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


def is_empty_response(note: str) -> bool:
    """Is it the note of a verdict that a response had no text (``Judge.ask``)?"""
    return note.startswith("response") and note.endswith(" is empty")


def _loading(judge: AnyJudge) -> float:
    """Seconds in which models were loaded, at the first row that needed them."""
    return sum(getattr(each.engine, "loading_s", 0.0) for each in judge.judges)
