"""Rows that are not independent (of one document, copies of one text), and the effective number of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from mene.stats.columns import Floats, Ints


def clusters(names: Iterable[Hashable]) -> Ints:
    """Return the cluster of each row: one number per name, from 0 without gaps."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)


def joined(one: Ints, other: Ints) -> Ints:
    """Return clusters of pairs: those that share a cluster on either side belong together, and so on along the chain."""
    from scipy.sparse import coo_array  # 0.1 s, which most commands do not need
    from scipy.sparse.csgraph import connected_components

    if not len(one):
        return one
    both = np.concatenate([one, other + one.max() + 1])
    n = len(one)
    edges = coo_array((np.ones(n), (both[:n], both[n:])), shape=(both.max() + 1,) * 2)
    return connected_components(edges, directed=False)[1][one].astype(np.int64)


def worth(groups: Ints) -> float:
    """Return the effective number of equally large clusters (Kish 1965): one of 300 rows and 20 of one row count as 1.1."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.size else 0.0


def design_effect(u: Floats, groups: Ints) -> tuple[float, float]:
    """Return the design effect, the factor by which clusters increase the variance of the mean: from 1 (independent rows) to
    the cluster size (identical rows); and that size.

    Two estimates, of which the larger one counts. The sums of the clusters give the first; a few large clusters whose means
    happen to be near the whole mean make it too small. The second is 1 + (size - 1) * correlation (Kish 1965), with the
    correlation of two rows of a cluster from how much rows differ within their clusters, which such luck does not change: of
    copies of a text, it is 1. Where the rows do not vary, neither can be estimated, and the rows of a cluster count as one.
    """
    n = len(u)
    _, own = np.unique(groups, return_inverse=True)
    sizes = np.bincount(own)
    most = float((sizes.astype(np.float64) ** 2).sum() / n)
    rest = u - u.mean()
    alone = float((rest**2).sum())
    k = n / most
    if alone < 1e-12 or len(sizes) < 2:
        return most, most
    sums = np.bincount(own, weights=rest)
    together = k / (k - 1) * float((sums**2).sum())
    effect = max(together / alone, 1.0)
    spare = n - len(sizes)  # rows beyond the first of their cluster
    if spare:
        within = max(alone - float((sums**2 / sizes).sum()), 0.0) / spare
        # The whole variance, of which the mean of n rows has taken its share.
        whole = alone / max(n - min(effect, most), 1.0)
        effect = max(effect, 1 + (most - 1) * min(max(1 - within / whole, 0.0), 1.0))
    return min(effect, most), most


def standard_error(influence: Floats, groups: Ints | None) -> tuple[float, float]:
    """Return the standard error of the mean of influence values over clusters, and the effective number of clusters."""
    n = len(influence)
    groups = np.arange(n) if groups is None else groups
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    k = worth(groups)
    return (float(np.sqrt(k / (k - 1) * (sums**2).sum())) / n if len(sums) > 1 else 0.0), k
