"""The common part of the engines inside this process: it makes an ``Engine`` of a model that is fed tokens (``fed.py``).

Requests are pulled in windows. The common prefix of a window's prompts is computed once and kept for the next window. The
rest is packed into prefix trees, so that nothing that two prompts share is computed twice. Every phase of a critique (its
tokens, cue, labels of several tokens) is the same step: feed a few more tokens per row, `State.feed`.

The model reads the same text as in the other engines, token for token; see ``Row``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

from mene.engines.base import Completion, LabelKey, Reading, Request
from mene.engines.in_process import critiques
from mene.engines.in_process.batches import batches, fitting, in_trees, shared_start, windows
from mene.engines.in_process.fed import FedModel, State, Stopped
from mene.engines.in_process.labels import Ahead, Logs, read_after, read_in_tree
from mene.engines.in_process.row import Row, fitted
from mene.engines.in_process.tree import common_start
from mene.engines.labels import LabelPaths, label_paths
from mene.errors import EngineError, MeneError, ModelError


class InProcessEngine:
    """Runs a model that is fed tokens.

    Args:
        model: freed by ``close``.
        batch_tokens: maximum number of tokens, including padding, computed at once.
        context: maximum number of tokens of prompt and answer; default: what the model was trained on.
        rows: maximum number of critiques written at once; None = limited by memory only.
    """

    def __init__(
        self,
        model: FedModel,
        *,
        batch_tokens: int = 4096,
        context: int | None = None,
        rows: int | None = None,
    ) -> None:
        self.identity = model.identity
        self.context: int | None = context or model.context
        self.control_tokens = model.control_tokens
        self._model = model
        self._batch_tokens = batch_tokens
        self._most = rows
        self._paths: dict[LabelKey, LabelPaths] = {}
        self._start: _Start | None = None  # of the last run, to be reused by the next
        self._closed = False
        self._lock = threading.Lock()  # for all text functions: tokenisers are not thread-safe
        self._owner = os.getpid()

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Generator[Completion, None, None]:
        """See ``Engine.run``; at most ``WINDOW`` requests are pulled ahead.

        Runs in several threads share only the model, which is read-only.
        """
        self._check_open()
        with self._lock:
            start, self._start = self._start or _Start(), None
        start.obey(stop or threading.Event())
        try:
            # The caller stopped between two completions; a completion in progress is lost.
            with suppress(GeneratorExit):
                yield from self._run(requests, start)
        except Stopped:
            return
        if not self._closed:
            self._start = start

    @property
    def reading(self) -> Reading | None:
        """See ``reading_of``."""
        return self._model.reading

    def prompt(self, request: Request) -> str:
        """Return the text that the model reads, up to where it writes (critique) or up to the cue (verdict)."""
        with self._lock:
            text = self._model.chat([m._asdict() for m in request.messages])
        return text + request.opening if request.critique_tokens else text

    def count(self, request: Request) -> int:
        """Return the number of tokens of ``prompt(request)``, including begin-of-text."""
        return len(self._ids(self.prompt(request)))

    def close(self) -> None:
        """Free the model and the shared prefix.

        In a forked process, keep them: freeing waits for threads that exist only in the parent.
        """
        self._closed = True
        if os.getpid() != self._owner:
            return
        self._start = None
        self._model.close()

    def _run(
        self, requests: Iterable[Request | None], start: _Start
    ) -> Generator[Completion, None, None]:
        for window in windows(requests):
            self._check_open()
            kinds: dict[tuple[object, ...], list[Row]] = {}
            for request in window:
                try:
                    row = self._row(request)
                except MeneError as error:
                    yield Completion(request.index, error=error)
                    continue
                kinds.setdefault(row.kind, []).append(row)
            for rows in kinds.values():
                if start.stop.is_set():
                    return
                self._check_open()
                self._share(rows, start)
                if rows[0].room:
                    yield from self._attempt(rows, start, most=self._most)
                    continue
                for batch, following in pairwise([*self._batches(rows, start), []]):
                    self._check_open()
                    yield from self._attempt(batch, start, following)
                    if start.stop.is_set():
                        return

    def _batches(
        self, rows: Sequence[Row], start: _Start, most: int | None = None
    ) -> Iterator[list[Row]]:
        return batches(rows, len(start.tokens), self._model, self._batch_tokens, most)

    def _check_open(self) -> None:
        # Checked before every batch: a generator in progress may be carried into a fork, which lacks the model's threads.
        if os.getpid() != self._owner:
            raise ModelError(
                "this judge was opened by another process, and a fork cannot use its model; open a judge in each process, "
                "after the fork"
            )
        if self._closed:
            raise ModelError("this judge was closed; open a new one")

    def _row(self, request: Request) -> Row:
        key = request.label_key
        if key not in self._paths:
            try:
                with self._lock:
                    self._paths[key] = label_paths(self._model.tokenize, *key)
            except (ValueError, TypeError) as error:  # a lone surrogate
                raise EngineError(f"{error}; choose other labels") from None
        try:
            text = self.prompt(request)
        except Exception as error:  # a template may raise anything
            raise EngineError(f"the model's chat template refuses the messages: {error}") from error
        try:
            ids = self._ids(text)
        except Exception as error:  # a lone surrogate
            raise EngineError(f"the model's tokeniser refuses the prompt: {error}") from error
        return fitted(request, text, ids, self._paths[key], self.context)

    def _ids(self, text: str) -> list[int]:
        with self._lock:
            return self._model.ids(text)

    def _decode(self, tokens: Sequence[int]) -> str:
        with self._lock:
            return self._model.decode(tokens)

    def _share(self, rows: list[Row], start: _Start) -> None:
        """Extend ``start`` to the rows' common prefix, computing only what is missing."""
        adapted = rows[0].request.adapted
        if adapted != start.adapted:
            start.tokens, start.state, start.adapted = [], None, adapted
        start.ahead = None
        common = shared_start(rows)
        kept = common_start(start.tokens, common)
        for row in rows:
            row.cached = len(common)
        rows[0].cached = kept  # the first row accounts for the tokens that were computed
        state = start.state or self._model.empty(1, start.stop, adapted)
        state.rewind([kept])
        try:
            if len(common) > kept:
                state.feed([common[kept:]])
        except Stopped:
            raise
        except Exception as error:
            self._check_open()  # another thread may have closed it
            if not self._model.out_of_memory(error):
                raise EngineError(f"the model failed on a prompt: {error}") from error
            # Without a shared prefix: the rows compute it themselves, or fail one by one.
            common, state = [], self._model.empty(1, start.stop, adapted)
            for row in rows:
                row.cached = 0
        start.tokens, start.state = common, state

    def _attempt(
        self,
        rows: list[Row],
        start: _Start,
        following: Sequence[Row] = (),
        most: int | None = None,
    ) -> Generator[Completion, None, None]:
        """Run rows; when memory runs out, run what remains in halves.

        Args:
            following: the next batch of verdicts.
            most: critiques written at once; None: no limit.
        """
        left = {row.request.index: row for row in rows}
        try:
            found = (
                self._write(rows, start, most)
                if rows[0].room
                else self._read(rows, start, following)
            )
            for completion in found:
                del left[completion.index]
                yield completion
            return
        except Stopped:
            raise
        except Exception as error:
            self._check_open()
            if not self._model.out_of_memory(error):
                raise EngineError(f"the model failed on a batch: {error}") from error
        # At this point nothing refers to the failed batch any more.
        self._model.free_memory()
        rows = list(left.values())
        if len(left) == 1:
            row = rows[0]
            error = EngineError(
                f"out of memory on a prompt of {len(row.ids)} tokens; "
                "shorten it, or use a smaller model"
            )
            yield Completion(row.request.index, error=error)
            return
        most = max(1, min(most or len(rows), len(rows)) // 2)
        half = most if rows[0].room else (len(rows) + 1) // 2
        for part in (rows[:half], rows[half:]):
            if part:
                yield from self._attempt(part, start, most=most)

    def _read(
        self, rows: list[Row], start: _Start, following: Sequence[Row]
    ) -> Generator[Completion, None, None]:
        """Read the verdicts of a batch."""
        shared = len(start.tokens)
        assert start.state is not None
        for row in rows:
            row.began = time.perf_counter()
        if in_trees(rows, self._model):
            ahead, start.ahead = start.ahead or Ahead(start.state), None
            logs, start.ahead = read_in_tree(rows, ahead, shared, following)
        else:
            state = start.state.repeat(len(rows))
            logs = read_after(rows, state, state.feed([row.ids[shared:] for row in rows]))
        yield from _completions(rows, logs)

    def _write(
        self, rows: list[Row], start: _Start, most: int | None
    ) -> Generator[Completion, None, None]:
        """Write the critiques of any number of rows, at most ``most`` at once, and read their verdicts."""
        assert start.state is not None
        writing = critiques.Writing(
            start=start.state,
            trees=in_trees(rows, self._model),
            fit=fitting(self._model, self._batch_tokens, most),
            stop=start.stop,
            decode=self._decode,
            stops=self._model.stops,
        )
        for done, end in critiques.write(self._batches(rows, start, most), writing):
            logs = None
            if end is not None:
                logs = read_after(done, end, critiques.close(done, end, self._ids))
            yield from _completions(done, logs)


@dataclass(slots=True)
class _Start:
    """The state of the prefix that a run's prompts share.

    Attributes:
        tokens: of the prefix.
        state: a batch of one that has read them.
        ahead: what has been read of the next tree.
        adapted: whether the weights were used with their adapter.
        stop: set by another thread to end the run.
    """

    tokens: list[int] = field(default_factory=list)
    state: State | None = None
    ahead: Ahead | None = None
    adapted: bool = True
    stop: threading.Event = field(default_factory=threading.Event)

    def obey(self, stop: threading.Event) -> None:
        """Take the ``stop`` event of the current run."""
        self.stop = stop
        if self.state is not None:
            self.state.stop = stop


def _completions(rows: list[Row], logs: list[Logs] | None) -> Generator[Completion, None, None]:
    """``logs``: of the labels' tokens, per row; None where no label is chosen."""
    for number, row in enumerate(rows):
        yield row.completion(
            logs[number] if logs is not None else None,
            "try a wider number format, such as float32",
        )
