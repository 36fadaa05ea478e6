"""Running the rows of one kind, in less memory when it runs out: their verdicts, or their critiques and labels."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mene.engines.base import Completion
from mene.engines.in_process import critiques
from mene.engines.in_process.batches import batches, fitting, in_trees, shared_start
from mene.engines.in_process.fed import FedModel, State, Stopped
from mene.engines.in_process.labels import Ahead, Logs, read_after, read_in_tree
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import common_start
from mene.engines.steps import RESERVE
from mene.errors import EngineError


@dataclass(frozen=True, slots=True)
class Means:
    """What an engine runs rows with.

    Attributes:
        batch_tokens, most: see ``InProcessEngine``; ``most`` is its ``rows``.
        check: raises ``ModelError`` where the engine can no longer be used.
        ids, decode: see ``FedModel``.
    """

    model: FedModel
    batch_tokens: int
    most: int | None
    check: Callable[[], None]
    ids: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]


@dataclass(slots=True)
class Start:
    """The state of the prefix that a run's prompts share.

    Attributes:
        tokens: of the prefix.
        state: a batch of one that has read them.
        ahead: what has been read of the next tree.
        adapter: the one in use (``Request``).
        others: tokens and state of the prefix that was read with another adapter last, by that adapter.
        stop: set by another thread to end the run.
    """

    tokens: list[int] = field(default_factory=list)
    state: State | None = None
    ahead: Ahead | None = None
    adapter: int | None = 0
    others: dict[int | None, tuple[list[int], State | None]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def obey(self, stop: threading.Event) -> None:
        """Take the ``stop`` event of the current run."""
        self.stop = stop
        if self.state is not None:
            self.state.stop = stop


def share(rows: list[Row], start: Start, means: Means) -> None:
    """Extend ``start`` to the rows' common prefix, computing only what is missing."""
    adapter = rows[0].request.adapter
    if adapter != start.adapter:
        # Labels and their reasons may come by turns.
        start.others[start.adapter] = start.tokens, start.state
        start.tokens, start.state = start.others.pop(adapter, ([], None))
        start.adapter = adapter
        start.obey(start.stop)
    start.ahead = None
    common = shared_start(rows)
    kept = common_start(start.tokens, common)
    for row in rows:
        row.cached = len(common)
    rows[0].cached = kept  # the first row accounts for the tokens that were computed
    state = start.state or means.model.empty(1, start.stop, adapter)
    state.rewind([kept])
    try:
        if len(common) > kept:
            state.feed([common[kept:]])
    except Exception as error:
        _check_memory(error, means, "prompt")
        # Without a shared prefix: the rows compute it themselves, or fail one by one.
        common, state = [], means.model.empty(1, start.stop, adapter)
        for row in rows:
            row.cached = 0
    start.tokens, start.state = common, state


def verdicts(rows: list[Row], start: Start, means: Means) -> Generator[Completion, None, None]:
    """Read the verdicts of rows of one kind."""
    trees = in_trees(rows, means.model)
    found = batches(rows, len(start.tokens), means.model, means.batch_tokens, trees)
    for batch, following in pairwise([*found, []]):
        means.check()
        yield from _attempt(batch, start, means, trees, following)
        if start.stop.is_set():
            return


def _attempt(
    rows: list[Row], start: Start, means: Means, trees: bool, following: Sequence[Row] = ()
) -> Generator[Completion, None, None]:
    """Read a batch of verdicts; when memory runs out, read it in halves.

    Args:
        following: the next batch.
    """
    shared = len(start.tokens)
    assert start.state is not None
    for row in rows:
        row.began = time.perf_counter()
    try:
        if trees:
            ahead, start.ahead = start.ahead or Ahead(start.state), None
            logs, start.ahead = read_in_tree(rows, ahead, shared, following)
        else:
            state = start.state.repeat(len(rows))
            logs = read_after(rows, state, state.feed([row.ids[shared:] for row in rows]))
    except Exception as error:
        _check_memory(error, means)
    else:
        yield from _completions(rows, logs)
        return
    # Out of the clause, or the exception would keep what the batch had in memory.
    state = ahead = None
    means.model.free_memory()
    if len(rows) == 1:
        yield _too_long(rows[0])
        return
    half = (len(rows) + 1) // 2
    yield from _attempt(rows[:half], start, means, trees)
    if not start.stop.is_set():
        yield from _attempt(rows[half:], start, means, trees)


