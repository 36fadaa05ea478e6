"""From verdicts to a benchmark's figures, by its protocol, with intervals and trivial baselines.

A figure is a sum of means (of credits over classes and parts, of rank correlations over groups) or a mean of
correlations; so is the difference of two judges on the same rows, and both have their intervals from
``report/intervals``. A row the judge failed on counts as wrong, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mene.bench.data import Item
from mene.bench.rewardbench import REWARDBENCH, shares
from mene.bench.sets import BenchSet
from mene.stats import intervals
from mene.stats.agreement import BINS, Bin, bins_of, calibration_error
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import Estimate, Figure, clusters
from mene.verdict import Verdict

FEW_PARTS = 8  # that a reader can take in beside the main figure


@dataclass
class Score:
    """What a judge reached on one set.

    Attributes:
        name: of the set.
        rows: judged; ``failed`` of them without a verdict; ``counted`` in the main figure; ``even``, which are in no figure,
            pairs of two times the same text without a tie to choose.
        thin: parts of a sample with too few rows for a figure (``BenchSet.thin``); ``figure`` is then of all rows together.
        figure: the published metric, 0 to 1 (accuracies) or -1 to 1 (correlations).
        parts: the same per sub-task.
        chance: what answering by lot is expected to reach.
        baselines: answering without reading, by the same metric.
        over: the main figure minus each baseline, paired.
        ece: expected calibration error of the label probabilities, without an interval; ``bins`` its reliability curve.
        both_right: pairs: share right in both orders.
        consistency: pairs: share with the same label in both orders; None where the judge reads each response alone, so
            that they cannot differ.
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
    even: int = 0
    thin: dict[str, str] = field(default_factory=dict)

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


@dataclass(frozen=True, slots=True)
class Means:
    """A figure that is a weighted sum of means of values from ``low`` to 1.

    Attributes:
        values: of every row.
        places: which mean each row is in, -1 where it is in none.
        weights: of each mean; they sum to 1.
    """

    values: Floats
    places: Ints
    weights: Floats
    low: float = 0.0

    @property
    def value(self) -> float:
        return float((self.values * self.amounts).sum()) if len(self.weights) else float("nan")

    @property
    def amounts(self) -> Floats:
        """What a row's value counts for in the figure."""
        sizes = np.bincount(self.places[self.places >= 0], minlength=len(self.weights))
        each = np.append(intervals.divide(self.weights, sizes, 0.0), 0.0)  # place -1 is the last
        return each[self.places]


def score(one: BenchSet, items: Sequence[Item], verdicts: Mapping[str, Verdict]) -> Score:
    """Score verdicts on a set.

    Args:
        items: the rows that were to be judged.
        verdicts: by sample id; a missing one counts as a failure.
    """
    given = [verdicts.get(item.sample.id) for item in items]
    counted = [counts(one, item) for item in items]
    failed = sum(v is None or v.label is None for v in given)
    alike = sum(is_even(item) for item in items)
    kept = [i for i, yes in enumerate(counted) if yes]
    rows = [items[i] for i in kept]
    answers = [given[i] for i in kept]
    empty = Figure(None, None, None, len(rows))
    if not rows:
        return Score(one.name, len(items), failed, 0, empty, even=alike)
    own = column_of(rows, answers)
    groups = clusters(r.group for r in rows)
    main = headline(one, rows, own, groups)
    result = Score(one.name, len(items), failed, len(rows), figure(main, groups), even=alike)
    result.thin = dict(one.thin)
    result.per_row = {
        r.sample.id: float(v)
        for r, v in zip(rows, own.credit if one.is_accuracy else own.score, strict=True)
    }
    for part, at in _parts(rows).items():
        some = [rows[i] for i in at]
        inside = _terms(one, some, Column(own.credit[at], own.score[at]), groups[at])
        few = Figure(None, None, None, len(at))
        result.parts[part] = few if part in one.thin else figure(inside, groups[at])
    result.chance, trivial = baselines(one, rows)
    for name, column in trivial.items():
        base = headline(one, rows, column, groups)
        result.baselines[name] = base.value
        result.over[name] = difference(main, base, groups)[0]
    _pairs(one, rows, answers, result, groups)
    _calibration(rows, answers, result)
    if one.combine == "mean" and 1 < len(result.parts) <= FEW_PARTS:
        result.others |= result.parts
    else:
        result.others |= _further(one, rows, own, groups)
    if one.headline is not None:
        _others(items, given, counted, result)
    return result


