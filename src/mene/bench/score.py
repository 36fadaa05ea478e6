"""From verdicts to a benchmark's figures, by its protocol, with intervals and trivial baselines.

A row on which the judge failed counts as wrong, and the number of such rows is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from mene.bench.baselines import baselines
from mene.bench.data import Item
from mene.bench.protocol import (
    Column,
    column_of,
    counts,
    headline,
    is_even,
    of_parts,
    section_weights,
)
from mene.bench.sets import BenchSet, SampledSet
from mene.stats.agreement import BINS, Bin, bins_of, calibration_error
from mene.stats.clusters import clusters
from mene.stats.columns import Ints
from mene.stats.intervals import Figure, mean, ratio
from mene.stats.paired import difference, figure
from mene.verdict import Verdict

FEW_PARTS = 8  # maximum number of parts listed beside the main figure


@dataclass
class Score:
    """A judge's figures on one set.

    Attributes:
        name: of the set.
        rows: number judged; ``failed`` of them without a verdict; ``counted`` in the main figure; ``even``: pairs of identical
            responses without a tie to choose, which are in no figure.
        thin: parts of a sample with too few rows for a figure (``SampledSet``); ``figure`` is then of all rows together.
        figure: the published metric, 0 to 1 (accuracies) or -1 to 1 (correlations).
        parts: the same per sub-task.
        chance: expected figure of random answers.
        baselines: trivial answers, by the same metric.
        over: the main figure minus each baseline, paired.
        ece: expected calibration error of the label probabilities, without an interval; ``bins``: its reliability curve.
        both_right: pairs: share right in both orders.
        consistency: pairs: share with the same label in both orders; None where the judge reads each response alone, so
            that they cannot differ.
        longer: pairs: how often the judge's label (over both orders) is the longer response, and how often gold is.
        others: further figures by name.
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
    even: int = 0
    thin: dict[str, str] = field(default_factory=dict)

    @property
    def beats_trivial(self) -> bool:
        """Whether the interval of the difference is above 0 for every baseline."""
        return all(f.low is not None and f.low > 0 for f in self.over.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the data for ``summary.json``."""
        return asdict(self)


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
    result.thin = dict(one.thin) if isinstance(one, SampledSet) else {}
    for part, at in _parts(rows).items():
        some = [rows[i] for i in at]
        own_figure = of_parts(one, some, Column(own.credit[at], own.score[at]), groups[at])
        few = Figure(None, None, None, len(at))
        result.parts[part] = few if part in result.thin else figure(own_figure, groups[at])
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


def _further(
    one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints
) -> dict[str, Figure]:
    """Return what papers report besides the main figure and its parts: RewardBench's sections, and for two classes the
    plain accuracy and the F1 of the rarer one."""
    if one.combine == "sections":
        parts = [r.part for r in rows]
        own = {name: set(parts) & set(sizes) for name, sizes in one.sections.items()}
        weights = {name: section_weights(one.sections, here) for name, here in own.items() if here}
        return {
            name: figure(of_parts(one, rows, column, groups, parts, given), groups)
            for name, given in weights.items()
        }
    if one.metric != "balanced_accuracy":
        return {}
    golds = [str(r.gold) for r in rows]
    classes = sorted(set(golds), key=lambda c: (golds.count(c), c))
    found = {"accuracy": mean(column.credit, groups)}
    if len(classes) == 2:
        rare = np.array([g == classes[0] for g in golds], np.float64)
        hit, wrong = 2 * rare * column.credit, 1 - column.credit
        # 2 TP / (2 TP + FN + FP): with two classes, every wrong answer is a miss of one and a false alarm for the other.
        found[f"F1 of {classes[0]}"] = ratio(hit, hit + wrong, groups)
    return found


def _parts(rows: Sequence[Item]) -> dict[str, Ints]:
    names = dict.fromkeys(r.part for r in rows)
    return {n: np.array([i for i, r in enumerate(rows) if r.part == n]) for n in sorted(names)}


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
    result.both_right = mean(both, groups)
    if any(v is not None and v.consistent is not None for v in answers):
        same = np.array([v is not None and bool(v.consistent) for v in answers], np.float64)
        result.consistency = mean(same, groups)


def _orders(verdict: Verdict) -> list[Verdict]:
    """Return the verdicts in each order of a pair; a single one where each response was judged alone."""
    return [verdict] if verdict.compare == "pointwise" else verdict.parts


def _calibration(rows: Sequence[Item], answers: Sequence[Verdict | None], result: Score) -> None:
    """ECE (Guo et al. 2017, eq. 3), ten bins, of verdicts with probabilities; gold rounded to a label."""
    sure, right = [], []
    for row, verdict in zip(rows, answers, strict=True):
        if verdict is None or verdict.confidence is None or verdict.label is None:
            continue
        sure.append(min(max(verdict.confidence, 0.0), 1.0))
        right.append(float(verdict.label == row.label))
    if not sure:
        return
    p, r = np.array(sure), np.array(right)
    boxes = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    result.ece = Figure(calibration_error(boxes, p, r), None, None, len(sure))
    result.bins = bins_of(boxes, p, r)


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
        result.others[raw] = mean(credit, clusters(r.group for r in rows))
