"""The Transformers engine: any causal language model that the package ``transformers`` can load.

Requests are pulled in windows. In a window, what the prompts have in common at their start is
computed once and stays for the next window. In verdict mode the rest is packed into prefix trees, so that nothing
any two prompts share is computed twice; in critique mode it is batched by length, and everything a batch does
(prompt, critique, cue, labels of several tokens) is one step: feed a few more tokens per row to
the KV cache, `State.feed`. Loading is the matter of ``transformers_model.py``.

The text the model reads is the same as in the other engines, token for token; see `_Row`.
"""

from __future__ import annotations

import gc
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from mene.engines.answer import closed
from mene.engines.base import Completion, Request, best
from mene.engines.labels import LabelPaths, Path, label_paths, label_probabilities
from mene.engines.transformers_model import load
from mene.engines.transformers_state import State
from mene.engines.tree import Tree, common_start, packs
from mene.errors import ContextOverflow, EngineError, MeneError, ModelError
from mene.verdict import Usage

# Requests looked at together, to share their start and to put rows of like length in a batch.
WINDOW = 256
# Room kept for the cue and the label after a critique.
RESERVE = 32
# The KV cache of a batch holds at most this many times ``batch_tokens``, shared start included.
KV_FACTOR = 8
# Nodes of a prefix tree on a CPU. All of them attend over all, mask or not: 512 are read 1.4 times as fast as 1,024.
TREE_NODES = 512


