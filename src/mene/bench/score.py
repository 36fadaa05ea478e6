"""From verdicts to a benchmark's figures, by its protocol, with intervals and trivial baselines.

Every figure is a function of row weights, so that the point (all weights 1) and each bootstrap
resample (how often each row was drawn) are one and the same computation. A row the judge failed
on counts as wrong, and is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats

from mene.bench.data import Item
from mene.bench.rewardbench import REWARDBENCH, mean, rewardbench
from mene.bench.sets import BenchSet
from mene.report import bootstrap
from mene.report.agreement import BINS, Bin, Figure, bins_of
from mene.report.columns import Floats, Ints
from mene.verdict import Verdict

RESAMPLES = 2000
FEW_PARTS = 8  # that a reader can take in beside the main figure


@dataclass
class Score:
    """What a judge reached on one set.

    Attributes:
        name: of the set.
        rows: judged; ``failed`` of them without a verdict; ``counted`` in the main figure.
        figure: the published metric, 0 to 1 (accuracies) or -1 to 1 (correlations).
        parts: the same per sub-task.
        chance: what answering by lot is expected to reach.
        baselines: answering without reading, by the same metric.
        over: the main figure minus each baseline, paired.
        ece: expected calibration error of the label probabilities; ``bins`` its reliability curve.
        both_right: pairs: share right in both orders.
        consistency: pairs: share with the same label in both orders.
        longer: pairs: how often the judge's label (over both orders) is the longer response, and the gold.
        others: further figures by name.
        per_row: credit (accuracies) or score of every counted row, for paired comparisons.
    """

    name: str
    rows: int
    failed: int
    counted: int
    figure: Figure
    parts: dict[str, Figure] = field(default_factory=dict)
    chance: float = 0.0
    baselines: dict[str, float] = field(default_factory=dict)
    over: dict[str, Figure] = field(default_factory=dict)
    ece: Figure | None = None
    bins: tuple[Bin, ...] = ()
    both_right: Figure | None = None
    consistency: Figure | None = None
    longer: tuple[float, float] | None = None
    others: dict[str, Figure] = field(default_factory=dict)
    per_row: dict[str, float] = field(default_factory=dict, repr=False)

    @property
    def beats_trivial(self) -> bool:
        """The interval of the difference lies above 0 for every baseline."""
        return all(f.low is not None and f.low > 0 for f in self.over.values())

    def to_dict(self) -> dict[str, Any]:
        """For ``summary.json``; without the rows."""
        return {k: v for k, v in asdict(self).items() if k != "per_row"}


@dataclass(frozen=True, slots=True)
class Column:
    """One judge's answers on the counted rows: credit per row, or a score per row."""

    credit: Floats
    score: Floats


Statistic = Callable[[Floats], Floats]  # weights (resamples, rows) -> (resamples,)


