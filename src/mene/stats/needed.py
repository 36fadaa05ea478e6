"""How many more rows are needed to tell on which side of a threshold a mean lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mene.stats import intervals, sequential
from mene.stats.clusters import design_effect
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import FEWEST, LEVEL, Figure

MOST = 100_000  # larger numbers are not computed


def side_of(figure: Figure, at: float, *, at_is_above: bool = True) -> sequential.Side | None:
    """Return whether the whole interval is above or below the threshold; None where it contains the threshold.

    Args:
        at_is_above: the threshold itself counts as above (``>=`` holds there, and ``<`` does not); else as below.
    """
    if figure.low is None or figure.high is None:
        return None
    if figure.low > at or (at_is_above and figure.low == at):
        return "above"
    return "below" if figure.high < at or (not at_is_above and figure.high == at) else None


def rows_needed(
    values: Floats,
    groups: Ints,
    at: float,
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = LEVEL,
    at_is_above: bool = True,
    anytime: bool = False,
) -> int | None:
    """Return how many more rows are needed, if they resemble the existing ones: same shares of values, same likeness within
    clusters. It is the smallest number with which the interval lies on one side of the threshold.

    The mean of the new rows will differ somewhat, so about half of the time this number will not be enough.

    Args:
        at: the threshold, which the current interval contains.
        at_is_above: as for ``side_of``.
        anytime: use the intervals of ``sequential``.

    Returns:
        None where more than ``MOST`` rows are needed in all: the mean is about at the threshold.
    """
    n = len(values)
    if not n or abs(values.mean() - at) < 1e-12:
        return None
    ordered = np.sort(values)
    effect = 1.0 if anytime else design_effect(values, groups)[0]

    def tells(rows: int) -> bool:
        if anytime:
            kinds, counts = np.unique(values, return_counts=True)
            found = sequential.mean(kinds, counts * (rows / n), low=low, high=high, level=level)
        else:
            drawn = ordered[((np.arange(rows) + 0.5) * n / rows).astype(np.int64)]
            found = intervals.mean(drawn, low=low, high=high, level=level)
        return side_of(found, at, at_is_above=at_is_above) is not None

    independent = _first(tells, max(FEWEST, int(n / effect)))
    if independent is None:
        return None
    rows = int(np.ceil(independent * effect))
    return max(1, rows - n) if rows <= MOST else None


def _first(tells: Callable[[int], bool], start: int) -> int | None:
    """Return approximately the first number above ``start`` for which ``tells`` is true, by doubling and then bisection."""
    low, high = start, start + 1
    while not tells(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > max(1, high // 200):  # finer than the estimate can be
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
