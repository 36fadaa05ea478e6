"""Rows that are not independent (of one document, copies of one text), and the effective number of rows."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

import numpy as np

from mene.stats.columns import Floats, Ints


def clusters(names: Iterable[Hashable]) -> Ints:
    """Return the cluster of each row: one number per name, from 0 without gaps."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)


def worth(groups: Ints) -> float:
    """Return the effective number of equally large clusters (Kish 1965): one of 300 rows and 20 of one row count as 1.1."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.size else 0.0


def design_effect(u: Floats, groups: Ints) -> tuple[float, float]:
    """Return the design effect, the factor by which clusters increase the variance of the mean: from 1 (independent rows) to
    the
    cluster size (identical rows); and that size.

    Where the rows do not vary, it cannot be estimated, and the rows of a cluster count as one.
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
    together = k / (k - 1) * float((np.bincount(own, weights=rest) ** 2).sum())
    return min(max(together / alone, 1.0), most), most


def standard_error(influence: Floats, groups: Ints | None) -> tuple[float, float]:
    """Return the standard error of the mean of influence values over clusters, and the effective number of clusters."""
    n = len(influence)
    groups = np.arange(n) if groups is None else groups
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    k = worth(groups)
    return (float(np.sqrt(k / (k - 1) * (sums**2).sum())) / n if len(sums) > 1 else 0.0), k
