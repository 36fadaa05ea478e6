"""95 % intervals, by the same methods for all figures that mene prints; `docs/intervals.md` has their coverage.

The mean of bounded values (a share, a score, a difference of two of them) gets Agresti and Coull's interval (1998, doi
10.2307/2685469) with an effective number of rows: fewer where rows of one cluster (a document, a repeated text) are alike, by
the design effect of the data, and with Student's t for the number of clusters (Korn and Graubard 1998, with Agresti and
Coull's interval instead of Clopper and Pearson's, which bounds it where rows are independent). So it has a width even where
every row is right, and five copies of one row do not count as five. Clusters of unequal sizes count as fewer equal ones: one
document of 300 rows and 20 single rows are worth little more than one cluster. Kappa and F1 are means of pseudo-values and
use the same interval; means of several groups of rows are combined by Zou and Donner's MOVER (2008, doi 10.1002/sim.3095).
Correlations get Fisher's z with the variance of their influence values. Unbounded values (log loss) get a studentised
bootstrap. There is no interval with fewer than ``FEWEST`` effective clusters, nor for figures where no method here keeps its
coverage (the calibration error).

This file has means and what reduces to means; ``correlation`` has correlations, ``clusters`` effective numbers of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # scipy.stats takes a second to import

from mene.stats.clusters import design_effect, standard_error, worth
from mene.stats.columns import Floats, Ints

# Minimum number of clusters (or independent rows); below it, an interval would span nearly everything.
FEWEST = 5
FEWEST_MEANS = 20  # the same for unbounded values
LEVEL = 0.975  # both tails: 95 %
_Z = float(special.ndtri(LEVEL))
BLOCK = 2_000_000  # resampled numbers held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its 95 % interval.

    Attributes:
        value: the figure on the data; None where undefined.
        low, high: ends of the interval, which always contains ``value``; None where there are too few independent rows,
            or where no interval for this figure keeps its coverage.
        n: number of rows.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        """For people: ``0.72 [0.55, 0.84], n = 32``; see ``gate.words.figure_words`` for shares in percent."""
        if self.value is None:
            return f"–, n = {self.n:,}"
        span = "" if self.low is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.value:.2f}{span}, n = {self.n:,}"


def mean(
    values: npt.ArrayLike,
    groups: Ints | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = LEVEL,
) -> Figure:
    """Return the mean of one value per row, between ``low`` and ``high`` (True counts 1).

    Args:
        groups: cluster of each row; None where rows are independent.
        level: probability below the upper end: 0.975 for 95 % between both.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        return Figure(None, None, None, 0)
    value = float(x.mean())
    groups = np.arange(len(x)) if groups is None else groups
    units = worth(groups)
    if units < FEWEST:
        return Figure(value, None, None, len(x))
    ends = _ends((x - low) / (high - low), groups, student(units, level), level)
    return held(value, low + (high - low) * ends[0], low + (high - low) * ends[1], len(x))


def share(value: float, rows: int) -> Figure:
    """Return a share of ``rows`` independent rows, known only by their number."""
    if rows < FEWEST:
        return Figure(value, None, None, rows)
    ends = _agresti_coull(value, rows, student(rows))
    return held(value, *_no_wider_than_exact(ends, value, rows), rows)


def share_ends(value: float, rows: int) -> tuple[float, float]:
    """Return the ends of a share's interval (``share``); 0 and 1 where there are too few rows for one."""
    found = share(value, rows)
    return (0.0, 1.0) if found.low is None or found.high is None else (found.low, found.high)


