"""One pass over verdicts that collects what a page shows: counts, compact columns and a few example rows.

Files of 100,000 verdicts are summed up while they are read: numbers go into arrays, and of the verdicts themselves only the
rows of the tables are kept. No HTML here.
"""

from __future__ import annotations

import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import numpy as np

from mene.criterion import Criterion
from mene.criterion_behind import behind, told
from mene.judge.combine import SAME_TEXT
from mene.report.summary import Box, Row, Summary
from mene.sample import Sample
from mene.scale import Scale
from mene.stats.agreement import Agreement, agreement
from mene.stats.columns import (
    Floats,
    finite_mean,
    gold_codes,
    guess_scale,
    label_codes,
    label_counts,
)
from mene.stats.shared import shared
from mene.verdict import Verdict

ROWS = 50  # per table
_BOXES = 20  # of the confidence histogram
_STRANGE = 6  # maximum number of off-scale gold labels to list


def summarise(
    verdicts: Iterable[Verdict],
    golds: Mapping[Any, Any] | None = None,
    texts: Mapping[Any, Sample] | None = None,
    row_of: Callable[[Verdict], Any] = lambda verdict: verdict.id,
    of: str | Collection[str] | None = None,
) -> list[Summary]:
    """Sum up verdicts by criterion and judge, in the order they first appear.

    Args:
        verdicts: read once.
        golds: row -> gold label, or a number on an ordinal scale.
        texts: row -> sample, for the example rows. Samples that share a ``context``, or all their text, form one cluster in
            the intervals; lengths of pairs add a baseline.
        row_of: returns the key of a verdict's row in ``golds`` and ``texts``; default: its id (``Join.place`` resolves
            repeated ids). Called once per verdict.
        of: the criterion or criteria (names, or questions in words) that ``golds`` are about; None: any with these labels on
            its scale. One column of labels can answer only one question: see ``labels.doubtful``.
    """
    about = {of} if isinstance(of, str) else of
    golds, texts = golds or {}, texts or {}
    hints = list({(type(g), g): g for g in golds.values()}.values())
    sections: dict[tuple[str, str], _Section] = {}
    for verdict in verdicts:
        verdict = _sane(verdict)
        key = (verdict.scope, verdict.judge)
        section = sections.get(key)
        ours = about is None or verdict.criterion in about or verdict.question in about
        if section is None:
            section = sections[key] = _Section(verdict, hints if ours else [])
        row = row_of(verdict)
        section.add(verdict, golds.get(row) if ours else None, texts.get(row))
    return [section.summary(*key) for key, section in sections.items()]


def _sane(verdict: Verdict) -> Verdict:
    """Return the verdict without invalid numbers: the file may come from anywhere."""
    v = verdict
    bad: dict[str, Any] = {}
    if v.confidence is not None and not 0 <= v.confidence <= 1.001:
        bad["confidence"] = None
    if v.probabilities and not all(0 <= p <= 1.001 for p in v.probabilities.values()):
        bad |= {"probabilities": None, "confidence": None}
    if v.score is not None and not abs(v.score) < 1e9:
        bad["score"] = None
    if not 0 <= v.latency_s < 1e9:
        bad["latency_s"] = 0.0
    return v.model_copy(update=bad) if bad else v


