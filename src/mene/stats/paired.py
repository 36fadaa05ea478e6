"""Two judges on the same rows: is one better? Tests, and corrections for multiple comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from mene.stats import correlation
from mene.stats.columns import Floats, Ints
from mene.stats.correlation import Estimate
from mene.stats.intervals import BLOCK, Figure, divide, strata


@dataclass(frozen=True, slots=True)
class Means:
    """A figure that is a weighted sum of means of values from ``low`` to 1.

    Attributes:
        values: of every row.
        places: the mean that each row belongs to, -1 for none.
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
        """Return each row's contribution to the figure."""
        sizes = np.bincount(self.places[self.places >= 0], minlength=len(self.weights))
        each = np.append(divide(self.weights, sizes, 0.0), 0.0)  # place -1 is the last
        return each[self.places]


def figure(found: Means | Estimate, groups: Ints) -> Figure:
    """Return a figure with its interval. ``groups``: cluster of each row."""
    if isinstance(found, Estimate):
        return correlation.coefficient(found, groups)
    return strata(found.values, found.places, found.weights, groups, low=found.low)


def difference(
    a: Means | Estimate, b: Means | Estimate, groups: Ints, *, resamples: int = 2000, seed: int = 0
) -> tuple[Figure, float]:
    """Return ``a`` minus ``b`` on the same rows, with its interval and the two-sided p of no difference.

    p is from ``sign_flips`` (with ``resamples`` draws), for correlations from Student's t; 1 where there are too few clusters
    for
    an interval.
    """
    if isinstance(a, Estimate) or isinstance(b, Estimate):
        assert isinstance(a, Estimate) and isinstance(b, Estimate)
        return correlation.difference(a - b, groups)
    more, most = a.values - b.values, 1 - a.low
    found = strata(more, a.places, a.weights, groups, low=-most, high=most)
    if found.low is None:
        return found, 1.0
    p = sign_flips(more * a.amounts, groups, resamples=resamples, seed=seed)
    return found, p


def sign_flips(amounts: Floats, groups: Ints, *, resamples: int = 2000, seed: int = 0) -> float:
    """Return the two-sided p of no paired difference: how often random signs of the clusters give one at least as large.

    Args:
        amounts: each row's contribution to the difference (Fisher 1935, section 21). With few clusters p cannot be small.
    """
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=amounts)
    sums = sums[np.abs(sums) > 1e-12]
    if not sums.size:
        return 1.0
    least = abs(sums.sum()) - 1e-9
    if len(sums) <= 10:  # enumerate all signs
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= least).mean())
    rng = np.random.default_rng(seed)
    count = 0
    for start in range(0, resamples, size := max(1, BLOCK // len(sums))):
        signs = rng.integers(0, 2, (min(size, resamples - start), len(sums))) * 2 - 1
        count += int((np.abs(signs @ sums) >= least).sum())
    # Add-one, so that p is never 0 (Davison & Hinkley 1997, eq. 4.11).
    return (count + 1) / (resamples + 1)


def mcnemar(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return the p of the exact McNemar test (1947): among rows that only one judge gets right, is each equally often right?"""
    x, y = np.asarray(a) > 0.5, np.asarray(b) > 0.5
    only_a, only_b = int((x & ~y).sum()), int((y & ~x).sum())
    if only_a + only_b == 0:
        return 1.0
    tail = special.bdtr(min(only_a, only_b), only_a + only_b, 0.5)
    return min(1.0, 2 * float(tail))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values with Holm's step-down correction (1979), valid for all comparisons together."""
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = np.ones(len(p_values)), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted.tolist()


def stuart_maxwell(table: npt.ArrayLike) -> float:
    """Return the p of equal label frequencies on both sides, for any number of labels.

    Stuart (1955, doi 10.1093/biomet/42.3-4.412), Maxwell (1970): with two labels it is McNemar's test without correction.

    Args:
        table: counts of independent rows, labels of one side (down) by labels of the other (across).
    """
    counts = np.asarray(table, np.float64)
    used = (counts + counts.T - 2 * np.diag(np.diag(counts))).sum(axis=0) > 0
    counts = counts[used][:, used]
    if len(counts) < 2:
        return 1.0
    apart = counts.sum(axis=1) - counts.sum(axis=0)
    spread = -(counts + counts.T)
    np.fill_diagonal(spread, counts.sum(axis=1) + counts.sum(axis=0) - 2 * np.diag(counts))
    # A set of labels exchanged only among themselves reduces the rank by one.
    rank = int(np.linalg.matrix_rank(spread))
    return float(special.chdtrc(rank, apart @ np.linalg.pinv(spread) @ apart))
