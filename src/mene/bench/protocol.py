"""A benchmark's protocol applied to judged rows: which rows count, what each contributes, and how they make the main figure.

A figure is a weighted sum of means (of credits over classes and parts, of rank correlations over groups) or a mean of
correlations; so is the difference of two judges on the same rows (``stats/paired.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mene.bench.data import Item
from mene.bench.sets import BenchSet
from mene.stats.columns import Floats, Ints
from mene.stats.correlation import Estimate, pearson, spearman
from mene.stats.paired import Means
from mene.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Column:
    """One judge's results on the counted rows: credit per row, or a score per row."""

    credit: Floats
    score: Floats


def column_of(rows: Sequence[Item], answers: Sequence[Verdict | None]) -> Column:
    """Return credits: the share of orders whose label is gold. Or scores: the expected label; for a failed row, the end of
    the scale that is farther from the gold score, so that failing never pays."""
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


def counts(one: BenchSet, item: Item) -> bool:
    """Return whether the row counts for the main figure."""
    return not is_even(item) and (one.headline is None or item.raw in one.headline["label"])


def is_even(item: Item) -> bool:
    """Return whether both responses are identical and no tie can be chosen, so that the row cannot be scored."""
    scale = item.criterion.scale
    return scale.kind == "pairwise" and "tie" not in scale.labels and item.sample.is_even


def headline(one: BenchSet, rows: Sequence[Item], column: Column, groups: Ints) -> Means | Estimate:
    """Return the set's main figure."""
    parts = [r.part for r in rows]
    if one.combine == "pooled":
        counted = ["all" if one.parts is None or p in one.parts else "other" for p in parts]
        return of_parts(one, rows, column, groups, counted, {"all": 1.0})
    if one.combine == "sections":
        return of_parts(one, rows, column, groups, parts, section_weights(one.sections, parts))
    return of_parts(one, rows, column, groups, parts)


def section_weights(
    sections: Mapping[str, Mapping[str, int]], parts: Iterable[str]
) -> dict[str, float]:
    """Return the weight of each part, in sum 1: sections weigh the same, and parts inside a section by their published sizes
    (RewardBench: Lambert et al. 2024, section 4.1).

    Missing parts and sections are left out.
    """
    here = set(parts)
    found = [{name: n for name, n in sizes.items() if name in here} for sizes in sections.values()]
    found = [sizes for sizes in found if sizes]
    return {
        name: n / sum(sizes.values()) / len(found) for sizes in found for name, n in sizes.items()
    }


def of_parts(
    one: BenchSet,
    rows: Sequence[Item],
    column: Column,
    groups: Ints,
    parts: Sequence[str] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Means | Estimate:
    """Return the metric of each part (None: of all rows), combined by weights, or else by plain mean."""
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
    """Pearson's r in each part; 0 where the judge or the people gave a constant score, which orders nothing."""
    truth = np.array([float(r.gold) for r in rows])
    value, influence = 0.0, np.zeros(len(rows))
    for name, weight in weights.items():
        at = np.array([i for i, part in enumerate(parts) if part == name], np.int64)
        found = pearson(column.score[at], truth[at])
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
    """Spearman's rho inside each group of a part, stored at the group's first row. Groups with constant gold are left out;
    groups
    where the judge's score is constant count 0, since it orders nothing."""
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
        rho = spearman(column.score[own], truth[own]).value
        values[own[0]] = rho if np.isfinite(rho) else 0.0
        places[own[0]] = places_of.setdefault(part, len(places_of))
    given = np.array([weights[part] for part in places_of])
    return Means(values, places, given / given.sum() if given.size else given, low=-1.0)
