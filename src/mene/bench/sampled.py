"""A sample of a set: what its protocol can still say of so few rows.

A mean over parts gives every part the same weight, and balanced accuracy every class in it. Of 30 rows of eleven parts that is
a mean of figures of one or two rows, some of them of one class alone: it says more of the draw than of the judge. The rows
together are a fair sample of the set's rows (``data.stratified`` takes the parts in proportion), so the figure is then of
all of them together: a stable one, of rows and not of parts, and not the published one, which is said. Correlations and
RewardBench, whose subsets count by their published sizes, stay as they are, and so does every whole set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mene.bench.data import Item
from mene.bench.sets import BenchSet, SampledSet
from mene.stats.intervals import FEWEST

NAMED = 4  # parts that are named


def as_sampled(one: BenchSet, sample: Sequence[Item], whole: Sequence[Item]) -> BenchSet:
    """The set as this sample of it is scored; itself where every part has ``FEWEST`` rows of each of its classes, or all
    that there are."""
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
    """Rows that count, by part and class, as far as the figure looks at them apart."""
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
    """What a reader must know of the figure of a sample; empty where there is nothing."""
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