def strata(
    values: npt.ArrayLike,
    places: Ints,
    weights: Floats,
    groups: Ints | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
) -> Figure:
    """Return a weighted sum of the means of several strata: balanced accuracy over classes, a mean over parts.

    Args:
        places: stratum of each row, from 0; -1 where the row does not count.
        weights: of each stratum; they sum to 1.
        groups: cluster of each row; one cluster may have rows in several strata.
    """
    x = np.asarray(values, np.float64)
    groups = np.arange(len(x)) if groups is None else groups
    at = np.flatnonzero(places >= 0)
    x, places, groups = x[at], places[at], groups[at]
    if len(weights) == 1:
        return mean(x, groups, low=low, high=high)
    if not x.size:
        return Figure(None, None, None, 0)
    sizes = np.bincount(places, minlength=len(weights))
    means = np.bincount(places, weights=x, minlength=len(weights)) / np.maximum(sizes, 1)
    value = float(weights @ means)
    names, own = np.unique(groups, return_inverse=True)
    units = worth(groups)
    if units < FEWEST:
        return Figure(value, None, None, len(x))
    t = student(units)
    ends = np.array(
        [
            _ends((x[places == s] - low) / (high - low), groups[places == s], t)
            for s in range(len(weights))
        ]
    )
    arms = weights[:, None] * np.abs(low + (high - low) * ends - means[:, None])
    alike = np.eye(len(weights))
    if len(names) < len(x):  # strata that share clusters have correlated errors
        parts = np.zeros((len(names), len(weights)))
        np.add.at(parts, (own, places), (x - means[places]) / sizes[places])
        spread = parts.T @ parts
        size = np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
        alike = np.maximum(alike, divide(spread, size, 0.0))
    below, above = (float(np.sqrt(arm @ alike @ arm)) for arm in arms.T)
    return held(value, max(low, value - below), min(high, value + above), len(x))


def kappa(
    gold: Ints, given: Ints, labels: int, groups: Ints | None = None, *, quadratic: bool = False
) -> Figure:
    """Return Cohen's kappa (1960), or with quadratic weights (1968).

    Agreement (1 minus the mean cost) has the interval of a mean. Kappa is linear in it; the pseudo-values account for the
    variation of the agreement by chance.

    Args:
        gold, given: labels of both sides, from 0 to ``labels`` - 1.
    """
    if not gold.size:
        return Figure(None, None, None, 0)
    apart = np.subtract.outer(np.arange(labels), np.arange(labels)).astype(np.float64)
    cost = (apart / max(1, labels - 1)) ** 2 if quadratic else (apart != 0).astype(np.float64)
    left, right = (np.bincount(v, minlength=labels) / len(v) for v in (gold, given))
    by_chance = float(left @ cost @ right)
    if by_chance < 1e-12:  # both sides always give the same label
        return Figure(None, None, None, len(gold))
    costs = cost[gold, given]
    found = float(costs.mean())
    moved = (cost @ right)[gold] + (left @ cost)[given] - 2 * by_chance
    agreed = mean(1 - costs + found / by_chance * moved, groups)

    def of(agreement: float | None) -> float | None:
        return None if agreement is None else max(-1.0, 1 - (1 - agreement) / by_chance)

    return Figure(1 - found / by_chance, of(agreed.low), of(agreed.high), len(gold))


def ratio(top: Floats, bottom: Floats, groups: Ints | None = None) -> Figure:
    """Return ``sum(top) / sum(bottom)``, where no row has more on top than below: F1, or a share of a subset of rows."""
    at = np.flatnonzero(bottom > 0)
    if not at.size:
        return Figure(None, None, None, 0)
    top, bottom = top[at], bottom[at]
    value = top.sum() / bottom.sum()
    return mean(
        value + (top - value * bottom) / bottom.mean(), None if groups is None else groups[at]
    )


