"""Two runs on the same rows: what changed, by how much, and whether it may be chance.

Differences are B minus A. Scores are compared by their mean, labels by the share of good labels, pairs by the share won by
response A (a tie is half). The interval is that of a mean of paired differences (``stats/intervals.py``). p is from the exact
McNemar test for labels, and from sign flips for scores and where texts repeat (``stats/paired.py``). Where it is unknown which
labels are good, only the labels' frequencies are tested (Stuart and Maxwell).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from mene.errors import UsageError
from mene.gate.match import By, Matched, match, unmatched
from mene.gate.measure import groups_of_pairs
from mene.gate.sections import Said, Section, on, other_question, score_of
from mene.scale import Scale
from mene.stats import intervals
from mene.stats.columns import Floats
from mene.stats.intervals import Figure
from mene.stats.paired import holm, mcnemar, sign_flips, stuart_maxwell

# Smallest change of a probability or score that counts. Less shows as 0.00, and may be rounding.
SMALLEST = 0.005
Instructions = Callable[[int, Said], str | None]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of both runs.

    Attributes:
        size: how much its score or probability changed, below 0 where it got worse.
        step: the same of its label; a threshold can change the label alone.
    """

    a: Said
    b: Said
    size: float
    step: float = 0.0

    @property
    def way(self) -> float:
        """Below 0 where the row got worse: by its label or, where that is as good, by its score or probability."""
        return self.step or self.size


@dataclass(frozen=True, slots=True)
class Compared:
    """Two runs on one criterion.

    Attributes:
        figure: what is compared: ``mean``, ``share(Yes)``, ``won by A``; empty where the good labels are unknown.
        percent: whether it is a share.
        directed: whether a higher figure is better.
        a, b, difference: figures of the rows that have a label in both runs; the difference is B minus A.
        p: of no difference; ``p_holm``: corrected for all compared criteria; ``test``: the name of the test.
        wins, losses, ties: rows whose label is better, worse, or as good in B.
        shares: label -> number of rows in (A, B).
        flips: (label in A, label in B) -> rows.
        rows: those that changed (another label, or by at least ``SMALLEST``), the largest regression first.
        failed, unlabelled: rows of both runs with an error (without a label) in one or both.
        matched: which rows are in both.
    """

    criterion: str
    question: str
    judges: tuple[str, str]
    scale: Scale | None
    figure: str
    percent: bool
    directed: bool
    a: Figure
    b: Figure
    difference: Figure
    p: float
    p_holm: float
    test: str
    wins: int
    losses: int
    ties: int
    shares: dict[str, tuple[int, int]]
    flips: dict[tuple[str, str], int]
    rows: tuple[Row, ...]
    failed: int
    unlabelled: int
    matched: Matched


@dataclass(frozen=True, slots=True)
class Comparison:
    """The comparison of two runs on all criteria, and notes on what is not compared."""

    criteria: tuple[Compared, ...]
    said: tuple[str, ...]


def compare(
    a: list[Section],
    b: list[Section],
    *,
    names: tuple[str, str] = ("A", "B"),
    by: By | None = None,
    criteria: Collection[str] = (),
    instructions: Instructions | None = None,
) -> Comparison:
    """Compare two runs.

    Args:
        names: of the runs, in messages.
        by: how rows are matched; see ``match``.
        criteria: those to compare; empty: all that both have.

    Raises:
        UsageError: they have no criterion or no row in common, or it is unclear which judges to compare.
    """
    for name in criteria:
        for run, called in ((a, names[0]), (b, names[1])):
            on(run, name, called)
    pairs, told = _in_both(a, b, names, criteria)
    found = []
    for left, right in pairs:
        if left.scale != right.scale and left.scale_is_whole and right.scale_is_whole:
            told.append(
                f"{left.criterion}: not compared: {names[0]} has the scale {left.scale}, {names[1]} the scale {right.scale}"
            )
            continue
        told += [f"{left.criterion}: {line}" for line in other_question(left, right, *names)]
        matched = match(left.rows, right.rows, by, instructions)
        told += [f"{left.criterion}: {line}" for line in unmatched(matched, *names)]
        found.append(_compared(left, right, matched))
    adjusted = holm([one.p for one in found])
    done = tuple(replace(one, p_holm=p) for one, p in zip(found, adjusted, strict=True))
    return Comparison(done, tuple(told))


