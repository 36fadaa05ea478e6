"""Scoring a sample of a set that is too small for the set's protocol.

A mean over parts weighs every part equally, and balanced accuracy every class in it. With 30 rows of eleven parts, that is a
mean
of figures on one or two rows, some with one class only: mostly noise. The rows together are a fair sample of the set
(``data.stratified`` takes parts in proportion), so the figure is then computed on all rows together. It is stable, but weighs
rows instead of parts, and is not the published one; the output says so. Correlations and RewardBench, whose subsets are
weighted
by their published sizes, are unchanged, and so is every complete set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mene.bench.data import Item
from mene.bench.sets import BenchSet, SampledSet
from mene.stats.intervals import FEWEST

NAMED = 4  # maximum number of parts to name


def as_sampled(one: BenchSet, sample: Sequence[Item], whole: Sequence[Item]) -> BenchSet:
    """Return the set as this sample is scored; unchanged where every part has ``FEWEST`` rows of each of its classes, or all
    that exist."""
    if len(sample) == len(whole) or not one.is_accuracy or one.combine == "sections":
        return one
    wanted, there = _cells(one, whole), _cells(one, sample)
    parts = {cell[0] for cell, rows in wanted.items() if there[cell] < min(rows, FEWEST)}
    thin = {
        part: ", ".join(f"{there[cell]} {cell[1]}".strip() for cell in wanted if cell[0] == part)
        for part in sorted(parts)
    }
    if not thin:
        return one
    return SampledSet.model_construct(**{**dict(one), "combine": "pooled", "thin": thin})


def _cells(one: BenchSet, items: Sequence[Item]) -> Counter[tuple[str, str]]:
    """Return the number of counted rows per part and class, as far as the figure separates them."""
    return Counter(
        (
            item.part if one.combine == "mean" else "",
            str(item.gold) if one.metric == "balanced_accuracy" else "",
        )
        for item in sorted(items, key=lambda item: (item.part, str(item.gold)))
        if (one.headline is None or item.raw in one.headline["label"])
        and (one.parts is None or item.part in one.parts)
    )


def told(one: BenchSet) -> str:
    """Return a note for the reader about a sample's figure; empty without one."""
    if not isinstance(one, SampledSet):
        return ""
    if "" in one.thin:
        return f"{one.name}: this sample has few rows of a class ({one.thin['']}), so its figure is unreliable"
    named = "; ".join(f"{part}: {rows}" for part, rows in list(one.thin.items())[:NAMED])
    more = f"; and {len(one.thin) - NAMED} more" if len(one.thin) > NAMED else ""
    of = " of a class" if one.metric == "balanced_accuracy" else ""
    return (
        f"{one.name}: parts with under {FEWEST} rows{of} in this sample have no figure "
        f"({named}{more}), and the one of the set is "
        "of all rows together, not the mean of its parts"
    )
