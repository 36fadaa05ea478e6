"""What a batch of the OpenVINO engine has read: KV cache, padding, positions. The only place that runs the model."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Event
from typing import Any

import numpy as np

from mene.engines.fed import Stopped
from mene.engines.openvino_graph import UNSEEN
from mene.engines.tree import Tree

# Tokens that are read at once, all rows together. Each piece attends over itself whole, mask or not, so that smaller
# ones compute less in vain, down to where the matrices get too small.
PIECE = 256
# Milliseconds between two looks at whether to stop.
LOOK = 50


class OpenVINOState:
    """What the rows of a batch have read; see ``State``.

    The KV cache is in an infer request of OpenVINO, or, where it waits to be gone on with (the start that all rows share), in
    arrays that are loaded into a fresh one.

    Attributes:
        used: (rows, places) bool. Where a row alone is cut, its places go; of several they are only left unseen.
    """

    def __init__(self, compiled: Any, used: np.ndarray, stop: Event | None) -> None:
        self.stop = stop
        self.used = used
        self._compiled = compiled
        self._request: Any = None
        self._kept: list[
            np.ndarray
        ] = []  # (rows of the cache, kv heads, places, size) of each layer's keys and values
        self._beams = np.arange(len(used), dtype=np.int32)  # row -> row of the cache

    @property
    def places(self) -> int:
        """See ``State``."""
        return self.used.shape[1]

    def lengths(self) -> list[int]:
        """See ``State``."""
        return self.used.sum(1).tolist()

    def feed(self, tokens: Sequence[Sequence[int]], keep: int = 1) -> np.ndarray:
        """See ``State.feed``."""
        rows, width = len(tokens), max(map(len, tokens))
        ids = np.zeros((rows, width), np.int64)
        fresh = np.zeros((rows, width), bool)
        for row, some in enumerate(tokens):
            if some:
                ids[row, -len(some) :] = some
                fresh[row, -len(some) :] = True
        positions = np.maximum(self.used.sum(1, keepdims=True) + fresh.cumsum(1) - 1, 0)
        found = []
        for first, last in _pieces(width, max(1, PIECE // rows)):
            new = fresh[:, first:last]
            size = last - first
            seen = np.concatenate([self.used, new], 1)[:, None].repeat(size, 1)
            seen[:, :, -size:] &= np.tri(size, dtype=bool)
            places = np.arange(max(first, width - keep), last) - first
            picks = (np.arange(rows)[:, None] * size + places).reshape(-1)
            logits = self._read(ids[:, first:last], positions[:, first:last], seen, picks)
            if len(places):
                found.append(logits.reshape(rows, len(places), -1))
            self.used = np.concatenate([self.used, new], 1)
        return np.concatenate(found, 1)

    def read_tree(self, tree: Tree, nodes: Sequence[int]) -> np.ndarray:
        """See ``State.read_tree``."""
        start, count = self.places, len(tree.ids)
        self._keep()
        wanted = np.array(nodes)
        order = wanted.argsort(kind="stable")
        ids, depths, mask = np.array(tree.ids), np.array(tree.depths), tree.mask()
        found = []
        try:
            for first, last in _pieces(count, PIECE):
                mine = wanted[order]
                mine = mine[(mine >= first) & (mine < last)] - first
                seen = np.ones((1, last - first, start + last), bool)
                seen[0, :, :start] = self.used
                seen[0, :, start:] = mask[first:last, :last]
                positions = depths[None, first:last] + self.lengths()[0]
                found.append(self._read(ids[None, first:last], positions, seen, mine))
        finally:
            self._request = None  # forgotten; the next one begins with what is kept
        return np.concatenate(found)[order.argsort()]

    def cut(self, places: int) -> None:
        """See ``State.cut``."""
        if places >= self.places:
            return
        if len(self.used) > 1:
            self.used[:, places:] = False
            return
        self._keep()
        self.used = self.used[:, :places]
        self._kept = [values[:, :, :places] for values in self._kept]

    def rewind(self, lengths: Sequence[int]) -> None:
        """See ``State.rewind``."""
        self.used &= self.used.cumsum(1) <= np.array(lengths)[:, None]
        if len(self.used) == 1:
            self.cut(lengths[0])

    def select(self, rows: Sequence[int]) -> OpenVINOState:
        """See ``State.select``."""
        self._keep()
        index = np.array(rows, np.int32)
        return self._copy(self.used[index], self._beams[index])

    def repeat(self, rows: int) -> OpenVINOState:
        """See ``State.repeat``."""
        self._keep()
        return self._copy(self.used.repeat(rows, 0), self._beams.repeat(rows))

    def _copy(self, used: np.ndarray, beams: np.ndarray) -> OpenVINOState:
        state = OpenVINOState(self._compiled, used, self.stop)
        # Rows of the cache that the new state lacks stay behind.
        there = np.unique(beams)
        whole = len(self._kept) == 0 or len(there) == len(self._kept[0])
        state._kept = self._kept if whole else [values[there] for values in self._kept]
        state._beams = np.searchsorted(there, beams).astype(np.int32) if not whole else beams
        return state

    def _keep(self) -> None:
        """Have the KV cache in arrays of our own, and no infer request."""
        if self._request is not None:
            self._kept = [np.array(state.state.data) for state in self._request.query_state()]
            self._beams = np.arange(len(self.used), dtype=np.int32)
            self._request = None

    def _start(self) -> Any:
        """An infer request that has what is kept."""
        import openvino as ov

        request = self._compiled.create_infer_request()
        if self._kept and self._kept[0].shape[2]:
            for state, values in zip(request.query_state(), self._kept, strict=True):
                state.state = ov.Tensor(np.ascontiguousarray(values))
        return request

    def _read(
        self, ids: np.ndarray, positions: np.ndarray, seen: np.ndarray, picks: np.ndarray
    ) -> np.ndarray:
        """Run the model on some more tokens; float32 logits (picks, vocabulary)."""
        import openvino as ov

        wanted = len(picks)
        if not wanted:  # the graph wants one
            picks = np.zeros(1, np.int64)

        if self._request is None:
            self._request = self._start()
            beams = self._beams
        else:
            beams = np.arange(len(ids), dtype=np.int32)
        request = self._request
        mask = np.where(seen, np.float32(0), np.float32(UNSEEN))[:, None]
        inputs = (ids, positions.astype(np.int64), mask, beams, picks.astype(np.int64))
        for number, values in enumerate(inputs):
            request.set_input_tensor(number, ov.Tensor(np.ascontiguousarray(values)))
        request.start_async()
        try:
            while not request.wait_for(LOOK):
                if self.stop is not None and self.stop.is_set():
                    raise Stopped
        except BaseException:  # Ctrl-C too
            request.cancel()
            self._request = None
            raise
        self._beams = np.arange(len(ids), dtype=np.int32)
        return np.array(request.get_output_tensor(0).data)[:wanted]


def _pieces(count: int, size: int) -> list[tuple[int, int]]:
    return [(first, min(first + size, count)) for first in range(0, count, size)]
