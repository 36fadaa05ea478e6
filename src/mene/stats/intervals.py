"""95 % intervals of figures, by one method for all that mene prints; `docs/intervals.md` has their coverage.

A mean of values between two ends (a share, a credit, a difference of two of them) gets Agresti and Coull's interval
(1998, doi 10.2307/2685469) on an effective number of rows: fewer where rows of one cluster (a document, a repeated
text) are alike, by the design effect of the data, and by Student's t for the number of clusters (Korn and Graubard
1998, with Agresti and Coull's interval in place of Clopper and Pearson's, to whose ends it is cut where rows stand
alone). So it has a width where every row is right, and does not pretend that five copies of one row are five. Clusters
of unequal sizes count as fewer of one size: a document of 300 rows beside 20 rows alone is hardly more than one.
Kappa and F1 are means of pseudo-values and go the same way; means of several groups of rows are put together by Zou and
Donner's MOVER (2008, doi 10.1002/sim.3095). Correlations get Fisher's z with the spread of their influence values. What
has no known ends (log loss) gets a studentised bootstrap. There is no interval on what is worth fewer than ``FEWEST``
clusters, nor where no method here keeps its promise (the calibration error).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from mene.stats.columns import Floats, Ints

FEWEST = 5  # clusters (rows, where each stands for itself) below which an interval would span nearly everything
FEWEST_PAIRS = 10  # the same for a correlation
FEWEST_MEANS = 20  # the same where only the data say how far values can lie apart
LEVEL = 0.975  # both tails: 95 %
_Z = float(stats.norm.ppf(LEVEL))
_BLOCK = 2_000_000  # numbers of resamples held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its 95 % interval.

    Attributes:
        value: the figure on the data as it is; None where it is not defined.
        low, high: ends of the interval, which always holds ``value``; None where there are too few independent rows to
            say anything, or where the figure has no interval that keeps its promise.
        n: rows it stands on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and what each row adds to its error.

    Attributes:
        value: NaN where it is not defined.
        influence: one per row; mean 0, and the variance of the figure is that of their mean.
    """

    value: float
    influence: Floats

    def __sub__(self, other: Estimate) -> Estimate:
        return Estimate(self.value - other.value, self.influence - other.influence)


def clusters(names: Iterable[Hashable]) -> Ints:
    """The cluster of each row: a number for every name, from 0 without gaps."""
    seen: dict[Hashable, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)


def mean(
    values: npt.ArrayLike, groups: Ints | None = None, *, low: float = 0.0, high: float = 1.0
) -> Figure:
    """The mean of one value per row, between ``low`` and ``high`` (True counts 1).

    Args:
        groups: cluster of each row; None where every row stands for itself.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        return Figure(None, None, None, 0)
    value = float(x.mean())
    groups = np.arange(len(x)) if groups is None else groups
    units = _units(groups)
    if units < FEWEST:
        return Figure(value, None, None, len(x))
    ends = _ends((x - low) / (high - low), groups, _student(units))
    return _held(value, low + (high - low) * ends[0], low + (high - low) * ends[1], len(x))


def share(value: float, rows: int) -> Figure:
    """A share of ``rows`` of which only the number is known, each of them taken to stand for itself."""
    if rows < FEWEST:
        return Figure(value, None, None, rows)
    ends = _agresti_coull(value, rows, _student(rows))
    return _held(value, *_no_wider_than_exact(ends, value, rows), rows)


def share_ends(value: float, rows: int) -> tuple[float, float]:
    """Ends of the interval of a share (``share``); from 0 to 1 where the rows are too few for one."""
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
    """A weighted sum of the means of several strata: balanced accuracy over classes, a mean over parts.

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
    units = _units(groups)
    if units < FEWEST:
        return Figure(value, None, None, len(x))
    t = _student(units)
    ends = np.array(
        [
            _ends((x[places == s] - low) / (high - low), groups[places == s], t)
            for s in range(len(weights))
        ]
    )
    arms = weights[:, None] * np.abs(low + (high - low) * ends - means[:, None])
    alike = np.eye(len(weights))
    if len(names) < len(x):  # strata that share clusters err together
        parts = np.zeros((len(names), len(weights)))
        np.add.at(parts, (own, places), (x - means[places]) / sizes[places])
        spread = parts.T @ parts
        size = np.sqrt(np.outer(np.diag(spread), np.diag(spread)))
        alike = np.maximum(alike, divide(spread, size, 0.0))
    below, above = (float(np.sqrt(arm @ alike @ arm)) for arm in arms.T)
    return _held(value, max(low, value - below), min(high, value + above), len(x))