def _in_both(
    a: list[Section], b: list[Section], names: tuple[str, str], criteria: Collection[str]
) -> tuple[list[tuple[Section, Section]], list[str]]:
    pairs, told = [], []
    asked = list(dict.fromkeys(s.criterion for s in (*a, *b)))
    if criteria:
        asked = [
            c for c in asked if any(s.criterion == c and _is_one(s, criteria) for s in (*a, *b))
        ]
    for criterion in asked:
        ours, theirs = ([s for s in run if s.criterion == criterion] for run in (a, b))
        if not ours or not theirs:
            told.append(
                f"{criterion}: not compared: {names[1] if ours else names[0]} has no verdict on it"
            )
            continue
        if len(ours) == len(theirs) == 1:
            pairs.append((ours[0], theirs[0]))
            continue
        same = [(x, y) for x in ours for y in theirs if x.judge == y.judge]
        if not same:
            judges = "; ".join(", ".join(s.judge for s in run) for run in (ours, theirs))
            raise UsageError(
                f"{criterion} was judged by several judges ({judges}): say which to compare with --judge-a and --judge-b"
            )
        pairs += same
    if not pairs:
        raise UsageError(
            f"{names[0]} and {names[1]} have no criterion in common: {_names(a)}; {_names(b)}"
        )
    return pairs, told


def _is_one(section: Section, criteria: Collection[str]) -> bool:
    return any(section.is_called(name) for name in criteria)


def _names(sections: list[Section]) -> str:
    return ", ".join(dict.fromkeys(s.criterion for s in sections))


def _compared(left: Section, right: Section, matched: Matched) -> Compared:
    scale = left.scale if left.scale_is_whole or right.scale is None else right.scale
    both = [(x, y) for x, y in matched.pairs if x.label is not None and y.label is not None]
    good = left.good() or right.good()
    kind = scale.kind if scale else None
    directed = kind == "ordinal" or (kind == "nominal" and good is not None)
    groups = groups_of_pairs(both)
    low, high = (scale.values[0], scale.values[-1]) if scale and kind == "ordinal" else (0.0, 1.0)
    values = [
        np.array([_value(row, scale, good) for row in run]) for run in zip(*both, strict=True)
    ]
    x, y = values if both else (np.zeros(0), np.zeros(0))
    if kind == "ordinal" and both and scale is not None:  # a guessed scale may lack labels
        low, high = min(low, x.min(), y.min()), max(high, x.max(), y.max())
    flips = Counter((one.label or "", other.label or "") for one, other in both)
    known = directed or kind == "pairwise"
    if known:
        span = high - low
        figures = [intervals.mean(v, groups, low=low, high=high) for v in (x, y)]
        difference = intervals.mean(y - x, groups, low=-span, high=span)
        p, test = _test(x, y, groups)
    else:
        figures = [Figure(None, None, None, len(both))] * 2
        difference = figures[0]
        labels = sorted({label for pair in flips for label in pair})
        # The test needs independent rows: of copies, only the first counts.
        alone = [both[at] for at in np.unique(groups, return_index=True)[1]]
        once = Counter((one.label or "", other.label or "") for one, other in alone)
        p = stuart_maxwell([[once[i, j] for j in labels] for i in labels])
        test = "Stuart-Maxwell"
    steps = [_rank(other, scale, good) - _rank(one, scale, good) for one, other in both]
    rows = [
        Row(one, other, _size(one, other, scale, good), step)
        for (one, other), step in zip(both, steps, strict=True)
    ]
    order = (
        (lambda row: (row.size, row.step)) if directed else (lambda row: (-abs(row.size), row.step))
    )
    return Compared(
        criterion=left.criterion,
        question=left.question or right.question,
        judges=(left.judge, right.judge),
        scale=scale,
        figure=_figure(kind, good),
        percent=kind != "ordinal",
        directed=directed,
        a=figures[0],
        b=figures[1],
        difference=difference,
        p=p,
        p_holm=p,
        test=test,
        wins=sum(step > 0 for step in steps),
        losses=sum(step < 0 for step in steps),
        ties=sum(step == 0 for step in steps),
        shares=_shares(both, scale),
        flips=dict(sorted(flips.items(), key=lambda item: -item[1])),
        rows=tuple(sorted((row for row in rows if _changed(row)), key=order)),
        failed=sum(x.failed or y.failed for x, y in matched.pairs),
        unlabelled=len(matched.pairs) - len(both),
        matched=matched,
    )