class _Section:
    """Collects one criterion by one judge."""

    def __init__(self, first: Verdict, hints: list[Any]) -> None:
        # In a section of a ledger, every row has its own criterion.
        self.name = "" if first.section else first.criterion
        self.told: Criterion | None = None
        self.hints = hints
        self.labels: list[str | None] = []
        self.golds: list[Any] = []
        self.words: dict[str, str] = {}  # one shared copy of every label
        self.columns: dict[str, array[float]] = {}  # label -> its probability in every row
        self.confidence, self.score, self.latency = array("d"), array("d"), array("d")
        self.alike: dict[int, int] = {}  # what rows share -> their cluster
        self.groups, self.lengths = array("q"), array("q")
        self.tokens: Counter[str] = Counter()
        self.even: list[int] = []  # rows with two identical responses
        self.abstained: list[int] = []  # rows left to a person
        self.question = self.column = ""
        self.failures: list[Row] = []
        self.uncertain, self.slow, self.wrong = _Top(), _Top(), _Top()
        self.scale: Scale | None = None

    def add(self, verdict: Verdict, gold: Any, sample: Sample | None) -> None:
        label, sure = verdict.label, verdict.confidence
        self.question = self.question or verdict.question
        said = told(verdict)
        if said is not None and said is not self.told:
            self.told, self.scale = said, None
        self.column = self.column or verdict.columns.get("label", "")
        self._probabilities(verdict.probabilities)
        if label is not None and label not in self.words:
            self.words[label] = label
            self.scale = None
        if verdict.abstained:
            self.abstained.append(len(self.labels))
        if label in ("A", "B") and SAME_TEXT in verdict.notes:
            self.even.append(len(self.labels))
        self.labels.append(None if label is None else self.words[label])
        self.golds.append(gold)
        self.confidence.append(np.nan if sure is None or label is None else sure)
        self.score.append(np.nan if verdict.score is None else verdict.score)
        self.latency.append(verdict.latency_s if verdict.error is None else np.nan)
        self._text(sample)
        usage = verdict.usage
        self.tokens.update(
            prompt=usage.prompt_tokens, cached=usage.cached_tokens, written=usage.completion_tokens
        )
        self.tokens.update(pointwise=int(verdict.compare == "pointwise"))
        if verdict.consistent is not None:
            self.tokens.update(pairs=1, consistent=int(verdict.consistent))

        row = Row(verdict, None if gold is None else _plain(gold), sample)
        if verdict.abstained:
            self.uncertain.add(-(sure or 0.0), row)
            return
        if label is None:
            if len(self.failures) < ROWS:
                self.failures.append(row)
            return
        if sure is not None:
            self.uncertain.add(-sure, row)
        if verdict.latency_s > 0:
            self.slow.add(verdict.latency_s, row)
        chosen = not self.even or self.even[-1] != len(self.labels) - 1
        if gold is not None and chosen and self._disagree(label, gold):
            self.wrong.add(0.0 if sure is None else sure, row)

    def _probabilities(self, given: dict[str, float] | None) -> None:
        for label in given or ():
            if label not in self.columns:
                rows = len(self.labels)
                old = next(iter(self.columns.values()), None)
                self.columns[label] = array(
                    "d", (np.nan if old is None or old[i] != old[i] else 0.0 for i in range(rows))
                )
                self.scale = None
        for label, column in self.columns.items():
            column.append(np.nan if given is None else given.get(label, 0.0))

    def _text(self, sample: Sample | None) -> None:
        # A row with unknown text is independent: it gets a cluster number of its own.
        group = -1 - len(self.labels)
        lengths = (0, 0)
        if sample is not None:
            group = self.alike.setdefault(hash(shared(sample)), len(self.alike))
            lengths = (len(sample.response_a or ""), len(sample.response_b or ""))
        self.groups.append(group)
        self.lengths.extend(lengths)

    def _known_scale(self) -> Scale | None:
        if self.scale is None:
            known = self._criterion()
            guess = guess_scale(self.columns, self.words, self.hints)
            self.scale = known.scale if known and guess else guess
        return self.scale

    def _criterion(self) -> Criterion | None:
        """Return the criterion; None where only the labels themselves are known."""
        return behind(self.told, self.name, self.question, {*self.columns, *self.words})

    def _failing(self) -> tuple[str, ...] | None:
        known = self._criterion()
        return known.failing if known else None

    def _disagree(self, label: str, gold: Any) -> bool:
        scale = self._known_scale()
        if scale is None or gold == label:
            return False
        wanted = int(gold_codes([gold], scale)[0][0])
        return wanted >= 0 and wanted != int(label_codes([label], scale)[0])

    def summary(self, criterion: str, judge: str) -> Summary:
        self.hints = [g for g in self.golds if g is not None]  # of this section only
        self.scale = None
        scale = self._known_scale()
        codes = np.full(len(self.labels), -1)
        wanted, given = codes, np.zeros(len(codes))
        if scale is not None:
            codes = label_codes(self.labels, scale)
            wanted, given = gold_codes(self.golds, scale)
        score = truth = np.empty(0)
        if scale is not None and scale.kind == "ordinal":
            numbers = np.array(scale.values)[np.maximum(codes, 0)]
            score = np.array(self.score)
            score = np.where(np.isnan(score), numbers, score)[codes >= 0]
            truth = given[wanted >= 0]
        latency = np.array(self.latency)
        latency = latency[np.isfinite(latency) & (latency > 0)]
        off_scale = sum(g is not None for g in self.golds) - int((wanted >= 0).sum())
        strange = self._strange(wanted)
        wanted = wanted.copy()
        # Not chosen by the judge, so neither right nor wrong.
        wanted[self.even + self.abstained] = -1
        # Rows that failed count as wrong, but of failures alone no agreement can be told.
        told = bool((codes[wanted >= 0] >= 0).any())
        found = self._agreement(scale) if told and scale is not None else None
        return Summary(
            criterion=criterion,
            judge=judge,
            question=self.question,
            scale=scale,
            rows=len(self.labels),
            errors=sum(label is None for label in self.labels) - len(self.abstained),
            abstained=len(self.abstained),
            shares=label_counts(np.delete(codes, self.even), scale),
            gold_shares=label_counts(wanted, scale) if found else {},
            mean_score=finite_mean(score),
            mean_gold=finite_mean(truth),
            mean_confidence=finite_mean(np.array(self.confidence)),
            latency_median=float(np.median(latency)) if latency.size else None,
            latency_p95=float(np.percentile(latency, 95)) if latency.size else None,
            prompt_tokens=self.tokens["prompt"],
            cached_tokens=self.tokens["cached"],
            completion_tokens=self.tokens["written"],
            pairs=self.tokens["pairs"],
            consistent_pairs=self.tokens["consistent"],
            pointwise=self.tokens["pointwise"],
            confidence=_histogram(np.array(self.confidence), codes, wanted, scale),
            agreement=found,
            unlabelled=sum(g is None for g in self.golds) if found else 0,
            off_scale=off_scale,
            strange=strange,
            even=len(self.even),
            least_certain=self.uncertain.rows(),
            slowest=self.slow.rows(),
            disagreements=self.wrong.rows(),
            failures=tuple(self.failures),
            column=self.column,
            failing=self._failing(),
        )

    def _strange(self, wanted: np.ndarray) -> tuple[str, ...]:
        off = (self.golds[i] for i in np.flatnonzero(wanted < 0).tolist())
        return tuple(dict.fromkeys(_plain(g) for g in off if g is not None))[:_STRANGE]

    def _agreement(self, scale: Scale) -> Agreement:
        even = {*self.even, *self.abstained}
        at = [i for i, gold in enumerate(self.golds) if gold is not None and i not in even]
        lengths = np.array(self.lengths).reshape(-1, 2)[at]
        groups = [self.groups[i] for i in at]
        none = np.zeros(len(self.golds))
        columns = [np.array(self.columns.get(label, none)) for label in scale.labels]
        return agreement(
            [self.golds[i] for i in at],
            [self.labels[i] for i in at],
            scale,
            probabilities=np.column_stack(columns)[at] if self.columns else None,
            groups=groups if len(set(groups)) < len(at) else None,
            lengths=[(a, b) for a, b in lengths.tolist()] if lengths.all() else None,
        )