def kappa(
    gold: Ints, given: Ints, labels: int, groups: Ints | None = None, *, quadratic: bool = False
) -> Figure:
    """Cohen's kappa (1960), or with squared distances between labels (1968).

    Agreement (1 minus the mean cost) has the interval of a mean; kappa is a line in it, and how much the agreement by
    chance varies with the rows is in the pseudo-values.

    Args:
        gold, given: labels of both sides, from 0 to ``labels`` - 1.
    """
    if not gold.size:
        return Figure(None, None, None, 0)
    apart = np.subtract.outer(np.arange(labels), np.arange(labels)).astype(np.float64)
    cost = (apart / max(1, labels - 1)) ** 2 if quadratic else (apart != 0).astype(np.float64)
    left, right = (np.bincount(v, minlength=labels) / len(v) for v in (gold, given))
    by_chance = float(left @ cost @ right)
    if by_chance < 1e-12:  # both sides always give one and the same label
        return Figure(None, None, None, len(gold))
    costs = cost[gold, given]
    found = float(costs.mean())
    moved = (cost @ right)[gold] + (left @ cost)[given] - 2 * by_chance
    agreed = mean(1 - costs + found / by_chance * moved, groups)

    def of(agreement: float | None) -> float | None:
        return None if agreement is None else max(-1.0, 1 - (1 - agreement) / by_chance)

    return Figure(1 - found / by_chance, of(agreed.low), of(agreed.high), len(gold))


def ratio(top: Floats, bottom: Floats, groups: Ints | None = None) -> Figure:
    """``sum(top) / sum(bottom)``, where no row has more on top than below: F1, the share of some rows of some."""
    at = np.flatnonzero(bottom > 0)
    if not at.size:
        return Figure(None, None, None, 0)
    top, bottom = top[at], bottom[at]
    value = top.sum() / bottom.sum()
    return mean(
        value + (top - value * bottom) / bottom.mean(), None if groups is None else groups[at]
    )


def pearson(x: Floats, y: Floats) -> Estimate:
    """Pearson's r; NaN where one side does not vary."""
    if len(x) < 2 or any(np.ptp(v) <= 1e-6 * (1 + np.abs(v).max()) for v in (x, y)):
        return Estimate(float("nan"), np.zeros(len(x)))
    u, v = ((w - w.mean()) / w.std() for w in (x, y))
    r = float(np.clip((u * v).mean(), -1, 1))
    return Estimate(r, u * v - r * (u**2 + v**2) / 2)


def spearman(x: Floats, y: Floats) -> Estimate:
    """Spearman's rho: Pearson's r of the ranks, those of ties averaged."""
    return pearson(stats.rankdata(x), stats.rankdata(y))


def coefficient(estimate: Estimate, groups: Ints | None = None, *, ranks: bool = False) -> Figure:
    """A correlation, by Fisher's z. Its spread is that of the influence values, and at least that of normal data.

    Args:
        ranks: it is of ranks, which spreads more (Bonett and Wright 2000, doi 10.1007/BF02294183).
    """
    r, n = estimate.value, len(estimate.influence)
    if not np.isfinite(r):
        return Figure(None, None, None, n)
    error, units = _error(estimate.influence, groups)
    if units < FEWEST_PAIRS:
        return Figure(r, None, None, n)
    inner = float(np.clip(r, 1 / n - 1, 1 - 1 / n))  # z has no end at 1
    rows = n / _design_effect(estimate.influence, np.arange(n) if groups is None else groups)[0]
    wide = max(error / (1 - inner**2), float(np.sqrt((1 + ranks * r * r / 2) / (rows - 3))))
    z = np.arctanh(inner)
    ends = np.tanh([z - _student(units) * wide, z + _student(units) * wide])
    return _held(r, float(ends[0]), float(ends[1]), n)


def difference(estimate: Estimate, groups: Ints | None = None) -> tuple[Figure, float]:
    """A difference of two correlations on the same rows, and the two-sided p of none, by Student's t."""
    error, units = _error(estimate.influence, groups)
    n = len(estimate.influence)
    if not np.isfinite(estimate.value):
        return Figure(None, None, None, n), 1.0
    if units < FEWEST_MEANS or error == 0:
        return Figure(estimate.value, None, None, n), 1.0
    half = _student(units) * error
    p = 2 * float(stats.t.sf(abs(estimate.value) / error, units - 1))
    return Figure(estimate.value, estimate.value - half, estimate.value + half, n), p