def _figure(kind: str | None, good: tuple[str, ...] | None) -> str:
    if kind == "ordinal":
        return "mean"
    if kind == "pairwise":
        return "won by A"
    return f"share({', '.join(good)})" if good else ""


def _test(x: Floats, y: Floats, groups: np.ndarray) -> tuple[float, str]:
    """Return the p of no difference, and the name of the test."""
    alone = len(np.unique(groups)) == len(groups)
    if alone and np.isin(np.r_[x, y], (0.0, 1.0)).all():
        return mcnemar(y, x), "McNemar"
    return sign_flips(y - x, groups), "sign flips"


def _value(row: Said, scale: Scale | None, good: tuple[str, ...] | None) -> float:
    """Return the row's contribution to the compared figure."""
    if scale is not None and scale.kind == "ordinal":
        return score_of(row) or 0.0
    return _rank(row, scale, good)


def _rank(row: Said, scale: Scale | None, good: tuple[str, ...] | None) -> float:
    """Return how good the label itself is."""
    if scale is not None and scale.kind == "pairwise":
        return {"A": 1.0, "tie": 0.5}.get(row.label or "", 0.0)
    if scale is not None and scale.kind == "ordinal":
        return float(row.label or 0)
    return float(row.label in (good or ()))


def _size(a: Said, b: Said, scale: Scale | None, good: tuple[str, ...] | None) -> float:
    """Return how much a row changed: in score, in the probability of good labels (or of A), or else of its label."""
    if scale is not None and scale.kind == "ordinal":
        return (score_of(b) or 0.0) - (score_of(a) or 0.0)
    if not a.probabilities or not b.probabilities:
        if scale is not None and scale.kind == "nominal" and good is None:
            return float(a.label != b.label)
        return _rank(b, scale, good) - _rank(a, scale, good)
    if scale is not None and scale.kind == "pairwise":
        worth = {"A": 1.0, "tie": 0.5}
    elif good is not None:
        worth = dict.fromkeys(good, 1.0)
    else:  # total variation distance of the two distributions
        labels = {*a.probabilities, *b.probabilities}
        return sum(abs(b.probabilities.get(k, 0) - a.probabilities.get(k, 0)) for k in labels) / 2
    before, after = (
        sum(p * worth.get(label, 0.0) for label, p in given.items())
        for given in (a.probabilities, b.probabilities)
    )
    return after - before


def _changed(row: Row) -> bool:
    return row.a.label != row.b.label or abs(row.size) >= SMALLEST


def _shares(both: list[tuple[Said, Said]], scale: Scale | None) -> dict[str, tuple[int, int]]:
    counts = [Counter(row.label for row in run) for run in zip(*both, strict=True)] or [
        Counter()
    ] * 2
    seen = [label for count in counts for label in count]
    labels = dict.fromkeys([*(scale.labels if scale else ()), *seen])
    return {label: (counts[0][label], counts[1][label]) for label in labels if label is not None}