def unbounded(
    values: npt.ArrayLike, groups: Ints | None = None, *, resamples: int = 2000, seed: int = 0
) -> Figure:
    """Return the mean of unbounded values (nats), by the studentised bootstrap over clusters.

    Hall (1988, doi 10.1214/aos/1176350933): unlike a symmetric interval, it adapts to skewed values.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        return Figure(None, None, None, 0)
    value = float(x.mean())
    groups = np.arange(len(x)) if groups is None else groups
    _, own = np.unique(groups, return_inverse=True)
    sizes, sums = np.bincount(own).astype(np.float64), np.bincount(own, weights=x)
    count = len(sizes)
    error, units = standard_error(x - value, groups)
    # Where nearly all clusters are 0 (no change), there are too few others to resample.
    changed = np.abs(sums)[own] > 1e-12
    if worth(groups[changed]) < FEWEST_MEANS or error < 1e-12 * abs(value):
        return Figure(value, None, None, len(x))
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, size := max(1, BLOCK // count)):
        drawn = rng.integers(0, count, (min(size, resamples - start), count))
        rows, total = sizes[drawn], sums[drawn]
        n = rows.sum(axis=1)
        middle = total.sum(axis=1) / n
        rest = ((total - middle[:, None] * rows) ** 2).sum(axis=1)
        found.append(divide(middle - value, np.sqrt(count / (count - 1) * rest) / n))
    t = np.concatenate(found)
    t = t[np.isfinite(t)]
    if len(t) < resamples / 2:
        return Figure(value, None, None, len(x))
    # Resamples of few clusters underestimate the spread.
    low, high = np.percentile(t, (100 * (1 - LEVEL), 100 * LEVEL)) * student(units) / _Z
    return held(value, value - float(high) * error, value - float(low) * error, len(x))


def divide(top: npt.ArrayLike, bottom: npt.ArrayLike, empty: float = float("nan")) -> Floats:
    """Return ``top / bottom``, with ``empty`` where ``bottom`` is 0, without a warning."""
    bottom = np.asarray(bottom, np.float64)
    none = bottom == 0
    return np.where(none, empty, np.asarray(top, np.float64) / np.where(none, 1, bottom))


def _ends(u: Floats, groups: Ints, t: float, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of the mean of ``u``, values from 0 to 1 (pseudo-values may exceed these)."""
    n = len(u)
    m = min(1.0, max(0.0, float(u.mean())))
    # Variance relative to zeros and ones, with one 0 and one 1 added, so that rows that are all 0.5 do not imply that no
    # other value can occur.
    more = np.r_[u, 0.0, 1.0]
    less = float(more.var() / (more.mean() * (1 - more.mean())))
    effect, most = design_effect(u, groups)
    ends = _agresti_coull(m, n / (max(less, 1e-9) * effect), t, level)
    if abs(less - 1) > 1e-9 or 1 < effect < most:
        return ends
    return _no_wider_than_exact(ends, m, n / effect, level)


def _no_wider_than_exact(
    ends: tuple[float, float], m: float, rows: float, level: float = LEVEL
) -> tuple[float, float]:
    """For independent zeros and ones (or copies of them), Clopper and Pearson's interval is always conservative; so where
    it is narrower, as for 8 right of 8, it is used."""
    right, wrong = (round(part * rows, 9) for part in (m, 1 - m))
    low = float(special.betaincinv(right, wrong + 1, 1 - level)) if right > 0 else 0.0
    high = float(special.betaincinv(right + 1, wrong, level)) if wrong > 0 else 1.0
    return max(ends[0], low), min(ends[1], high)


def _agresti_coull(m: float, rows: float, t: float, level: float = LEVEL) -> tuple[float, float]:
    z = _Z if level == LEVEL else float(special.ndtri(level))
    effective = rows * (z / t) ** 2
    wide = effective + z**2
    centre = (m * effective + z**2 / 2) / wide
    half = z * np.sqrt(centre * (1 - centre) / wide)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def student(units: float, level: float = LEVEL) -> float:
    """Return the quantile of Student's t for a mean of this number of independent rows or clusters."""
    return float(special.stdtrit(units - 1, level))


def held(value: float, low: float, high: float, n: int) -> Figure:
    return Figure(value, min(low, value), max(high, value), n)
