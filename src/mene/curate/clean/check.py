"""Checks on a single raw row: its points, their length, and whether a benchmark contains them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mene.curate.clean.decontaminate import Index, Known, Leak, leak_of
from mene.curate.clean.unique import key
from mene.curate.mix import fits
from mene.curate.raw.rows import read_row
from mene.curate.raw.sources import Point, Source
from mene.errors import SampleError


@dataclass(frozen=True, slots=True)
class Row:
    """The result of checking one line of a file.

    Attributes:
        number: of the line, from 1.
        read: number of points in the row; the other fields say what became of them.
        too_long: points with more text than the recipe allows.
        leaks: of the points that are in a benchmark.
        points: the remaining points; for a row of a file with ``keys``, by which each is recognised (``unique.key``).
        broken: why the row has no points.
    """

    number: int
    read: int = 0
    too_long: int = 0
    leaks: tuple[Leak, ...] = ()
    points: tuple[Point, ...] = ()
    keys: tuple[bytes, ...] = ()
    broken: str | None = None


class Check:
    """All checks on a single row.

    Args:
        index: of the benchmarks.
        longest: maximum characters of a sample's text.
        seed: for drawing question wordings.
    """

    def __init__(self, index: Index, longest: int, seed: int) -> None:
        self._index = index
        self._longest = longest
        self._seed = seed
        self._known: Known = {}

    def __call__(self, source: Source, number: int, line: str) -> Row:
        try:
            found = read_row(source, line, self._seed)
        except SampleError as error:
            return Row(number, broken=str(error))
        row = self.of(found, number)
        return replace(row, keys=tuple(map(key, row.points)))

    def of(self, found: Sequence[Point], number: int) -> Row:
        """Return the result for points from any source."""
        fitting = [point for point in found if fits(point, self._longest)]
        leaks, points = [], []
        for point in fitting:
            leak = leak_of(point, self._index, self._known)
            if leak is None:
                points.append(point)
            else:
                leaks.append(leak)
        left = len(found) - len(fitting)
        return Row(number, len(found), left, tuple(leaks), tuple(points))
