"""Label probabilities, computed by feeding the labels' tokens: after the rows of a batch, or as leaves of a tree.

All rows of a batch have the same labels. ``engines/labels.py`` defines the probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mene.engines.in_process.fed import State
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import Tree, common_start
from mene.engines.labels import Path

# From this many tokens on, copying a state costs less than reading them again.
WORTHWHILE = 16
# For each inner node of the tree of labels: possible next token -> log of its probability.
Logs = dict[Path, dict[int, float]]


def read_after(rows: Sequence[Row], state: State, logits: np.ndarray) -> list[Logs]:
    """Return the log probabilities of the labels' tokens after each row's prompt and cue; ``state`` is restored.

    Args:
        logits: (rows, 1, vocabulary), after the cue.
    """
    branches = rows[0].paths.branches
    found: list[Logs] = [{(): _logs(own[-1], branches[()])} for own in logits]
    for chain in _chains(branches):
        before = state.lengths()
        logits = state.feed([chain] * len(rows), keep=len(chain))
        state.rewind(before)
        for logs, own in zip(found, logits, strict=True):
            for depth in range(1, len(chain) + 1):
                logs[chain[:depth]] = _logs(own[depth - 1], branches[chain[:depth]])
    return found


class Ahead(NamedTuple):
    """What has been read of the first row of a tree: ``known`` tokens beyond the prefix that all rows share."""

    state: State
    known: int = 0


def read_in_tree(
    rows: Sequence[Row], ahead: Ahead, shared: int, following: Sequence[Row] = ()
) -> tuple[list[Logs], Ahead | None]:
    """Like ``read_after``, for rows in verdict mode as one prefix tree of prompts and labels of several tokens.

    The tokens that a row shares with the one before it count as cached.

    Args:
        rows: sorted by their tokens.
        ahead: has read the first ``shared`` tokens of every row, and some more of the first one.
        following: rows of the next tree, sorted.

    Returns:
        The log probabilities, and what has been read of the next tree; None where that is not worth keeping.
    """
    branches = rows[0].paths.branches
    chains = _chains(branches) or [()]
    tails = [row.ids[shared:] for row in rows]
    tree = Tree.of([[*tail, *chain] for tail in tails for chain in chains])
    # (row, node of the label tree) -> node of the prefix tree whose logits choose among its branches.
    where: dict[tuple[int, Path], int] = {}
    for number, places in enumerate(tree.places):
        row, chain = number // len(chains), chains[number % len(chains)]
        for depth in range(len(chain) + 1):
            where[row, chain[:depth]] = places[len(tails[row]) - 1 + depth]
    found: list[Logs] = [{} for _ in rows]
    nodes = {node: spot for spot, node in enumerate(dict.fromkeys(where.values()))}
    kept: list[int] = []
    if following:  # leave at least one token of its first row to read
        same = common_start(tails[-1], following[0].ids[shared:-1])
        kept = tree.places[-1][:same] if same >= WORTHWHILE else []
    # Identical rows have the same nodes.
    logits, state = ahead.state.read_tree(tree, list(nodes), ahead.known, [kept] if kept else [])
    totals = _totals(logits)
    for (row, path), node in where.items():
        own, total = logits[nodes[node]], totals[nodes[node]]
        found[row][path] = {token: float(own[token]) - total for token in branches[path]}
    before = tails[0][: ahead.known]
    for row, tail in zip(rows, tails, strict=True):
        row.cached += common_start(before, tail)
        before = tail
    return found, None if state is None else Ahead(state, len(kept))


def _logs(logits: np.ndarray, tokens: Sequence[int]) -> dict[int, float]:
    (total,) = _totals(logits[None])
    return {token: float(logits[token]) - total for token in tokens}


def _totals(logits: np.ndarray) -> list[float]:
    """Return the log of each row's sum of exponentials. (Importing SciPy for it takes as long as loading ``nano``.)"""
    top = logits.max(-1, keepdims=True)
    top[~np.isfinite(top)] = 0  # the result then is infinite or NaN, as it should be
    with np.errstate(divide="ignore", over="ignore"):
        sums = np.log(np.exp(logits - top).sum(-1, dtype=np.float64))
    return (sums + top[..., 0]).tolist()


def _chains(branches: Iterable[Path]) -> list[Path]:
    """Return the inner nodes that are no prefix of another inner node; feeding these visits all inner nodes."""
    nodes = list(branches)
    return [n for n in nodes if n and not any(len(o) > len(n) and o[: len(n)] == n for o in nodes)]
