"""Writing critiques in parallel, token by token up to the cue, the end of the turn, or the limit.

Rows that have ended leave the batch, and others join it, so that the weights are read for many rows at each step.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import NamedTuple

import numpy as np

from mene.engines.in_process.fed import State
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import Tree, common_start
from mene.engines.steps import ends, up_to_end

Decode = Callable[[list[int]], str]
# Part of a batch that has ended when these rows leave it: moving the others costs about a step.
LEAVE = 1 / 4


class Writing(NamedTuple):
    """How the rows of a run are written.

    Attributes:
        start: has read what all prompts begin with, and is left unchanged.
        trees: whether prompts are read as prefix trees.
        fit: whether rows may be written together.
        check: called before each token; what it raises ends the writing.
        stop: ends the writing when it is set.
        decode: tokens to text.
        stops: tokens that end a turn.
    """

    start: State
    trees: bool
    fit: Callable[[list[Row]], bool]
    check: Callable[[], None]
    stop: Event
    decode: Decode
    stops: frozenset[int]


def write(
    groups: Iterable[list[Row]], writing: Writing
) -> Iterator[tuple[list[Row], State | None]]:
    """Write the critiques of rows.

    Args:
        groups: rows of one kind; those of a group are read together.

    Yields:
        Rows that have ended and, where a label follows the critique, a state with these rows only.
    """
    waiting, rows = deque(groups), list[Row]()
    state: State | None = None
    while not writing.stop.is_set():
        writing.check()
        done = [i for i, row in enumerate(rows) if row.stopped]
        if len(done) < LEAVE * len(rows):
            assert state is not None
            logits = state.feed([[] if row.stopped else row.written[-1:] for row in rows])
            _choose(rows, logits, writing)
            continue
        if done and state is not None:
            ended = [rows[i] for i in done]
            yield ended, state.select(done) if ended[0].request.choose else None
        going = [i for i, row in enumerate(rows) if not row.stopped]
        rows = [rows[i] for i in going]
        if not going:
            state = None  # not kept while others are read
        joining: list[State] = []
        while waiting and (some := _joining(rows, waiting, writing.fit)):
            joining.append(_begin(some, writing))
            rows += some
        if not rows:
            return
        state = _merged(state, going, joining)
        joining.clear()


def _merged(state: State | None, going: list[int], joining: list[State]) -> State:
    """Return a state with the rows that go on, and those that join; there is at least one."""
    if state is None:
        state, *joining = joining
        if not joining:
            return state
        going = [*range(len(state.lengths()))]
    return state.select(going, joining)


def _joining(
    rows: list[Row], waiting: deque[list[Row]], fit: Callable[[list[Row]], bool]
) -> list[Row]:
    """Take as many rows of the next group as fit."""
    group = waiting.popleft()
    count = next((n for n in range(len(group), 0, -1) if fit(rows + group[:n])), 0)
    if count < len(group):
        waiting.appendleft(group[count:])
    return group[:count]


def _begin(rows: list[Row], writing: Writing) -> State:
    """Read the prompts of rows, and choose their first tokens."""
    for row in rows:
        row.began = time.perf_counter()
        row.written, row.stopped, row.critique = [], False, ""
        # One generator per row, so that the draws do not depend on the other rows.
        row.random = np.random.default_rng(row.request.seed % 2**64)
    (shared,) = writing.start.lengths()
    tails = [row.ids[shared:] for row in rows]
    if not writing.trees or len(rows) == 1:
        state = writing.start.repeat(len(rows))
        _choose(rows, state.feed(tails), writing)
        return state
    tree = Tree.of(tails)
    ends = [places[-1] for places in tree.places]
    nodes, which = np.unique(ends, return_inverse=True)  # rows may be identical
    logits, state = writing.start.read_tree(tree, nodes.tolist(), paths=tree.places)
    assert state is not None
    for before, row, tail in zip([[], *tails], rows, tails, strict=False):
        row.cached = min(row.cached, shared) + common_start(before, tail)  # also the second time
    _choose(rows, logits[which, None], writing)
    return state


def _choose(rows: list[Row], logits: np.ndarray, writing: Writing) -> None:
    """Add the next token of each row that has not ended. logits: (rows, 1, vocabulary)."""
    for row, scores in zip(rows, logits[:, -1], strict=True):
        if not row.stopped:
            add(row, _next(row, scores), writing.decode, writing.stops)


def add(row: Row, token: int, decode: Decode, stops: frozenset[int]) -> None:
    """Append a token to a critique and check whether the critique ends there."""
    ending = ends(row.request)
    row.written.append(token)
    ended = token in stops
    # A token has at least one byte, so no end can start before this token.
    recent = decode(row.written[-(max(len(end.encode()) for end in ending) + 4) :])
    found = any(end in recent for end in ending)
    row.stopped = ended or found or len(row.written) >= row.room
    if row.stopped or row.hearing is not None:
        # Some tokenisers drop the space of the first token they decode, so decode from one token earlier.
        anchor = row.ids[-1:]
        tokens = row.written[:-1] if ended else row.written
        text = decode(anchor + tokens)[len(decode(anchor)) :]
        row.critique = up_to_end(row.request, text)
        row.cut = row.stopped and not ended and row.critique == text
    if row.hearing is not None:
        if row.stopped:
            row.hearing.end(row.critique.strip())
        else:
            row.hearing.so_far(row.critique)


def closing(
    rows: list[Row], state: State, ids: Callable[[str], list[int]]
) -> tuple[list[int], list[list[int]]]:
    """Return how many tokens of each row to keep, and which to read, so that the row ends with the cue.

    Prompt, critique and cue are tokenised as one text, as if they were a prompt; tokens that the state already has are not
    computed again.
    """
    keep: list[int] = []
    rest: list[list[int]] = []
    for row, cached in zip(rows, state.lengths(), strict=True):
        whole = [*ids(row.request.closed(row.text + row.critique)), *row.paths.shared]
        same = min(common_start(row.ids + row.written, whole), cached, len(whole) - 1)
        keep.append(same)
        rest.append(whole[same:])
    return keep, rest


def _next(row: Row, scores: np.ndarray) -> int:
    """Return the likeliest token, or a random one by temperature."""
    if row.request.temperature > 0:
        scaled = scores.astype(np.float64) / row.request.temperature
        mass = np.exp(scaled - scaled.max())
        weights = mass / mass.sum()
        # Otherwise not a distribution, and the label becomes an error.
        if np.isfinite(weights).all():
            return int(row.random.choice(len(weights), p=weights))
    return int(scores.argmax())
