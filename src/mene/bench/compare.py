"""Is one judge better than another on the same rows? Paired tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mene.bench.data import Item
from mene.bench.protocol import column_of, counts, headline
from mene.bench.sets import BenchSet
from mene.stats.clusters import clusters
from mene.stats.intervals import Figure
from mene.stats.paired import difference, mcnemar
from mene.verdict import Verdict


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Judge ``a`` minus judge ``b`` on one set.

    Attributes:
        difference: of the main figure, paired row by row, with its interval.
        p: two-sided p-value, by ``test``: ``mcnemar`` (exact) where every row is asked once and rows are independent, ``t`` for
            correlations, else ``sign flips`` of whole clusters.
        p_holm: with Holm's correction over all comparisons of a table (set by ``holm``).
    """

    name: str
    a: str
    b: str
    difference: Figure
    p: float
    test: str
    p_holm: float = 1.0


def compare(
    one: BenchSet,
    items: Sequence[Item],
    a: tuple[str, Mapping[str, Verdict]],
    b: tuple[str, Mapping[str, Verdict]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Compare two judges, given as (name, verdicts by sample id), on all rows that count. A missing verdict counts as wrong."""
    rows = [i for i in items if counts(one, i)]
    columns = [column_of(rows, [v.get(r.sample.id) for r in rows]) for _, v in (a, b)]
    groups = clusters(r.group for r in rows)
    first, second = (headline(one, rows, column, groups) for column in columns)
    figure, p = difference(first, second, groups, resamples=resamples, seed=seed)
    credits = [c.credit for c in columns]
    independent = len(set(groups.tolist())) == len(rows)
    if one.metric == "accuracy" and one.combine == "pooled" and not one.both_orders and independent:
        return PairedDifference(one.name, a[0], b[0], figure, mcnemar(*credits), "mcnemar")
    return PairedDifference(
        one.name, a[0], b[0], figure, p, "t" if one.metric == "pearson" else "sign flips"
    )
