"""Writing the critiques of a batch in parallel: token by token up to the cue, the end of the turn, or the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event

import numpy as np

from mene.engines.in_process.fed import State
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import common_start

Decode = Callable[[list[int]], str]


def write(
    rows: list[Row],
    state: State,
    logits: np.ndarray,
    stop: Event,
    decode: Decode,
    stops: frozenset[int],
) -> Iterator[tuple[list[Row], State | None]]:
    """Write the rows' critiques; finished rows leave the batch when they are half of it.

    Args:
        logits: (rows, 1, vocabulary), after the prompts.
        stops: tokens that end a turn.

    Yields:
        Finished rows and, where a label follows the critique, a state with these rows only.
    """
    for row in rows:
        row.written, row.stopped, row.critique = [], False, ""
        # One generator per row, so that the draws do not depend on the other rows.
        row.random = np.random.default_rng(row.request.seed % 2**64)
    while not stop.is_set():
        for row, scores in zip(rows, logits[:, -1], strict=True):
            if not row.stopped:
                add(row, _next(row, scores), decode, stops)
        done = [i for i, row in enumerate(rows) if row.stopped]
        if 2 * len(done) >= len(rows):
            yield (
                [rows[i] for i in done],
                state.select(done) if rows[0].request.choose else None,
            )
            going = [i for i, row in enumerate(rows) if not row.stopped]
            if not going:
                return
            rows, state = [rows[i] for i in going], state.select(going)
        logits = state.feed([[] if row.stopped else row.written[-1:] for row in rows])


def add(row: Row, token: int, decode: Decode, stops: frozenset[int]) -> None:
    """Append a token to a critique and check whether the critique ends there."""
    cue = row.request.cue
    row.written.append(token)
    ended = token in stops
    # A token has at least one byte, so the cue cannot start before this token.
    recent = row.written[-(len(cue.encode()) + 4) :]
    row.stopped = ended or len(row.written) >= row.room or cue in decode(recent)
    if row.stopped or row.hearing is not None:
        # Some tokenisers drop the space of the first token they decode, so decode from one token earlier.
        anchor = row.ids[-1:]
        tokens = row.written[:-1] if ended else row.written
        text = decode(anchor + tokens)[len(decode(anchor)) :]
        row.critique, found, _ = text.partition(cue)
        row.cut = not ended and not found
    if row.hearing is not None:
        if row.stopped:
            row.hearing.end(row.critique.strip())
        else:
            row.hearing.so_far(row.critique)


def close(rows: list[Row], state: State, ids: Callable[[str], list[int]]) -> np.ndarray:
    """Rewind to the end of each critique and read the cue; return logits (rows, 1, vocabulary).

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
    state.rewind(keep)
    return state.feed(rest)


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
