"""The state of an OpenVINO batch: KV cache, padding, positions. The only file that runs the model."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from threading import Event, Lock
from typing import Any

import numpy as np

from mene.engines.base import Reading
from mene.engines.in_process.fed import Stopped
from mene.engines.in_process.tree import Tree
from mene.engines.openvino.graph import UNSEEN
from mene.engines.openvino.runtime import openvino_runtime

# Tokens read at once, over all rows. A piece attends to all of itself, whatever the mask, so smaller pieces waste less,
# until the matrices become too small.
PIECE = 256
# Milliseconds between two checks of ``stop``.
LOOK = 50

# One thread computes at a time, since one keeps all cores busy. Program exit waits for it: a thread that returns from
# OpenVINO after Python has shut down would abort the process.
_computing = Lock()
_ending = Event()
_left: list[Any] = []  # infer requests that must not be freed


@atexit.register
def _end() -> None:
    _ending.set()
    _computing.acquire(timeout=10)


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

    The KV cache is in an OpenVINO infer request. While it waits (as the shared prefix does), it is in arrays, to be loaded
    into a new request.

    Attributes:
        used: (rows, places) bool. Cutting a single row removes its places; with several rows they are only masked.
    """

    def __init__(
        self,
        compiled: Any,
        used: np.ndarray,
        stop: Event | None,
        progress: Progress,
        adapted: bool = True,
    ) -> None:
        self.stop = stop
        self._adapted = adapted
        self._progress = progress
        self.used = used
        self._compiled = compiled
        self._request: Any = None
        self._kept: list[
            np.ndarray
        ] = []  # per layer, keys and values: (rows of the cache, kv heads, places, size)

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
        found, known = [], int(fresh.sum())
        for first, last in _pieces(width, max(1, PIECE // rows)):
            self._progress.tell(int(fresh[:, :first].sum()), known)
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
        self._progress.end()
        return np.concatenate(found, 1)

    def read_tree(
        self, tree: Tree, nodes: Sequence[int], known: int = 0, path: Sequence[int] = ()
    ) -> tuple[np.ndarray, OpenVINOState | None]:
        """See ``State.read_tree``."""
        start, count = self.places - known, len(tree.ids)
        self._keep()
        wanted = np.array(nodes)
        order = wanted.argsort(kind="stable")
        in_order = wanted[order]
        depth = int(self.used[0, :start].sum())
        ids, depths, mask = np.array(tree.ids), np.array(tree.depths), tree.mask()
        found, ahead = [], None
        try:
            for first, last in _pieces(count, PIECE, known):
                self._progress.tell(first - known, count - known)
                mine = in_order[(in_order >= first) & (in_order < last)] - first
                seen = np.ones((1, last - first, start + last), bool)
                seen[0, :, :start] = self.used[:, :start]
                seen[0, :, start:] = mask[first:last, :last]
                positions = depths[None, first:last] + depth
                found.append(self._read(ids[None, first:last], positions, seen, mine))
            if path:
                places = np.concatenate(
                    [np.flatnonzero(self.used[0, :start]), np.array(path) + start]
                )
                states = self._request.query_state()
                kept = [state.state.data[:, :, places] for state in states]
                ahead = self._copy(np.ones((1, len(places)), bool), kept)
        finally:
            self._progress.end()
            self._drop()  # forget all; the next read starts from the kept arrays
        return np.concatenate(found)[order.argsort()], ahead

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
            seen = np.flatnonzero(self.used[0])
            self.cut(int(seen[-1]) + 1 if len(seen) else 0)

    def select(self, rows: Sequence[int]) -> OpenVINOState:
        """See ``State.select``."""
        self._keep()
        index = np.array(rows)
        return self._copy(self.used[index], [values[index] for values in self._kept])

    def repeat(self, rows: int) -> OpenVINOState:
        """See ``State.repeat``."""
        self._keep()
        shapes = ((rows, *values.shape[1:]) for values in self._kept)
        spread = zip(self._kept, shapes, strict=True)
        return self._copy(self.used.repeat(rows, 0), [np.broadcast_to(*each) for each in spread])

    def _copy(self, used: np.ndarray, kept: list[np.ndarray]) -> OpenVINOState:
        state = OpenVINOState(self._compiled, used, self.stop, self._progress, self._adapted)
        state._kept = kept
        return state

    def _keep(self) -> None:
        """Move the KV cache into arrays and release the infer request."""
        if self._request is not None:
            self._kept = [np.array(state.state.data) for state in self._request.query_state()]
            self._drop()

    def _drop(self) -> None:
        if _ending.is_set() and self._request is not None:
            _left.append(self._request)
        self._request = None

    def _start(self) -> Any:
        """Return an infer request loaded with the kept arrays."""
        ov = openvino_runtime()
        request = self._compiled.create_infer_request()
        if self._kept and self._kept[0].shape[2]:
            for state, values in zip(request.query_state(), self._kept, strict=True):
                state.state = ov.Tensor(np.ascontiguousarray(values))
        return request

    def _read(
        self, ids: np.ndarray, positions: np.ndarray, seen: np.ndarray, picks: np.ndarray
    ) -> np.ndarray:
        """Run the model on more tokens; return float32 logits (picks, vocabulary)."""
        ov = openvino_runtime()
        wanted = len(picks)
        if not wanted:  # the graph needs at least one
            picks = np.zeros(1, np.int64)
        mask = np.where(seen, np.float32(0), np.float32(UNSEEN))[:, None]
        inputs = [ids, positions.astype(np.int64), mask, picks.astype(np.int64)]
        if len(self._compiled.inputs) > len(inputs):
            inputs.append(np.array([self._adapted], np.float32))
        with _computing:
            if self._request is None:
                self._request = self._start()
            request = self._request
            for number, values in enumerate(inputs):
                request.set_input_tensor(number, ov.Tensor(np.ascontiguousarray(values)))
            try:
                # Also before the first wait: a small piece is done before the first check.
                self._look()
                request.start_async()
                while not request.wait_for(LOOK):
                    self._look()
            except BaseException:  # Ctrl-C too
                request.cancel()
                self._progress.end()
                self._drop()
                raise
            return np.array(request.get_output_tensor(0).data)[:wanted]

    def _look(self) -> None:
        if _ending.is_set() or (self.stop is not None and self.stop.is_set()):
            raise Stopped


def _pieces(count: int, size: int, start: int = 0) -> list[tuple[int, int]]:
    return [(first, min(first + size, count)) for first in range(start, count, size)]
