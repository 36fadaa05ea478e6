"""Running a compiled graph: the only file that does. One thread computes at a time, since one keeps all cores busy."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from contextlib import suppress
from threading import Event, Lock
from typing import Any

import numpy as np

from mene.engines.in_process.fed import Stopped
from mene.engines.openvino.graph import UNSEEN
from mene.engines.openvino.runtime import openvino_runtime

# Milliseconds between two checks for an end.
LOOK = 50

# Program exit waits for the thread that computes: one that returns from OpenVINO after Python has shut down would abort the
# process.
_computing = Lock()
_ending = Event()
_left: list[Any] = []  # must not be freed


@atexit.register
def _end() -> None:
    _ending.set()
    _computing.acquire(timeout=10)


class Runner:
    """A compiled graph (``graph.py``) and the memory that it computes in.

    Attributes:
        shapes: of the KV cache, per layer keys and values: (kv heads, head size).
    """

    def __init__(self, compiled: Any) -> None:
        past = [node for node in compiled.inputs if node.get_any_name().startswith("past.")]
        shapes = [node.get_partial_shape() for node in past]
        self.shapes = [(shape[1].get_length(), shape[3].get_length()) for shape in shapes]
        adapted = [node for node in compiled.inputs if node.get_any_name() == "adapted"]
        self._adapters = adapted[0].get_partial_shape()[0].get_length() if adapted else 0
        self._compiled = compiled
        self._request: Any = None

    def __call__(
        self,
        ids: np.ndarray,
        positions: np.ndarray,
        seen: np.ndarray,
        picks: np.ndarray,
        past: Sequence[np.ndarray],
        adapter: int | None,
        stop: Event | None,
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Read tokens; see ``graph.py`` for the shapes.

        Args:
            seen: bool, (rows, tokens, places of the cache and tokens): what each token attends to.
            adapter: number of the adapter to use, where there is one; None: the weights alone.
            stop: ends the computation when it is set.

        Returns:
            The logits, and the keys and values of the tokens, per layer.

        Raises:
            Stopped: ``stop`` was set.
        """
        ov = openvino_runtime()
        wanted = len(picks)
        if not wanted:  # the graph needs at least one
            picks = np.zeros(1, np.int64)
        mask = np.where(seen, np.float32(0), np.float32(UNSEEN))[:, None]
        inputs = [ids, positions.astype(np.int64), mask, picks.astype(np.int64)]
        if self._adapters:
            inputs.append((np.arange(self._adapters) == adapter).astype(np.float32))
        # Kept here while OpenVINO reads them in place.
        inputs = [np.ascontiguousarray(values) for values in [*inputs, *past]]

        def look() -> None:
            if _ending.is_set() or (stop is not None and stop.is_set()):
                raise Stopped

        with _computing:
            look()  # also before the first wait: a small piece is done before the first check
            request = self._request or self._compiled.create_infer_request()
            self._request = None  # not used again after an error
            for number, values in enumerate(inputs):
                request.set_input_tensor(number, ov.Tensor(values, shared_memory=True))
            try:
                request.start_async()
                while not request.wait_for(LOOK):
                    look()
            except BaseException:  # Ctrl-C too
                _end_early(request, inputs)
                raise
            logits, *added = [
                np.array(request.get_output_tensor(number).data) for number in range(1 + len(past))
            ]
            self._request = request
        return logits[:wanted], added


def _end_early(request: Any, inputs: list[np.ndarray]) -> None:
    """End a computation, which goes on to the end of its current operation, and reads its inputs until then."""
    request.cancel()
    with suppress(Exception):  # it says that it was cancelled
        request.wait()
    if _ending.is_set():
        _left.append((request, inputs))
