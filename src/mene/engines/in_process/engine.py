"""The common part of the engines inside this process: it makes an ``Engine`` of a model that is fed tokens (``fed.py``).

Requests are pulled in windows. The common prefix of a window's prompts is computed once and kept for the next window. The
rest is packed into prefix trees: in verdict mode, nothing that two prompts share is computed twice; prompts of critiques share
what is read together. Every phase of a critique (its tokens, cue, labels of several tokens) is the same step: feed a few more
tokens per row, `State.feed`.

The model reads the same text as in the other engines, token for token; see ``Row``.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress

from mene.engines.base import Completion, LabelKey, Reading, Request
from mene.engines.in_process.batches import windows
from mene.engines.in_process.fed import FedModel, Stopped
from mene.engines.in_process.row import Row, fitted
from mene.engines.in_process.run import Means, Start, share, verdicts, written
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
        self._batch_tokens, self._most = batch_tokens, rows
        self._paths: dict[LabelKey, LabelPaths] = {}
        self._start: Start | None = None  # of the last run, to be reused by the next
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
            start, self._start = self._start or Start(), None
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
        self, requests: Iterable[Request | None], start: Start
    ) -> Generator[Completion, None, None]:
        means = Means(
            self._model,
            self._batch_tokens,
            self._most,
            check=self._check_open,
            ids=self._ids,
            decode=self._decode,
        )
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
                share(rows, start, means)
                run = written if rows[0].room else verdicts
                yield from run(rows, start, means)
                if start.stop.is_set():
                    return

    def _check_open(self) -> None:
        # Checked before every batch, and every token of critiques: a generator in progress may be carried into a fork, which
        # lacks the model's threads.
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