class TransformersEngine:
    """Runs a causal language model with PyTorch, on the CPU or one GPU.

    Args:
        model: a folder, a model id of the Hugging Face hub, or a ``.gguf`` file (dequantised).
        revision: branch, tag or commit on the hub.
        adapter: a PEFT adapter, folder or hub id.
        dtype: ``float32``, ``bfloat16`` or ``float16``; default float32 on the CPU, else bfloat16.
            Logits are float32 always.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; default ``cuda`` if there is one.
        batch_tokens: most tokens, padding included, that are computed at once.
        context: tokens per prompt and answer; default: what the model was trained on.

    Raises:
        ModelError: packages or weights are missing, or the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        *,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int = 4096,
        context: int | None = None,
    ) -> None:
        loaded = load(model, revision, adapter, dtype, device)
        self.identity = loaded.identity
        self.context: int | None = context or loaded.context
        self.control_tokens = loaded.control_tokens
        self._model: Any = loaded.model
        self._tokenizer: Any = loaded.tokenizer
        self._loaded = loaded
        self._batch_tokens = batch_tokens
        self._paths: dict[tuple[str, tuple[str, ...]], LabelPaths] = {}
        self._start: _Start | None = None  # the one of the run before, for the next
        self._lock = threading.Lock()
        self._owner = os.getpid()

    def run(
        self, requests: Iterable[Request | None], stop: threading.Event | None = None
    ) -> Iterator[Completion]:
        """See ``Engine.run``; at most ``WINDOW`` requests are pulled ahead.

        Runs of several threads have nothing in common but the model, which does not change.
        """
        self._check_open()
        with self._lock:
            start, self._start = self._start or _Start(), None
        start.stop = stop
        # Ended between two completions; what was broken off in the middle of one is not kept.
        with suppress(GeneratorExit):
            yield from self._run(requests, start)
        if self._model is not None:
            self._start = start

    def _run(self, requests: Iterable[Request | None], start: _Start) -> Iterator[Completion]:
        for window in _windows(requests):
            self._check_open()
            groups: dict[tuple[Any, ...], list[_Row]] = {}
            for request in window:
                try:
                    row = self._row(request)
                except MeneError as error:
                    yield Completion(request.index, error=error)
                    continue
                # Rows of one batch have the same tree of labels.
                kind = (request.cue, request.labels, request.critique_tokens > 0, request.choose)
                groups.setdefault(kind, []).append(row)
            for rows in groups.values():
                self._check_open()
                self._share(rows, start)
                how = self._trees if self._in_trees(rows) else self._batches
                for batch in how(rows, start):
                    self._check_open()
                    yield from self._attempt(batch, start)
                    if start.stopped:
                        return

    def _check_open(self) -> None:
        # Asked before every batch: a run that is under way may be carried into a fork, where PyTorch's threads are not.
        if os.getpid() != self._owner:
            raise ModelError(
                "this judge was opened by another process, and a fork cannot use its model; open a judge in each process, "
                "after the fork"
            )
        if self._model is None:
            raise ModelError("this judge was closed; open a new one")

    def prompt(self, request: Request) -> str:
        """The text the model reads, up to where it writes (critique) or the cue (verdict)."""
        text = closed(self._loaded.chat([m._asdict() for m in request.messages]))
        return text + request.opening if request.critique_tokens else text

    def count(self, request: Request) -> int:
        """Tokens of ``prompt(request)``, begin-of-text included."""
        return len(self._loaded.ids(self.prompt(request)))

    def close(self) -> None:
        """Free the model and the shared start."""
        self._model = self._start = None
        self._loaded.model = None
        _free_memory()

    def _row(self, request: Request) -> _Row:
        key = (request.cue, request.labels)
        if key not in self._paths:
            try:
                self._paths[key] = label_paths(self._loaded.tokenize, *key)
            except ValueError as error:
                raise EngineError(f"{error}; choose other labels") from None
        paths = self._paths[key]
        try:
            with self._lock:  # tokenisers are not made for several threads
                text = self.prompt(request)
        except Exception as error:  # a template may raise whatever its author wrote into it
            raise EngineError(f"the model's chat template refuses the messages: {error}") from error
        with self._lock:
            ids = self._loaded.ids(text)
        limit = self.context
        if request.critique_tokens:
            room = request.critique_tokens
            if limit is not None and len(ids) + RESERVE >= limit:
                raise _overflow(len(ids), limit)
            if limit is not None:
                room = min(room, limit - len(ids) - RESERVE)
        else:
            room = 0
            ids += paths.shared
            if limit is not None and len(ids) + max(map(len, paths.paths.values())) > limit:
                raise _overflow(len(ids), limit)
        return _Row(request, text, ids, paths, room)

    def _share(self, rows: list[_Row], start: _Start) -> None:
        """Have the KV cache of the rows' common start in ``start``, computing what lacks."""
        common = rows[0].ids[:-1]  # every row keeps one token of its own to compute
        for row in rows[1:]:
            common = common[: common_start(common, row.ids[:-1])]
        kept = common_start(start.tokens, common)
        for row in rows:
            row.cached = len(common)
        rows[0].cached = kept  # the first row pays for what is new
        state = start.state or State.empty(self._loaded, 1)
        state.cut(kept)
        try:
            if len(common) > kept:
                state.feed([common[kept:]])
        except Exception as error:
            self._check_open()  # meanwhile
            if not _out_of_memory(error):
                raise EngineError(f"the model failed on a prompt: {error}") from error
            # The rows compute their start themselves, or fail one by one.
            common, state = [], State.empty(self._loaded, 1)
            for row in rows:
                row.cached = 0
        start.tokens, start.state = common, state

    def _in_trees(self, rows: list[_Row]) -> bool:
        """Whether rows are read as prefix trees: verdict mode, and a model that takes our mask."""
        window = self._loaded.sliding_window
        return (
            self._loaded.trees
            and not rows[0].room
            and (window is None or max(len(row.ids) for row in rows) + RESERVE <= window)
        )

    def _trees(self, rows: list[_Row], start: _Start) -> Iterator[list[_Row]]:
        """Rows of one tree together: those that begin alike."""
        shared = len(start.tokens)
        most = self._batch_tokens
        if self._loaded.device == "cpu":
            most = min(most, TREE_NODES)
        for pack in packs([row.ids[shared:] for row in rows], most):
            yield [rows[i] for i in pack]

    def _batches(self, rows: list[_Row], start: _Start) -> Iterator[list[_Row]]:
        """Rows of like length together, the longest first."""
        shared, window = len(start.tokens), self._loaded.sliding_window
        batch: list[_Row] = []
        for row in sorted(rows, key=lambda row: -len(row.ids)):
            size = len(batch) + 1
            length = len((batch or [row])[0].ids)
            room = max(other.room for other in [*batch, row])
            # A sliding window is counted in places of the KV cache, padding included: where the
            # window matters, there must be no padding.
            alone = window is not None and length + room + RESERVE > window
            if batch and (
                alone
                or size * (length - shared) > self._batch_tokens
                or size * (length + room) > KV_FACTOR * self._batch_tokens
            ):
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _attempt(self, rows: list[_Row], start: _Start) -> Iterator[Completion]:
        """Run a batch; when memory runs out, the rows that are left, in halves."""
        left = {row.request.index: row for row in rows}
        try:
            for completion in self._batch(rows, start):
                del left[completion.index]
                yield completion
            return
        except Exception as error:
            self._check_open()
            if not _out_of_memory(error):
                raise EngineError(f"the model failed on a batch: {error}") from error
        # Out here nothing holds on to the failed batch any more.
        _free_memory()
        rows = list(left.values())
        if len(left) == 1:
            row = rows[0]
            error = EngineError(
                f"out of memory on a prompt of {len(row.ids)} tokens; "
                "shorten it, or use a smaller model"
            )
            yield Completion(row.request.index, error=error)
            return
        half = (len(rows) + 1) // 2
        for part in (rows[:half], rows[half:]):
            if part:
                yield from self._attempt(part, start)

    def _batch(self, rows: list[_Row], start: _Start) -> Iterator[Completion]:
        began = time.perf_counter()
        shared = len(start.tokens)
        assert start.state is not None
        if self._in_trees(rows):
            yield from self._read_trees(rows, start, began)
            return
        state = start.state.repeat(len(rows))
        logits = state.feed([row.ids[shared:] for row in rows])
        if rows[0].room:
            yield from self._write_critiques(rows, state, logits, began, start)
        else:
            yield from self._choose(rows, state, logits, began)

    def _read_trees(self, rows: list[_Row], start: _Start, began: float) -> Iterator[Completion]:
        """Verdicts of rows that make one tree: prompts, and the labels of several tokens behind them."""
        assert start.state is not None
        branches = rows[0].paths.branches
        chains = _chains(branches) or [()]
        tails = [row.ids[len(start.tokens) :] for row in rows]
        tree = Tree.of([[*tail, *chain] for tail in tails for chain in chains])
        # Row, node of the label tree -> node of the prefix tree whose logits choose among its branches.
        where: dict[tuple[int, Path], int] = {}
        for number, places in enumerate(tree.places):
            row, chain = number // len(chains), chains[number % len(chains)]
            for depth in range(len(chain) + 1):
                where[row, chain[:depth]] = places[len(tails[row]) - 1 + depth]
        logs: list[dict[Path, dict[int, float]]] = [{} for _ in rows]
        tables = start.state.read_tree(tree, list(where.values())).log_softmax(-1)
        for (row, path), table in zip(where, tables, strict=True):
            tokens = branches[path]
            logs[row][path] = dict(zip(tokens, table[list(tokens)].tolist(), strict=True))
        before: list[int] = []
        for index in sorted(range(len(rows)), key=tails.__getitem__):
            rows[index].cached += common_start(before, tails[index])
            before = tails[index]
        for row, row_logs in zip(rows, logs, strict=True):
            yield self._completion(row, row_logs, time.perf_counter() - began)

    def _write_critiques(
        self, rows: list[_Row], state: State, logits: Any, began: float, start: _Start
    ) -> Iterator[Completion]:
        """Write token by token; rows that are done leave when they are half of the batch.

        ``logits`` (rows, 1, vocabulary) are those after the prompts.
        """
        import torch

        for row in rows:
            row.written, row.stopped, row.critique = [], False, ""
            # A generator per row: what is drawn does not depend on the row's neighbours.
            row.random = torch.Generator().manual_seed(row.request.seed)
        while not start.stopped:
            likeliest: list[int] = logits[:, -1].argmax(-1).tolist()
            for row, token, scores in zip(rows, likeliest, logits[:, -1], strict=True):
                if not row.stopped:
                    if row.request.temperature > 0:
                        weights = torch.softmax(scores.cpu() / row.request.temperature, -1)
                        token = int(torch.multinomial(weights, 1, generator=row.random))
                    self._write(row, token)
            done = [i for i, row in enumerate(rows) if row.stopped]
            if 2 * len(done) >= len(rows):
                ready = [rows[i] for i in done]
                if ready[0].request.choose:
                    closing = state.select(done)
                    yield from self._choose(ready, closing, self._close(ready, closing), began)
                else:
                    for row in ready:
                        yield self._completion(row, None, time.perf_counter() - began)
                going = [i for i, row in enumerate(rows) if not row.stopped]
                if not going:
                    return
                rows, state = [rows[i] for i in going], state.select(going)
            logits = state.feed([[] if row.stopped else row.written[-1:] for row in rows])

    def _write(self, row: _Row, token: int) -> None:
        """Add a token to a critique and see whether it ends there."""
        row.written.append(token)
        ended = token in self._loaded.stops
        # A token has at least one byte, so the cue cannot begin further back than this.
        recent = row.written[-(len(row.request.cue.encode()) + 4) :]
        row.stopped = (
            ended
            or len(row.written) >= row.room
            or row.request.cue in self._tokenizer.decode(recent, **_AS_IS)
        )
        if row.stopped:
            # Some tokenisers drop the space of the first token they decode, hence the anchor.
            anchor = row.ids[-1:]
            tokens = row.written[:-1] if ended else row.written
            before = self._tokenizer.decode(anchor, **_AS_IS)
            text = self._tokenizer.decode(anchor + tokens, **_AS_IS)[len(before) :]
            row.critique, cue, _ = text.partition(row.request.cue)
            row.cut = not ended and not cue

    def _close(self, rows: list[_Row], state: State) -> Any:
        """Go back to the end of each critique and read the cue; logits (rows, 1, vocabulary).

        The closed text is tokenised as a whole, as if it had been the prompt; what the KV cache
        has of those tokens is not computed again.
        """
        keep: list[int] = []
        rest: list[list[int]] = []
        for row, cached in zip(rows, state.lengths(), strict=True):
            ids = self._loaded.ids((row.text + row.critique).rstrip() + "\n\n") + list(
                row.paths.shared
            )
            same = min(common_start(row.ids + row.written, ids), cached, len(ids) - 1)
            keep.append(same)
            rest.append(ids[same:])
        state.rewind(keep)
        return state.feed(rest)

    def _choose(
        self, rows: list[_Row], state: State, logits: Any, began: float
    ) -> Iterator[Completion]:
        """Read the labels' probabilities; ``logits`` (rows, 1, vocabulary) are the root's."""
        paths = rows[0].paths
        branches = paths.branches
        logs: list[dict[Path, dict[int, float]]] = [{} for _ in rows]

        def read(node: Path, logits: Any) -> None:
            table = logits.log_softmax(-1)[:, list(branches[node])].tolist()
            for row_logs, values in zip(logs, table, strict=True):
                row_logs[node] = dict(zip(branches[node], values, strict=True))

        read((), logits[:, -1])
        for chain in _chains(branches):
            length = state.places
            logits = state.feed([list(chain)] * len(rows), keep=len(chain))
            state.cut(length)
            for depth in range(1, len(chain) + 1):
                read(chain[:depth], logits[:, depth - 1])
        for row, row_logs in zip(rows, logs, strict=True):
            yield self._completion(row, row_logs, time.perf_counter() - began)

    def _completion(
        self, row: _Row, logs: dict[Path, dict[int, float]] | None, seconds: float
    ) -> Completion:
        """``logs``: of the labels' tokens; None where no label is to be chosen."""
        usage = Usage(
            prompt_tokens=len(row.ids),
            cached_tokens=row.cached,
            completion_tokens=len(row.written),
        )
        done = Completion(row.request.index, usage=usage, latency_s=seconds)
        if row.room:
            done.critique = row.critique.strip()
            if row.cut:
                done.notes.append(f"critique cut at {row.room} tokens")
        if logs is None:
            return done
        try:
            done.probabilities = label_probabilities(row.paths, logs)
            done.label = best(done.probabilities)
        except ValueError:
            done.error = EngineError(
                "the model gave no finite probability to any label; try dtype float32"
            )
        return done