class _Top:
    """The ``ROWS`` highest-ranked rows; the first of equals."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Row]] = []
        self._count = 0

    def add(self, rank: float, row: Row) -> None:
        self._count -= 1
        keep = heapq.heappush if len(self._heap) < ROWS else heapq.heappushpop
        keep(self._heap, (rank, self._count, row))

    def rows(self) -> tuple[Row, ...]:
        return tuple(item[2] for item in sorted(self._heap, reverse=True))


def _histogram(
    sure: Floats, codes: np.ndarray, wanted: np.ndarray, scale: Scale | None
) -> tuple[Box, ...]:
    known = np.isfinite(sure)
    if scale is None or not known.any():
        return ()
    box = np.clip((np.where(known, sure, 0) * _BOXES + 1e-9).astype(int), 0, _BOXES - 1)
    # The chosen label is the likeliest of k, so its probability is at least 1/k.
    first = min(int(box[known].min()), _BOXES // len(scale.labels))
    found = []
    for i in range(first, _BOXES):
        here = known & (box == i)
        scored = here & (wanted >= 0)
        right = int((scored & (codes == wanted)).sum())
        wrong = int(scored.sum()) - right
        rest = int(here.sum()) - right - wrong
        found.append(Box(i / _BOXES, (i + 1) / _BOXES, right, wrong, rest))
    return tuple(found)


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
