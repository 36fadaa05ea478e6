"""Bootstrap resamples as row weights, and statistics that can be computed from weights alone.

A resample is a row of whole numbers: how often each data row was drawn. So 2,000 resamples are a
few matrix products instead of 2,000 passes. Knows nothing about labels, verdicts or pages.
(``scipy.stats.bootstrap`` resamples rows one statistic at a time and knows no clusters.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mene.report.columns import Floats, Ints

if TYPE_CHECKING:
    from scipy import sparse

_CELLS = 2_000_000  # weights held at once: 16 MB as float64


def weights(rows: int, resamples: int, seed: int, groups: Ints | None = None) -> Iterator[Floats]:
    """Draw resamples of ``rows`` rows, in blocks of shape (some, rows).

    Args:
        rows: number of data rows, at least 1.
        resamples: number of resamples in all.
        seed: same seed, same weights.
        groups: cluster of each row, numbered from 0 without gaps. Whole clusters are then drawn
            (cluster bootstrap), because rows that share a document are not independent.
    """
    units = rows if groups is None else int(groups.max()) + 1
    rng = np.random.default_rng(seed)
    block = max(1, min(256, _CELLS // rows))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, units, size=(size, units)) + np.arange(size)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=size * units).reshape(size, units)
        yield (counts if groups is None else counts[:, groups]).astype(np.float64)


def clusters(names: Iterable[str]) -> Ints:
    """The cluster of each row as `weights` takes it: a number for every name, from 0 without gaps."""
    return np.unique(list(names), return_inverse=True)[1].astype(np.int64)


def counter(codes: Ints, size: int) -> sparse.csr_array:
    """(size, rows) with one 1 per row of data: times weights it counts the codes."""
    from scipy import sparse

    return sparse.csr_array(
        (np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(size, len(codes))
    )


def percentile_interval(draws: Floats) -> tuple[float, float] | None:
    """The 2.5th and 97.5th percentile of a statistic over resamples (Efron 1979).

    Draws in which the statistic is not defined (NaN) are left out; None where that is most of them.
    """
    finite = draws[np.isfinite(draws)]
    if finite.size == 0 or finite.size < draws.size / 2:
        return None
    low, high = np.percentile(finite, (2.5, 97.5))
    return float(low), float(high)


def accuracy(table: Floats) -> Floats:
    """Share of the diagonal. ``table``: (..., k gold labels, k or more given labels), counts."""
    return divide(np.trace(table, axis1=-2, axis2=-1), table.sum(axis=(-2, -1)))


def balanced_accuracy(table: Floats) -> Floats:
    """Mean recall of the gold labels that occur. ``table`` as in ``accuracy``."""
    totals = table.sum(axis=-1)
    recall = divide(np.diagonal(table, axis1=-2, axis2=-1), totals)
    return divide(np.where(totals > 0, recall, 0).sum(axis=-1), (totals > 0).sum(axis=-1))


def kappa(table: Floats, quadratic: bool = False) -> Floats:
    """Cohen's kappa (1960), or with squared distances between labels (1968).

    ``table``: (..., k, k) counts. NaN where both sides always give one and the same label.
    """
    size = table.shape[-1]
    apart = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float64)
    cost = apart**2 if quadratic else (apart != 0).astype(np.float64)
    total = table.sum(axis=(-2, -1))
    by_chance = table.sum(axis=-1)[..., :, None] * table.sum(axis=-2)[..., None, :]
    expected = divide((cost * by_chance).sum(axis=(-2, -1)), total)
    return 1 - divide((cost * table).sum(axis=(-2, -1)), expected)


def pearson(weight: Floats, x: Floats, y: Floats) -> Floats:
    """Pearson's r under each row of ``weight`` (resamples, rows). NaN where one side is constant."""
    # Shared shift and size do not change r, and keep the sums of squares exact enough.
    x, y = (_unit(v) for v in (x, y))
    total = weight.sum(axis=1)
    sums = weight @ np.column_stack([x, y, x * x, y * y, x * y])
    mx, my, mxx, myy, mxy = (divide(column, total) for column in sums.T)
    return _correlation(mxx - mx**2, myy - my**2, mxy - mx * my)


def spearman(weight: Floats, x: Floats, y: Floats) -> Floats:
    """Spearman's rho (ranks of ties averaged, re-ranked in every resample) under ``weight``."""
    total = weight.sum(axis=1)
    (mx, vx, rx), (my, vy, ry) = (_ranks(weight, total, v) for v in (x, y))
    return _correlation(vx, vy, divide((weight * rx * ry).sum(axis=1), total) - mx * my)


def calibration_error(weight: Floats, bins: Ints, sure: Floats, right: Floats) -> Floats:
    """Expected calibration error: |share right - mean confidence| per bin, weighted by its rows.

    Args:
        weight: (resamples, rows).
        bins: of each row, from 0.
        sure: confidence of each row, 0 to 1.
        right: 1 where the row is right, else 0.
    """
    gap = np.zeros((len(bins), int(bins.max(initial=0)) + 1))
    gap[np.arange(len(bins)), bins] = right - sure
    return divide(np.abs(weight @ gap).sum(axis=1), weight.sum(axis=1))


def _ranks(weight: Floats, total: Floats, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean and variance of the ranks in each resample, and the rank of every row, all over ``total``."""
    order = np.argsort(x, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(x[order]) > 0])
    place = np.empty(len(x), np.int64)
    place[order] = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(x)]))
    many = np.add.reduceat(weight[:, order], starts, axis=1)
    middle = divide(np.cumsum(many, axis=1) - many / 2, total[:, None])
    mean = divide((many * middle).sum(axis=1), total)
    variance = divide((many * middle**2).sum(axis=1), total) - mean**2
    return mean, variance, middle[:, place]


def _correlation(vx: Floats, vy: Floats, covariance: Floats) -> Floats:
    fine = (vx > 1e-12) & (vy > 1e-12)
    r = covariance / np.sqrt(np.where(fine, vx * vy, 1))
    return np.where(fine, np.clip(r, -1, 1), np.nan)


def _unit(x: Floats) -> Floats:
    spread = float(np.ptp(x))
    return (x - x.mean()) / (spread or 1.0)


def average(values: npt.ArrayLike) -> Callable[[Floats], Floats]:
    """The weighted mean of one value per row, as a function of weights (resamples, rows)."""
    column = np.asarray(values, np.float64)
    return lambda weight: divide(weight @ column, weight.sum(axis=1))


def divide(top: npt.ArrayLike, bottom: npt.ArrayLike) -> Floats:
    """``top / bottom``, and NaN without a warning where ``bottom`` is 0."""
    bottom = np.asarray(bottom, np.float64)
    empty = bottom == 0
    return np.where(empty, np.nan, np.asarray(top, np.float64) / np.where(empty, 1, bottom))
