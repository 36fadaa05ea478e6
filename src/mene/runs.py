"""A run: a table of samples in, a ledger of verdicts out, and the sums a user wants at its end."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mene.combine import SAME_TEXT
from mene.criterion import Criterion
from mene.errors import UsageError
from mene.explain import UNSURE, Chosen, Explaining, explained
from mene.judge import CriterionOf, Judge
from mene.jury import Jury
from mene.ledger import Ledger
from mene.sample import Sample
from mene.tables import Row, has_field, lacking
from mene.verdict import Usage, Verdict
from mene.visible import visible


def to_stderr(text: str) -> None:
    """Print what a user should know; standard output is for results."""
    print(visible(text), file=sys.stderr)


@dataclass
class Summary:
    """Sums over the verdicts of a run.

    Attributes:
        rows: rows of the table; ``judged`` of them now, ``reused`` from the ledger.
        errors: rows without a verdict.
        labels: label -> rows; without ``even``, pairs of two times the same text.
        seconds: from the first row to the last, model loading not counted.
        usage: tokens of the rows judged now.
        unsure: rows whose label has a probability under 0.6.
        explained: rows that have the critique that was asked for, ``written`` of them now.
        unexplained: rows that would have got one but for the limit; ``unwritten``: those of which it could not be written.
        reconsidered: labels that changed behind a critique.
        explaining_s: seconds that critiques took.
    """

    rows: int = 0
    judged: int = 0
    reused: int = 0
    errors: int = 0
    duplicates: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=lambda: [0.0, 0.0])  # sum, count
    confidences: list[float] = field(default_factory=lambda: [0.0, 0.0])
    orders: list[int] = field(default_factory=lambda: [0, 0])  # consistent, asked in both orders
    unsure: int = 0
    even: int = 0
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    explained: int = 0
    written: int = 0
    unexplained: int = 0
    unwritten: int = 0
    reconsidered: int = 0
    explaining_s: float = 0.0

    def add(self, verdict: Verdict, times: int = 1) -> None:
        """Count one verdict's answer; ``times`` = -1 takes it back."""
        if verdict.error is not None:
            self.errors += times
            return
        if SAME_TEXT in verdict.notes and verdict.label != "tie":
            self.even += times  # nobody has won
            return
        self.labels[verdict.label or ""] += times
        if verdict.score is not None:
            self.scores[0] += verdict.score * times
            self.scores[1] += times
        if verdict.confidence is not None:
            self.confidences[0] += verdict.confidence * times
            self.confidences[1] += times
            self.unsure += (verdict.confidence < UNSURE) * times
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
            "errors": self.errors,
            "labels": dict(self.labels.most_common()),
            "mean_score": self.mean_score,
            "mean_confidence": self.mean_confidence,
            "unsure": self.unsure,
            "consistent": self.orders[0] if self.orders[1] else None,
            "both_orders": self.orders[1],
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


NO_REASONS = Explaining("none")


def check_columns(path: str, criterion: Criterion, names: dict[str, str]) -> None:
    """Refuse a file that cannot be judged at all, before any time is spent.

    Raises:
        UsageError: names the missing column and how to map another one.
    """
    missing, available = lacking(path, criterion.needs, names)
    if not missing:
        return
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
    raise UsageError(
        f'{path}: no column for "{need}", which {name} needs{compares}{single}; the columns are '
        f"{', '.join(' '.join(c.split()) for c in available[:30])}; say which one it is with --map {need}=COLUMN"
    )


def run(
    judge: Judge | Jury,
    criterion: Criterion | CriterionOf,
    rows: Iterable[Row | None],
    output: Path | None,
    *,
    name: str | None = None,
    limit: int | None = None,
    sample: bool = False,
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
        limit: only the first rows.
        sample: the rows are some of a larger table, and verdicts on others stay in the ledger.
        on_verdict: called with every new verdict as it comes.
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
    summary = summary or Summary()
    name = criterion.name if isinstance(criterion, Criterion) else name or "custom"
    broken: list[tuple[int, Verdict]] = []
    seen: set[int] = set()

    def samples() -> Iterator[tuple[int, Sample] | None]:
        for row in rows:
            if row is None:
                yield None
                continue
            if limit is not None and row.number >= limit:
                return
            summary.rows += 1
            if row.sample is None:
                broken.append((row.number, _broken(row, judge.name, name)))
                continue
            mark = hash(row.sample.id)
            summary.duplicates += mark in seen
            seen.add(mark)
            yield row.number, row.sample

    if explaining.which != "none" and not isinstance(judge, Judge):
        raise UsageError("a jury has no reasons of its own: explain the verdicts of one judge")
    ledger = Ledger(output, judge.name, name, warn) if output else None
    criterion_of = criterion if callable(criterion) else lambda sample: criterion
    chosen = Chosen(explaining.limit)
    under_way: dict[int, Sample] = {}  # rows that may get a critique, until their verdict is there

    def known(position: int, sample: Sample, key: str) -> bool:
        if ledger is None or (found := ledger.take(position, sample.id, key)) is None:
            if explaining.which != "none":
                under_way[position] = sample
            return False
        own = criterion_of(sample)
        verdict = judge.calibrated(found, own)
        if verdict is not found:
            ledger.append(position, verdict)
        if explaining.selects(verdict, own):
            chosen.add(position, sample, verdict)
        summary.reused += 1
        summary.add(verdict)
        on_reused(verdict)
        return True

    def record(position: int, verdict: Verdict) -> None:
        if ledger is not None:
            ledger.append(position, verdict)
        summary.judged += verdict.error is None
        summary.spend(verdict.usage)
        summary.add(verdict)
        sample = under_way.pop(position, None)
        if sample is None or not explaining.selects(verdict, criterion_of(sample)):
            on_verdict(verdict)
            return
        # A line of a ledger can be written again. What is handed on can not: without a ledger it waits for its critique.
        left_out = chosen.add(position, sample, verdict)
        if ledger is not None:
            on_verdict(verdict)
        elif left_out is not None:
            on_verdict(left_out)

    def add_critiques(judge: Judge) -> None:
        summary.unexplained = chosen.left_out
        on_chosen(len(chosen))
        start = time.perf_counter()
        try:
            for position, before, after, error in explained(
                judge, chosen, criterion_of, explaining
            ):
                if after is None:
                    summary.unwritten += 1
                    warn(f"{before.id}: no critique: {error}")
                if ledger is None:
                    on_verdict(after or before)
                elif after is not None and after is not before:
                    ledger.append(position, after)
                chosen.finish(position)
                if after is not None:
                    summary.explain(before, after, new=after is not before)
                    on_explained(after)
        finally:
            summary.explaining_s = time.perf_counter() - start

    start = time.perf_counter()
    try:
        try:
            with closing(judge.stream(samples(), criterion, known)) as verdicts:  # type: ignore[type-var]
                for position, verdict in verdicts:
                    while broken:
                        record(*broken.pop(0))
                    record(position, verdict)
                while broken:
                    record(*broken.pop(0))
        finally:
            summary.seconds = time.perf_counter() - start
        if len(chosen) and isinstance(judge, Judge):
            add_critiques(judge)
        if ledger is not None:
            ledger.finish(whole=not sample)
    finally:
        if ledger is not None:
            ledger.close()
        else:  # stopped: what has no critique is a verdict all the same
            for _, _, verdict in chosen:
                on_verdict(verdict)
    return summary


def _broken(row: Row, judge: str, criterion: str) -> Verdict:
    return Verdict(
        id=row.id or str(row.number + 1), criterion=criterion, judge=judge, error=row.error
    )