def figure(found: Means | Estimate, groups: Ints) -> Figure:
    """A set's figure with its interval. ``groups``: cluster of each row."""
    if isinstance(found, Estimate):
        return intervals.coefficient(found, groups)
    return intervals.strata(found.values, found.places, found.weights, groups, low=found.low)


def difference(
    a: Means | Estimate, b: Means | Estimate, groups: Ints, *, resamples: int = 2000, seed: int = 0
) -> tuple[Figure, float]:
    """``a`` minus ``b`` on the same rows, with its interval and the two-sided p of none.

    p is that of sign flips (see ``intervals.sign_flips``, which draws ``resamples`` of them), of correlations that of
    Student's t; 1 where the clusters are too few for an interval.
    """
    if isinstance(a, Estimate) or isinstance(b, Estimate):
        assert isinstance(a, Estimate) and isinstance(b, Estimate)
        return intervals.difference(a - b, groups)
    more, most = a.values - b.values, 1 - a.low
    found = intervals.strata(more, a.places, a.weights, groups, low=-most, high=most)
    if found.low is None:
        return found, 1.0
    p = intervals.sign_flips(more * a.amounts, groups, resamples=resamples, seed=seed)
    return found, p


def share(values: npt.ArrayLike, groups: Ints) -> Figure:
    """The mean of one value per row, 0 to 1 (True counts 1), with its interval."""
    return intervals.mean(values, groups)


def headline(one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints) -> Means | Estimate:
    """The set's main figure."""
    parts = [r.part for r in rows]
    if one.combine == "pooled":
        counted = ["all" if one.parts is None or p in one.parts else "other" for p in parts]
        return _terms(one, rows, column, groups, counted, {"all": 1.0})
    if one.combine == "rewardbench":
        return _terms(one, rows, column, groups, parts, shares(parts))
    return _terms(one, rows, column, groups, parts)


