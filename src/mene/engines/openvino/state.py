"""What the rows of an OpenVINO batch have read: their KV caches, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event

import numpy as np

from mene.engines.base import Reading
from mene.engines.in_process.tree import Tree
from mene.engines.openvino.run import Runner

# Tokens read at once, over all rows. A piece attends to all of itself, whatever the mask, so smaller pieces waste less,
# until the matrices become too small.
PIECE = 256
# Free places made at once where rows are written token by token. Each is attended to, though masked.
SPARE = 64


class Progress:
    """Progress of reads in several pieces; of several threads, the latest report counts."""

    reading: Reading | None = None

    def tell(self, read: int, known: int) -> None:
        """Report that ``read`` of ``known`` tokens have been read."""
        self.reading = Reading(read, known) if known > PIECE and read < known else None

    def end(self) -> None:
        """Report that nothing is being read."""
        self.reading = None


class OpenVINOState:
    """What the rows of a batch have read; see ``State``.

    A row's tokens are in the first places of its cache, without gaps; what is behind them is not attended to.

    Args:
        cache: per layer, keys and values: (rows, kv heads, places, head size) float32.
        lengths: (rows,) int64, tokens that each row has read.
    """

    def __init__(
        self,
        run: Runner,
        cache: list[np.ndarray],
        lengths: np.ndarray,
        progress: Progress,
        stop: Event | None,
        adapter: int | None = 0,
    ) -> None:
        self.stop = stop
        self._run, self._cache, self._lengths = run, cache, lengths
        self._progress, self._adapter = progress, adapter

    @classmethod
    def empty(
        cls, run: Runner, rows: int, progress: Progress, stop: Event | None, adapter: int | None
    ) -> OpenVINOState:
        """Return a state whose rows have read nothing."""
        cache = [np.zeros((rows, heads, 0, size), np.float32) for heads, size in run.shapes]
        return cls(run, cache, np.zeros(rows, np.int64), progress, stop, adapter)

    def lengths(self) -> list[int]:
        """See ``State``."""
        return self._lengths.tolist()

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        """See ``State.feed``."""
        rows, width = len(tokens), max(map(len, tokens))
        ids = np.zeros((rows, width), np.int64)
        fresh = np.zeros((rows, width), bool)
        for row, some in enumerate(tokens):
            if some:
                ids[row, -len(some) :] = some
                fresh[row, -len(some) :] = True
        positions = np.maximum(self._lengths[:, None] + fresh.cumsum(1) - 1, 0)
        found, known = [], int(fresh.sum())
        try:
            for first, last in _pieces(width, max(1, PIECE // rows)):
                self._progress.tell(int(fresh[:, :first].sum()), known)
                new, size = fresh[:, first:last], last - first
                past = np.arange(self._cache[0].shape[2]) < self._lengths[:, None]
                seen = np.concatenate([past, new], 1)[:, None].repeat(size, 1)
                seen[:, :, -size:] &= np.tri(size, dtype=bool)
                places = np.arange(max(first, width - keep), last) - first
                picks = (np.arange(rows)[:, None] * size + places).reshape(-1)
                logits, added = self._run(
                    ids[:, first:last], positions[:, first:last], seen, picks, self._cache, self._adapter, self.stop
                )  # fmt: skip
                if len(places):
                    found.append(logits.reshape(rows, len(places), -1))
                self._append(added, new)
        finally:
            self._progress.end()
        return np.concatenate(found, 1)

    def _append(self, added: list[np.ndarray], new: np.ndarray) -> None:
        """Add keys and values of tokens to the cache. new: (rows, tokens) bool, which of them are tokens of a row."""
        lengths = self._lengths + new.sum(1)
        places = self._cache[0].shape[2]
        if (longest := int(lengths.max())) > places:
            spare = SPARE if new.shape[1] == 1 else 0
            more = ((0, 0), (0, 0), (0, longest + spare - places), (0, 0))
            # With zeros: a masked NaN would still be NaN.
            self._cache = [np.pad(values, more) for values in self._cache]
        rows, tokens = new.nonzero()
        where = (self._lengths[:, None] + new.cumsum(1) - 1)[rows, tokens]
        for values, some in zip(self._cache, added, strict=True):
            values[rows, :, where] = some[rows, :, tokens]
        self._lengths = lengths

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, paths: Sequence[Sequence[int]] = ()
    ) -> tuple[np.ndarray, OpenVINOState | None]:
        """See ``State.read_tree``."""
        (length,) = self.lengths()
        start, count = length - known, len(tree.ids)
        wanted = np.array(nodes)
        order = wanted.argsort(kind="stable")
        in_order = wanted[order]
        ids, depths, mask = np.array(tree.ids), np.array(tree.depths), tree.mask()
        found = []
        cache = [values[:, :, :length] for values in self._cache]
        try:
            for first, last in _pieces(count, PIECE, known):
                self._progress.tell(first - known, count - known)
                mine = in_order[(in_order >= first) & (in_order < last)] - first
                seen = np.ones((1, last - first, start + last), bool)
                seen[0, :, start:] = mask[first:last, :last]
                logits, added = self._run(
                    ids[None, first:last], depths[None, first:last] + start, seen, mine, cache, self._adapter, self.stop
                )  # fmt: skip
                found.append(logits)
                if paths or last < count:
                    cache = [np.concatenate(pair, 2) for pair in zip(cache, added, strict=True)]
        finally:
            self._progress.end()
        ahead = None
        if paths:
            before = np.arange(start)
            each = [np.concatenate([before, np.array(path, np.int64) + start]) for path in paths]
            lengths = np.array([len(places) for places in each])
            longest = int(lengths.max())
            rows = [_gathered([values[0]] * len(each), each, longest) for values in cache]
            ahead = self._with(rows, lengths)
        return np.concatenate(found)[order.argsort()], ahead

    def rewind(self, lengths: Sequence[int]) -> None:
        """See ``State.rewind``."""
        self._lengths = np.minimum(self._lengths, lengths)
        if len(self._lengths) == 1 and self._cache[0].shape[2] > self._lengths[0] + SPARE:
            # The shared prefix is rewound and used for long.
            self._cache = [values[:, :, : self._lengths[0]].copy() for values in self._cache]

    def select(self, rows: Sequence[int], more: Sequence[OpenVINOState] = ()) -> OpenVINOState:
        """See ``State.select``."""
        parts = [(self, list(rows)), *((other, [*range(len(other._lengths))]) for other in more)]
        lengths = np.concatenate([state._lengths[some] for state, some in parts])
        places, width = [slice(length) for length in lengths], int(lengths.max()) + SPARE
        cache = []
        for number in range(len(self._cache)):
            own = [state._cache[number][row] for state, some in parts for row in some]
            cache.append(_gathered(own, places, width))
        return self._with(cache, lengths)

    def repeat(self, rows: int) -> OpenVINOState:
        """See ``State.repeat``."""
        return self.select([0] * rows)

    def _with(self, cache: list[np.ndarray], lengths: np.ndarray) -> OpenVINOState:
        return OpenVINOState(self._run, cache, lengths, self._progress, self.stop, self._adapter)


def _gathered(
    rows: Sequence[np.ndarray], places: Sequence[np.ndarray | slice], width: int
) -> np.ndarray:
    """Return a cache of some places of each row, with ``width`` places; each of ``rows`` is (kv heads, places, head size)."""
    heads, _, size = rows[0].shape
    found = np.zeros((len(rows), heads, width, size), np.float32)
    for own, values, some in zip(found, rows, places, strict=True):
        part = values[:, some]
        own[:, : part.shape[1]] = part
    return found


def _pieces(count: int, size: int, start: int = 0) -> list[tuple[int, int]]:
    return [(first, min(first + size, count)) for first in range(start, count, size)]