# No tidying of spaces: the text is read again as it stands.
_AS_IS = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}


@dataclass(slots=True)
class _Row:
    """A request on its way.

    Attributes:
        text: the prompt; critique mode: up to where the model writes.
        ids: its tokens; verdict mode: with the cue's (``paths.shared``).
        room: most tokens of critique; 0 = verdict mode.
        cached: tokens of ``ids`` read from the KV cache of the shared start.
        written: tokens of the critique, its end included.
        cut: the critique came to ``room`` before its end.
        random: the row's own source of randomness.
    """

    request: Request
    text: str
    ids: list[int]
    paths: LabelPaths
    room: int
    cached: int = 0
    written: list[int] = field(default_factory=list)
    critique: str = ""
    stopped: bool = False
    cut: bool = False
    random: Any = None


@dataclass(slots=True)
class _Start:
    """What a run has read of the start that its prompts share, and whether it is to go on.

    Attributes:
        tokens: of the start.
        state: its KV cache, as a batch of one.
        stop: set by another thread.
    """

    tokens: list[int] = field(default_factory=list)
    state: State | None = None
    stop: threading.Event | None = None

    @property
    def stopped(self) -> bool:
        return self.stop is not None and self.stop.is_set()


def _chains(branches: Iterable[Path]) -> list[Path]:
    """The inner nodes that begin no other inner node; feeding these visits all of them."""
    nodes = list(branches)
    return [n for n in nodes if n and not any(len(o) > len(n) and o[: len(n)] == n for o in nodes)]


def _overflow(tokens: int, window: int) -> ContextOverflow:
    return ContextOverflow(
        f"the prompt has {tokens} tokens, window {window}; "
        "shorten the sample, or use a model with a larger context"
    )


def _out_of_memory(error: Exception) -> bool:
    # PyTorch has a class for GPUs; on the CPU it is a RuntimeError like any other.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
        or "not enough memory" in str(error)
    )


def _free_memory() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _windows(requests: Iterable[Request | None]) -> Iterator[list[Request]]:
    """Up to ``WINDOW`` requests at a time; fewer where a None says that no more are at hand."""
    window: list[Request] = []
    for request in requests:
        if request is not None:
            window.append(request)
        if window and (request is None or len(window) == WINDOW):
            yield window
            window = []
    if window:
        yield window
