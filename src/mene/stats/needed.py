"""How many more rows would tell on which side of a threshold a mean lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mene.stats import intervals, sequential
from mene.stats.clusters import design_effect
from mene.stats.columns import Floats, Ints
from mene.stats.intervals import FEWEST, LEVEL, Figure

MOST = 100_000  # rows beyond which nobody wants to know


def side_of(figure: Figure, at: float, *, least: bool = True) -> sequential.Side | None:
    """Where the whole interval lies, above the threshold or below it; None where it holds the threshold.

    Args:
        least: the threshold itself is one of the values above it, else of those below.
    """
    if figure.low is None or figure.high is None:
        return None
    if figure.low > at or (least and figure.low == at):
        return "above"
    return "below" if figure.high < at or (not least and figure.high == at) else None


def rows_needed(
    values: Floats,
    groups: Ints,
    at: float,
    *,
    low: float = 0.0,
    high: float = 1.0,
    level: float = LEVEL,
    least: bool = True,
    anytime: bool = False,
) -> int | None:
    """How many rows more would tell, if they were like those that are there: the same values in the same shares, as much alike
    within clusters. The smallest number of rows whose interval lies on one side of the threshold.

    The mean of the new rows will be a little another one, so it is about as likely that so many are not yet enough.

    Args:
        at: the threshold, on whose side nobody can tell the mean to be.
        least: as of ``side_of``.
        anytime: of the intervals of ``sequential``.

    Returns:
        None where more than ``MOST`` rows are needed in all: the mean lies at the threshold.
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
        return side_of(found, at, least=least) is not None

    independent = _first(tells, max(FEWEST, int(n / effect)))
    if independent is None:
        return None
    rows = int(np.ceil(independent * effect))
    return max(1, rows - n) if rows <= MOST else None


def _first(tells: Callable[[int], bool], start: int) -> int | None:
    """The first number above ``start``, nearly, that tells: found by doubling, then by halves."""
    low, high = start, start + 1
    while not tells(high):
        if high >= MOST:
            return None
        low, high = high, min(2 * high, MOST)
    while high - low > max(1, high // 200):  # closer than anybody can know
        middle = (low + high) // 2
        low, high = (low, middle) if tells(middle) else (middle, high)
    return high
