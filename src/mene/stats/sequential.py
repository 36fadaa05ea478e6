"""Means of values that arrive one by one, with intervals valid at every time, so that checking early costs nothing.

A gambler starts with 1 and bets on every value that the mean is higher than m. If it is not, no gain is expected, and the
capital ever exceeds 1 / a with probability at most a (Ville 1939). So an m for which it did can be excluded, whenever that
happened. This is the betting confidence sequence of Waudby-Smith and Ramdas (2024, JRSS-B 86(1), doi
10.1093/jrsssb/qkad009; arXiv 2010.09686), section 4, averaged over many fixed bets (their diversified Kelly betting,
appendix B; an average over all bets is Robbins's mixture, 1970, doi 10.1214/aoms/1177696786):

    K(m) = mean over shares c of product over values x of (1 - c + c x / m)

A share c of the capital is bet each time. With fixed shares, K does not depend on the order of the values and decreases in m,
so the excluded m are those below one bound. The other side uses 1 - x and 1 - m. The only assumptions: values are bounded, and
each has the same expectation given those before it, as for rows drawn at random.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from mene.stats.columns import Floats
from mene.stats.intervals import LEVEL, Figure, held

Side = Literal["above", "below"]

# Small shares detect small differences in many rows, large ones great differences in few. Logarithmic spacing prefers
# no size (as Robbins's mixture does); the largest is below 1, where a single 0 would end all.
SHARES = np.geomspace(0.001, 0.99, 48)
STEPS = 60  # bisections, down to a float's resolution of the unit interval


def mean(
    values: npt.ArrayLike,
    counts: npt.ArrayLike | None = None,
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = LEVEL,
) -> Figure:
    """Return the mean of values between ``low`` and ``high``, with an interval that is valid at all times.

    Args:
        counts: how often each value occurred, also fractional; None: once.
        level: probability below the upper end: 0.975 for 95 % between both.
    """
    x = np.asarray(values, np.float64)
    n = np.ones(len(x)) if counts is None else np.asarray(counts, np.float64)
    if not x.size:
        return Figure(None, None, None, 0)
    u = (x - low) / (high - low)
    value = float(n @ u / n.sum())
    enough = -math.log(1 - level)
    ends = _bound(u, n, value, enough), 1 - _bound(1 - u, n, 1 - value, enough)
    return held(
        low + (high - low) * value,
        low + (high - low) * ends[0],
        low + (high - low) * ends[1],
        round(float(n.sum())),
    )


def log_capital(u: Floats, counts: Floats, m: float) -> float:
    """Return the logarithm of K(m) after these values, from 0 to 1; ``m`` is above 0."""
    gains = counts @ np.log1p(SHARES[None, :] * (u[:, None] / m - 1))
    return float(_log_sum(gains) - np.log(len(SHARES)))


def _log_sum(logs: Floats) -> Floats:
    """Return the logarithm of the sum along the last axis; SciPy's version takes ten times as long on small arrays."""
    most = logs.max(axis=-1)
    return most + np.log(np.exp(logs - most[..., None]).sum(axis=-1))


def _bound(u: Floats, counts: Floats, value: float, enough: float) -> float:
    """Return the lower end: all means below it are excluded."""
    values, at = np.unique(u, return_inverse=True)
    times = np.bincount(at, weights=counts).astype(np.float64)
    return _last(lambda m: log_capital(values, times, m) >= enough, value)


def _last(holds: Callable[[float], bool], end: float) -> float:
    """Return the highest number from 0 to ``end`` at which ``holds`` is true; it must be true of all lower ones."""
    low, high = 0.0, end
    for _ in range(STEPS):
        middle = (low + high) / 2
        if middle <= 0 or middle in (low, high):
            break
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def first_decided(
    values: npt.ArrayLike, at: float, *, low: float = 0.0, high: float = 1.0, level: float = LEVEL
) -> tuple[Side, int] | None:
    """Return what ``Threshold`` decides on complete values, and after how many of them; None if nothing."""
    u = (np.asarray(values, np.float64) - low) / (high - low)
    m = (at - low) / (high - low)
    enough = -math.log(1 - level) + math.log(len(SHARES))
    found: list[tuple[int, Side]] = []
    sides: tuple[tuple[Side, Floats, float], ...] = (("above", u, m), ("below", 1 - u, 1 - m))
    for side, x, mean_ in sides:
        if mean_ <= 0:
            continue
        capital = np.cumsum(np.log1p(SHARES * (x[:, None] / mean_ - 1)), axis=0)
        reached = np.flatnonzero(_log_sum(capital) >= enough)
        if reached.size:
            found.append((int(reached[0]) + 1, side))
    if not found:
        return None
    rows, side = min(found)
    return side, rows


class Threshold:
    """Decides whether the mean of incoming values is above or below a threshold. A decision is final.

    Args:
        at: the threshold, from ``low`` to ``high``.
        level: 1 minus the probability of a wrong decision for above, and likewise for below.

    Attributes:
        side: the decision; None while undecided.
        rows: number of values so far.
        decided: number of values that the decision took.
    """

    def __init__(
        self, at: float, *, low: float = 0.0, high: float = 1.0, level: float = LEVEL
    ) -> None:
        self._low, self._width = low, high - low
        self._at = (at - low) / (high - low)
        self._enough = -math.log(1 - level) + math.log(len(SHARES))
        self._above, self._below = np.zeros(len(SHARES)), np.zeros(len(SHARES))
        self.rows = 0
        self.side: Side | None = None
        self.decided: int | None = None

    def add(self, value: float) -> None:
        """Add the next value.

        Raises:
            ValueError: it is outside the bounds, on which the guarantee depends.
        """
        u = (value - self._low) / self._width
        if not -1e-9 <= u <= 1 + 1e-9:
            raise ValueError(f"{value} does not lie between {self._low} and the upper end")
        u = min(max(u, 0.0), 1.0)
        self.rows += 1
        if self._at > 0:
            self._above += np.log1p(SHARES * (u / self._at - 1))
        if self._at < 1:
            self._below += np.log1p(SHARES * ((1 - u) / (1 - self._at) - 1))
        if self.side is not None:
            return
        if self._at > 0 and _log_sum(self._above) >= self._enough:
            self.side, self.decided = "above", self.rows
        elif self._at < 1 and _log_sum(self._below) >= self._enough:
            self.side, self.decided = "below", self.rows
