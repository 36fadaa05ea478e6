"""A sample of a set that fits in memory, to make more points from."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from mene.curate.mix import rank
from mene.curate.raw.sources import Point

MOST = 20_000  # maximum number of points in memory


class Pool:
    """Whole groups of a set's rows, drawn by hash.

    Args:
        most: maximum number of points; the last group may be incomplete.
    """

    def __init__(self, most: int, seed: int) -> None:
        self._most = most
        self._seed = seed
        # Of two points with the same id, the first one is kept.
        self._heap: list[tuple[float, float, str, int, Point]] = []
        self._seen = 0

    def add(self, point: Point) -> None:
        entry = (
            -rank(self._seed, "pool", point.group),
            -rank(self._seed, "pool", point.id, point.task),
            point.name,
            -self._seen,
            point,
        )
        self._seen += 1
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        elif entry > self._heap[0]:
            heapq.heapreplace(self._heap, entry)

    def watch(self, points: Iterable[Point]) -> Iterator[Point]:
        """Yield the points unchanged, while sampling from them."""
        for point in points:
            self.add(point)
            yield point

    def points(self) -> list[Point]:
        """Return the sample, in an order that depends only on the seed."""
        return [entry[-1] for entry in sorted(self._heap, reverse=True)]