def written(rows: list[Row], start: Start, means: Means) -> Generator[Completion, None, None]:
    """Write the critiques of rows of one kind; when memory runs out, half as many at once."""
    left = {row.request.index: row for row in rows}
    most = means.most
    while left and not start.stop.is_set():
        means.check()
        rows = list(left.values())
        trees = in_trees(rows, means.model)
        found = batches(rows, len(start.tokens), means.model, means.batch_tokens, trees, most)
        groups = list(found)
        try:
            for completion in _write(groups, start, means, trees, most):
                del left[completion.index]
                yield completion
            return
        except Exception as error:
            _check_memory(error, means)
        means.model.free_memory()
        if most != 1 and len(rows) > 1:
            most = max(1, min(most or len(rows), len(left)) // 2)
            continue
        # They were written one by one, in this order.
        failed = next(row for group in groups for row in group if row.request.index in left)
        del left[failed.request.index]
        most = means.most
        yield _too_long(failed)


def _write(
    groups: list[list[Row]], start: Start, means: Means, trees: bool, most: int | None
) -> Generator[Completion, None, None]:
    """Write critiques, at most ``most`` at once, and read the labels after them."""
    assert start.state is not None
    writing = critiques.Writing(
        start=start.state,
        trees=trees,
        fit=fitting(means.model, means.batch_tokens, most),
        check=means.check,
        stop=start.stop,
        decode=means.decode,
        stops=means.model.stops,
    )
    for done, end in critiques.write(groups, writing):
        logs = None if end is None else _labelled(done, end, means)
        end = None  # not kept while others are written
        yield from _completions(done, logs)


def _labelled(rows: list[Row], state: State, means: Means) -> list[Logs]:
    """Read the labels after critiques. A row with more to read than the others, which would be padded, is read alone."""
    keep, rest = critiques.closing(rows, state, means.ids)
    lengths, window = [len(tokens) for tokens in rest], means.model.sliding_window
    padded = len(rows) * max(lengths) > 2 * sum(lengths)
    beyond = window is not None and max(keep) + max(lengths) + RESERVE > window
    if len(rows) > 1 and (padded or beyond):
        longest = lengths.index(max(lengths))
        others = [i for i in range(len(rows)) if i != longest]
        alone = _labelled([rows[longest]], state.select([longest]), means)
        logs = _labelled([rows[i] for i in others], state.select(others), means)
        return [*logs[:longest], *alone, *logs[longest:]]
    state.rewind(keep)
    return read_after(rows, state, state.feed(rest))


def _check_memory(error: Exception, means: Means, what: str = "batch") -> None:
    """Raise an error again unless memory ran out."""
    if isinstance(error, Stopped):
        raise error
    means.check()  # another thread may have closed it
    if not means.model.out_of_memory(error):
        raise EngineError(f"the model failed on a {what}: {error}") from error


def _completions(rows: list[Row], logs: list[Logs] | None) -> list[Completion]:
    """``logs``: of the labels' tokens, per row; None where no label is chosen."""
    now = time.perf_counter()
    return [
        row.completion(
            logs[number] if logs is not None else None,
            now - row.began,
            "try a wider number format, such as float32",
        )
        for number, row in enumerate(rows)
    ]


def _too_long(row: Row) -> Completion:
    error = EngineError(
        f"out of memory on a prompt of {len(row.ids)} tokens; shorten it, or use a smaller model"
    )
    return Completion(row.request.index, error=error)
