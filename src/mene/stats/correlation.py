"""Correlations and their intervals: Fisher's z with the variance of the influence values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from mene.stats.clusters import design_effect, standard_error
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import FEWEST_MEANS, Figure, held, student

FEWEST_PAIRS = 10  # minimum number of clusters for an interval


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, and each row's influence on its error.

    Attributes:
        value: NaN where undefined.
        influence: one per row, with mean 0; the figure's variance is that of their mean.
    """

    value: float
    influence: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.influence - other.influence)


def pearson(x: Floats, y: Floats) -> Estimate:
    """Return Pearson's r; NaN where one side does not vary."""
    if len(x) < 2 or any(np.ptp(v) <= 1e-6 * (1 + np.abs(v).max()) for v in (x, y)):
        return Estimate(float("nan"), np.zeros(len(x)))
    u, v = ((w - w.mean()) / w.std() for w in (x, y))
    r = float(np.clip((u * v).mean(), -1, 1))
    return Estimate(r, u * v - r * (u**2 + v**2) / 2)


def spearman(x: Floats, y: Floats) -> Estimate:
    """Return Spearman's rho: Pearson's r of the ranks, with tied ranks averaged."""
    from scipy.stats import rankdata  # takes a second to import

    return pearson(rankdata(x), rankdata(y))


def coefficient(estimate: Estimate, groups: Ints | None = None, *, ranks: bool = False) -> Figure:
    """Return a correlation with its interval by Fisher's z. Its variance is that of the influence values, at least that of
    normal
    data.

    Args:
        ranks: it is a rank correlation, with larger variance (Bonett and Wright 2000, doi 10.1007/BF02294183).
    """
    r, n = estimate.value, len(estimate.influence)
    if not np.isfinite(r):
        return Figure(None, None, None, n)
    error, units = standard_error(estimate.influence, groups)
    if units < FEWEST_PAIRS:
        return Figure(r, None, None, n)
    inner = float(np.clip(r, 1 / n - 1, 1 - 1 / n))  # z is infinite at 1
    rows = n / design_effect(estimate.influence, np.arange(n) if groups is None else groups)[0]
    wide = max(error / (1 - inner**2), float(np.sqrt((1 + ranks * r * r / 2) / (rows - 3))))
    z = np.arctanh(inner)
    ends = np.tanh([z - student(units) * wide, z + student(units) * wide])
    return held(r, float(ends[0]), float(ends[1]), n)


def difference(estimate: Estimate, groups: Ints | None = None) -> tuple[Figure, float]:
    """Return a difference of two correlations on the same rows, and the two-sided p of no difference (Student's t)."""
    error, units = standard_error(estimate.influence, groups)
    n = len(estimate.influence)
    if not np.isfinite(estimate.value):
        return Figure(None, None, None, n), 1.0
    if units < FEWEST_MEANS or error == 0:
        return Figure(estimate.value, None, None, n), 1.0
    half = student(units) * error
    p = 2 * float(special.stdtr(units - 1, -abs(estimate.value) / error))
    return Figure(estimate.value, estimate.value - half, estimate.value + half, n), p