def _terms(
    one: BenchSet,
    rows: Sequence[Item],
    column: Column,
    groups: Ints,
    parts: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Means | Estimate:
    """The metric inside each part (None: in all rows), and the parts put together; by plain mean where nobody gives weights."""
    if parts is None:
        parts, weights = [""] * len(rows), {"": 1.0}
    if weights is None:
        names = sorted({p for p in parts if one.parts is None or p in one.parts})
        weights = {name: 1 / len(names) for name in names}
    if one.metric == "pearson":
        return _correlation(rows, column, parts, weights)
    if one.metric == "group_spearman":
        return _rank_correlations(rows, column, groups, parts, weights)
    classes = [str(r.gold) if one.metric == "balanced_accuracy" else "" for r in rows]
    cells = sorted({c for c in zip(parts, classes, strict=True) if c[0] in weights})
    inside = [sum(part == name for part, _ in cells) for name, _ in cells]
    place = {cell: i for i, cell in enumerate(cells)}
    return Means(
        column.credit,
        np.array([place.get(c, -1) for c in zip(parts, classes, strict=True)], np.int64),
        np.array([weights[c[0]] / n for c, n in zip(cells, inside, strict=True)], np.float64),
    )


def _correlation(
    rows: Sequence[Item], column: Column, parts: Sequence[str], weights: Mapping[str, float]
) -> Estimate:
    """Pearson's r in each part; 0 where the judge, or people, always give one score: that orders nothing."""
    truth = np.array([float(r.gold) for r in rows])
    value, influence = 0.0, np.zeros(len(rows))
    for name, weight in weights.items():
        at = np.array([i for i, part in enumerate(parts) if part == name], np.int64)
        found = intervals.pearson(column.score[at], truth[at])
        if np.isfinite(found.value):
            value += weight * found.value
            influence[at] = weight * found.influence * len(rows) / len(at)
    return Estimate(value, influence)


def _rank_correlations(
    rows: Sequence[Item],
    column: Column,
    groups: Ints,
    parts: Sequence[str],
    weights: Mapping[str, float],
) -> Means:
    """Spearman's rho inside each group of a part, at the group's first row. A group in which the gold does not vary is
    left out; one in which the judge does not vary counts 0: it orders nothing."""
    truth = np.array([float(r.gold) for r in rows])
    values, places = np.zeros(len(rows)), np.full(len(rows), -1)
    places_of: dict[str, int] = {}
    inside: dict[tuple[str, int], list[int]] = {}
    for i, key in enumerate(zip(parts, groups.tolist(), strict=True)):
        if key[0] in weights:
            inside.setdefault(key, []).append(i)
    for (part, _), own in inside.items():
        if np.ptp(truth[own]) < 1e-9:
            continue
        rho = intervals.spearman(column.score[own], truth[own]).value
        values[own[0]] = rho if np.isfinite(rho) else 0.0
        places[own[0]] = places_of.setdefault(part, len(places_of))
    given = np.array([weights[part] for part in places_of])
    return Means(values, places, given / given.sum() if given.size else given, low=-1.0)


def _further(
    one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints
) -> dict[str, Figure]:
    """What papers report beside the main figure and its parts: RewardBench's sections, and of two classes
    the plain accuracy and the F1 of the rarer one."""
    if one.combine == "rewardbench":
        parts = [r.part for r in rows]
        own = {section: set(parts) & set(names) for section, names in REWARDBENCH.items()}
        return {
            section: figure(_terms(one, rows, column, groups, parts, shares(names)), groups)
            for section, names in own.items()
            if names
        }
    if one.metric != "balanced_accuracy":
        return {}
    golds = [str(r.gold) for r in rows]
    classes = sorted(set(golds), key=lambda c: (golds.count(c), c))
    found = {"accuracy": share(column.credit, groups)}
    if len(classes) == 2:
        rare = np.array([g == classes[0] for g in golds], np.float64)
        hit, wrong = 2 * rare * column.credit, 1 - column.credit
        # 2 TP / (2 TP + FN + FP): with two classes every wrong answer is a miss of one and a false alarm of the other.
        found[f"F1 of {classes[0]}"] = intervals.ratio(hit, hit + wrong, groups)
    return found


def counts(one: BenchSet, item: Item) -> bool:
    """Does the row count for the main figure?"""
    return not is_even(item) and (one.headline is None or item.raw in one.headline["label"])


def is_even(item: Item) -> bool:
    """A pair of two times the same text: where there is no tie to choose, nobody can be right, and nobody chose."""
    scale = item.criterion.scale
    return scale.kind == "pairwise" and "tie" not in scale.labels and item.sample.is_even


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
    groups: Ints,
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
    if not one.both_orders:
        return
    both = np.array(
        [
            v is not None and bool(orders := _orders(v)) and all(p.label == r.gold for p in orders)
            for v, r in zip(answers, rows, strict=True)
        ],
        np.float64,
    )
    result.both_right = share(both, groups)
    if any(v is not None and v.consistent is not None for v in answers):
        same = np.array([v is not None and bool(v.consistent) for v in answers], np.float64)
        result.consistency = share(same, groups)


def _orders(verdict: Verdict) -> list[Verdict]:
    """What was said in each order of a pair; where each response was judged alone there is one verdict, and no order."""
    return [verdict] if verdict.compare == "pointwise" else verdict.parts


def _calibration(rows: Sequence[Item], answers: Sequence[Verdict | None], result: Score) -> None:
    """ECE (Guo et al. 2017, eq. 3), ten bins, of verdicts with probabilities; gold rounded to a label."""
    sure, right = [], []
    for row, verdict in zip(rows, answers, strict=True):
        if verdict is None or verdict.confidence is None or verdict.label is None:
            continue
        sure.append(min(max(verdict.confidence, 0.0), 1.0))
        right.append(float(verdict.label == gold_label(row)))
    if not sure:
        return
    p, r = np.array(sure), np.array(right)
    boxes = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    result.ece = Figure(calibration_error(boxes, p, r), None, None, len(sure))
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
) -> None:
    """Rows outside the main figure, by their label in the file."""
    for raw in sorted({item.raw for item, yes in zip(items, counted, strict=True) if not yes}):
        fit = [item.raw == raw and item.gold != "" and not is_even(item) for item in items]
        at = [i for i, yes in enumerate(fit) if yes]
        if not at:
            continue
        rows = [items[i] for i in at]
        credit = column_of(rows, [given[i] for i in at]).credit
        result.others[raw] = share(credit, clusters(r.group for r in rows))