def unbounded(
    values: npt.ArrayLike, groups: Ints | None = None, *, resamples: int = 2000, seed: int = 0
) -> Figure:
    """The mean of values without known ends (nats), by the studentised bootstrap over clusters.

    Hall (1988, doi 10.1214/aos/1176350933): a mean of skewed values errs to one side, and this interval leans with it.
    """
    x = np.asarray(values, np.float64)
    if not x.size:
        return Figure(None, None, None, 0)
    value = float(x.mean())
    groups = np.arange(len(x)) if groups is None else groups
    _, own = np.unique(groups, return_inverse=True)
    sizes, sums = np.bincount(own).astype(np.float64), np.bincount(own, weights=x)
    count = len(sizes)
    error, units = _error(x - value, groups)
    # Where nearly all clusters are 0 (no change), the few others are too few to be drawn from.
    changed = np.abs(sums)[own] > 1e-12
    if _units(groups[changed]) < FEWEST_MEANS or error < 1e-12 * abs(value):
        return Figure(value, None, None, len(x))
    rng = np.random.default_rng(seed)
    found = []
    for start in range(0, resamples, size := max(1, _BLOCK // count)):
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
    # Resamples of few clusters do not reach as far as the data may.
    low, high = np.percentile(t, (100 * (1 - LEVEL), 100 * LEVEL)) * _student(units) / _Z
    return _held(value, value - float(high) * error, value - float(low) * error, len(x))


def sign_flips(amounts: Floats, groups: Ints, *, resamples: int = 2000, seed: int = 0) -> float:
    """Two-sided p that a paired difference is none: how often it is as large if each cluster's sign is a coin's.

    Args:
        amounts: what each row adds to the difference (Fisher 1935, section 21). With few clusters p cannot be small.
    """
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=amounts)
    sums = sums[np.abs(sums) > 1e-12]
    if not sums.size:
        return 1.0
    least = abs(sums.sum()) - 1e-9
    if len(sums) <= 10:  # all of them
        signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
        return float((np.abs(signs @ sums) >= least).mean())
    rng = np.random.default_rng(seed)
    count = 0
    for start in range(0, resamples, size := max(1, _BLOCK // len(sums))):
        signs = rng.integers(0, 2, (min(size, resamples - start), len(sums))) * 2 - 1
        count += int((np.abs(signs @ sums) >= least).sum())
    # Add-one, so that p is never 0 (Davison & Hinkley 1997, eq. 4.11).
    return (count + 1) / (resamples + 1)


def divide(top: npt.ArrayLike, bottom: npt.ArrayLike, empty: float = float("nan")) -> Floats:
    """``top / bottom``, and ``empty`` without a warning where ``bottom`` is 0."""
    bottom = np.asarray(bottom, np.float64)
    none = bottom == 0
    return np.where(none, empty, np.asarray(top, np.float64) / np.where(none, 1, bottom))


def _ends(u: Floats, groups: Ints, t: float) -> tuple[float, float]:
    """The interval of the mean of ``u``, values from 0 to 1 (pseudo-values may lie beyond)."""
    n = len(u)
    m = min(1.0, max(0.0, float(u.mean())))
    # What the rows vary less (or more) than ones and zeros would; of one 0 and one 1 more, so that rows which are all
    # one half do not say that no other value can come.
    more = np.r_[u, 0.0, 1.0]
    less = float(more.var() / (more.mean() * (1 - more.mean())))
    effect, most = _design_effect(u, groups)
    ends = _agresti_coull(m, n / (max(less, 1e-9) * effect), t)
    if abs(less - 1) > 1e-9 or 1 < effect < most:
        return ends
    return _no_wider_than_exact(ends, m, n / effect)


def _no_wider_than_exact(ends: tuple[float, float], m: float, rows: float) -> tuple[float, float]:
    """Of zeros and ones that stand alone (or are copies) Clopper and Pearson's interval never promises too much; so
    where it is the narrower one, as of 8 right of 8, it is enough."""
    right, wrong = (round(part * rows, 9) for part in (m, 1 - m))
    low = float(stats.beta.ppf(1 - LEVEL, right, wrong + 1)) if right > 0 else 0.0
    high = float(stats.beta.ppf(LEVEL, right + 1, wrong)) if wrong > 0 else 1.0
    return max(ends[0], low), min(ends[1], high)


def _agresti_coull(m: float, rows: float, t: float) -> tuple[float, float]:
    effective = rows * (_Z / t) ** 2
    wide = effective + _Z**2
    centre = (m * effective + _Z**2 / 2) / wide
    half = _Z * np.sqrt(centre * (1 - centre) / wide)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _design_effect(u: Floats, groups: Ints) -> tuple[float, float]:
    """How many times larger clusters make the variance of the mean: from 1 (no likeness) to their size (all alike); and
    that size.

    Where the rows do not vary, nothing is known of it, and the rows of a cluster are taken for one.
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


def _error(influence: Floats, groups: Ints | None) -> tuple[float, float]:
    """Standard error of the mean of influence values over clusters, and how many clusters these are worth."""
    n = len(influence)
    groups = np.arange(n) if groups is None else groups
    sums = np.bincount(np.unique(groups, return_inverse=True)[1], weights=influence)
    k = _units(groups)
    return (float(np.sqrt(k / (k - 1) * (sums**2).sum())) / n if len(sums) > 1 else 0.0), k


def _units(groups: Ints) -> float:
    """How many clusters of one size tell as much (Kish 1965): one of 300 rows beside 20 of one row are worth 1.1."""
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.size else 0.0


def _student(units: float) -> float:
    return float(stats.t.ppf(LEVEL, units - 1))


def _held(value: float, low: float, high: float, n: int) -> Figure:
    return Figure(value, min(low, value), max(high, value), n)