def score(
    one: BenchSet,
    items: Sequence[Item],
    verdicts: Mapping[str, Verdict],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Score:
    """Score verdicts on a set.

    Args:
        items: the rows that were to be judged.
        verdicts: by sample id; a missing one counts as a failure.
    """
    given = [verdicts.get(item.sample.id) for item in items]
    counted = [counts(one, item) for item in items]
    failed = sum(v is None or v.label is None for v in given)
    kept = [i for i, yes in enumerate(counted) if yes]
    rows = [items[i] for i in kept]
    answers = [given[i] for i in kept]
    empty = Figure(None, None, None, len(rows))
    if not rows:
        return Score(one.name, len(items), failed, 0, empty)
    own = column_of(rows, answers)
    groups: Ints = bootstrap.clusters(r.group for r in rows)

    def figure(statistic: Statistic, at: Ints | None = None) -> Figure:
        return interval(statistic, len(rows), groups, resamples, seed, at)

    main = headline(one, rows, own, groups)
    result = Score(one.name, len(items), failed, len(rows), figure(main))
    result.per_row = {
        r.sample.id: float(v)
        for r, v in zip(rows, own.credit if one.is_accuracy else own.score, strict=True)
    }
    for part, at in _parts(rows).items():
        result.parts[part] = figure(_metric(one, rows, own, groups, at), at)
    result.chance, trivial = baselines(one, rows)
    for name, column in trivial.items():
        base = headline(one, rows, column, groups)
        result.baselines[name] = float(base(np.ones((1, len(rows))))[0])
        result.over[name] = figure(lambda w, base=base: main(w) - base(w))
    _pairs(one, rows, answers, result, figure)
    _calibration(rows, answers, result, figure)
    if one.combine == "mean" and 1 < len(result.parts) <= FEW_PARTS:
        result.others |= result.parts
    else:
        further = _further(one, rows, own, groups)
        result.others |= {name: figure(statistic) for name, statistic in further.items()}
    if one.headline is not None:
        _others(items, given, counted, result, resamples, seed)
    return result


def interval(
    statistic: Statistic,
    rows: int,
    groups: Ints,
    resamples: int = RESAMPLES,
    seed: int = 0,
    at: Ints | None = None,
) -> Figure:
    """A statistic with its 95 % percentile interval, whole groups drawn (cluster bootstrap)."""
    n = rows if at is None else len(at)
    value = float(statistic(np.ones((1, rows)))[0])
    if not np.isfinite(value):
        return Figure(None, None, None, n)
    blocks = bootstrap.weights(rows, resamples, seed, groups)
    ends = bootstrap.percentile_interval(np.concatenate([statistic(w) for w in blocks]))
    if ends is None or len(np.unique(groups if at is None else groups[at])) < 2:
        return Figure(value, None, None, n)
    return Figure(value, min(ends[0], value), max(ends[1], value), n)


def share(values: npt.ArrayLike, groups: Ints, resamples: int = RESAMPLES, seed: int = 0) -> Figure:
    """The mean of one value per row (True counts 1), with its interval."""
    return interval(bootstrap.average(values), len(groups), groups, resamples, seed)


def headline(one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints) -> Statistic:
    """The set's main figure as a function of weights."""
    parts = _parts(rows)
    if one.parts is not None:
        parts = {name: at for name, at in parts.items() if name in one.parts}
    if one.combine == "pooled":
        everything = np.arange(len(rows))
        return _metric(one, rows, column, groups, everything)
    each = {name: _metric(one, rows, column, groups, at) for name, at in parts.items()}
    if one.combine == "rewardbench":
        return lambda w: rewardbench({name: f(w) for name, f in each.items()})
    return lambda w: mean([f(w) for f in each.values()])


def _further(
    one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints
) -> dict[str, Statistic]:
    """What papers report beside the main figure and its parts: RewardBench's sections, and of two classes
    the plain accuracy and the F1 of the rarer one."""
    if one.combine == "rewardbench":
        parts = _parts(rows).items()
        each = {name: _metric(one, rows, column, groups, at) for name, at in parts}
        return {
            section: lambda w, own=own: rewardbench({name: f(w) for name, f in own.items()})
            for section, counts in REWARDBENCH.items()
            if (own := {name: f for name, f in each.items() if name in counts})
        }
    if one.metric != "balanced_accuracy":
        return {}
    golds = [str(r.gold) for r in rows]
    classes = sorted(set(golds), key=lambda c: (golds.count(c), c))
    found: dict[str, Statistic] = {"accuracy": bootstrap.average(column.credit)}
    if len(classes) == 2:
        rare = np.array([g == classes[0] for g in golds], np.float64)
        hit, wrong = rare * column.credit, 1 - column.credit
        # 2 TP / (2 TP + FN + FP): with two classes every wrong answer is a miss of one and a false alarm of the other.
        found[f"F1 of {classes[0]}"] = lambda w: bootstrap.divide(
            2 * (w @ hit), 2 * (w @ hit) + w @ wrong
        )
    return found


def _metric(
    one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints, at: Ints
) -> Statistic:
    """The metric on the rows ``at``."""
    if one.metric == "accuracy":
        credit = column.credit[at]
        return lambda w: bootstrap.divide(w[:, at] @ credit, w[:, at].sum(axis=1))
    if one.metric == "balanced_accuracy":
        classes = sorted({str(rows[i].gold) for i in at})
        places = [np.array([i for i in at if str(rows[i].gold) == c]) for c in classes]
        return lambda w: mean(
            [bootstrap.divide(w[:, p] @ column.credit[p], w[:, p].sum(axis=1)) for p in places]
        )
    truth = np.array([float(rows[i].gold) for i in at])
    given = column.score[at]
    if one.metric == "pearson":
        return lambda w: np.nan_to_num(bootstrap.pearson(w[:, at], given, truth))
    # Spearman inside each group; a group in which the gold does not vary is left out, one in which
    # the judge does not vary counts 0: it orders nothing.
    inside = groups[at]
    firsts, values = [], []
    for group in np.unique(inside):
        own = np.flatnonzero(inside == group)
        if np.ptp(truth[own]) < 1e-9:
            continue
        flat = np.ptp(given[own]) < 1e-9
        firsts.append(at[own[0]])
        values.append(0.0 if flat else _rho(given[own], truth[own]))
    first, rho = np.array(firsts, np.int64), np.array(values)
    return lambda w: bootstrap.divide(w[:, first] @ rho, w[:, first].sum(axis=1))


def _rho(a: Floats, b: Floats) -> float:
    result: Any = stats.spearmanr(a, b)
    return float(result[0])


def counts(one: BenchSet, item: Item) -> bool:
    """Does the row count for the main figure?"""
    return one.headline is None or item.raw in one.headline["label"]


def _parts(rows: Sequence[Item]) -> dict[str, Ints]:
    names = dict.fromkeys(r.part for r in rows)
    return {n: np.array([i for i, r in enumerate(rows) if r.part == n]) for n in sorted(names)}


def column_of(rows: Sequence[Item], answers: Sequence[Verdict | None]) -> Column:
    """Credit: share of the orders asked whose label is gold. Score: the expected label; of a row that the judge
    failed on, the end of the scale that is farther from the gold score, so that failing never pays."""
    credit, points = np.zeros(len(rows)), np.zeros(len(rows))
    for i, (row, verdict) in enumerate(zip(rows, answers, strict=True)):
        scale = row.criterion.scale
        if scale.kind == "ordinal":
            points[i] = max(
                scale.values[0], scale.values[-1], key=lambda v: abs(v - float(row.gold))
            )
        if verdict is None or verdict.label is None:
            continue
        each = verdict.parts or [verdict]
        credit[i] = np.mean([v.label == row.gold for v in each])
        if scale.kind == "ordinal":
            points[i] = verdict.score if verdict.score is not None else float(verdict.label)
    return Column(credit, points)


def baselines(one: BenchSet, rows: Sequence[Item]) -> tuple[float, dict[str, Column]]:
    """What chance is expected to reach, and columns of answers given without reading.

    ``majority``: the most common gold label; ``longer``: the longer response, half credit where
    both are as long; ``length``: the response's length as its score.
    """
    nothing = np.zeros(len(rows))
    if not one.is_accuracy:
        length = np.array([float(len(r.sample.response or "")) for r in rows])
        return 0.0, {"length": Column(nothing, length)}
    golds = [str(r.gold) for r in rows]
    most = max(dict.fromkeys(golds), key=golds.count)
    found = {"majority": Column(np.array([g == most for g in golds], np.float64), nothing)}
    if one.kind == "pairwise":
        credit = np.zeros(len(rows))
        for i, row in enumerate(rows):
            a, b = len(row.sample.response_a or ""), len(row.sample.response_b or "")
            decided = row.gold in ("A", "B")
            credit[i] = 0.5 * decided if a == b else float(row.gold == ("A" if a > b else "B"))
        found["longer"] = Column(credit, nothing)
    labels = len(rows[0].criterion.scale.labels)
    classes = len(set(golds)) if one.metric == "balanced_accuracy" else labels
    return 1 / classes, found


def _pairs(
    one: BenchSet,
    rows: Sequence[Item],
    answers: Sequence[Verdict | None],
    result: Score,
    figure: Callable[[Statistic], Figure],
) -> None:
    if one.kind != "pairwise":
        return
    longer = [len(r.sample.response_a or "") - len(r.sample.response_b or "") for r in rows]
    said, gold = [], []
    for verdict, row, more in zip(answers, rows, longer, strict=True):
        seat = "A" if more > 0 else "B"
        if more and verdict is not None and verdict.label in ("A", "B"):
            said.append(verdict.label == seat)
        if more and row.gold in ("A", "B"):
            gold.append(row.gold == seat)
    if said and gold:
        result.longer = float(np.mean(said)), float(np.mean(gold))
    if not one.swap:
        return
    both = np.array(
        [
            v is not None and len(v.parts) == 2 and all(p.label == r.gold for p in v.parts)
            for v, r in zip(answers, rows, strict=True)
        ],
        np.float64,
    )
    same = np.array([v is not None and bool(v.consistent) for v in answers], np.float64)
    result.both_right = figure(bootstrap.average(both))
    result.consistency = figure(bootstrap.average(same))


def _calibration(
    rows: Sequence[Item],
    answers: Sequence[Verdict | None],
    result: Score,
    figure: Callable[[Statistic], Figure],
) -> None:
    """ECE (Guo et al. 2017, eq. 3), ten bins, of verdicts with probabilities; gold rounded to a label."""
    known, sure, right = [], [], []
    for i, (row, verdict) in enumerate(zip(rows, answers, strict=True)):
        if verdict is None or verdict.confidence is None or verdict.label is None:
            continue
        known.append(i)
        sure.append(min(max(verdict.confidence, 0.0), 1.0))
        right.append(float(verdict.label == gold_label(row)))
    if not known:
        return
    at, p, r = np.array(known), np.array(sure), np.array(right)
    boxes = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    found = figure(lambda w: bootstrap.calibration_error(w[:, at], boxes, p, r))
    result.ece = Figure(found.value, found.low, found.high, len(known))
    result.bins = bins_of(boxes, p, r)


def gold_label(row: Item) -> str:
    """The gold label; of a score, the nearest label (the lower of two)."""
    if row.criterion.scale.kind != "ordinal":
        return str(row.gold)
    values = np.array(row.criterion.scale.values)
    return row.criterion.scale.labels[int(np.abs(values - float(row.gold)).argmin())]


def _others(
    items: Sequence[Item],
    given: Sequence[Verdict | None],
    counted: Sequence[bool],
    result: Score,
    resamples: int,
    seed: int,
) -> None:
    """Rows outside the main figure, by their label in the file."""
    for raw in sorted({item.raw for item, yes in zip(items, counted, strict=True) if not yes}):
        at = [i for i, item in enumerate(items) if item.raw == raw and item.gold != ""]
        if not at:
            continue
        rows = [items[i] for i in at]
        credit = column_of(rows, [given[i] for i in at]).credit
        groups = bootstrap.clusters(r.group for r in rows)
        result.others[raw] = share(credit, groups, resamples, seed)
