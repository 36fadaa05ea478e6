"""The probabilities of labels, read by feeding their tokens: after the rows of a batch, or as leaves of a tree.

All of a batch's rows have the same labels. See ``labels.py`` for what the probabilities mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from mene.engines.in_process.fed import State
from mene.engines.in_process.row import Row
from mene.engines.in_process.tree import Tree, common_start
from mene.engines.labels import Path

# Tokens from which on it costs less to copy what was read than to read it again.
WORTHWHILE = 16
# For each inner node of the tree of labels: token that may come next -> log of its probability.
Logs = dict[Path, dict[int, float]]


def read_after(rows: Sequence[Row], state: State, logits: np.ndarray) -> list[Logs]:
    """What the labels' tokens have after each row's prompt and cue; ``state`` is as before then.

    Args:
        logits: (rows, 1, vocabulary), those after the cue.
    """
    branches = rows[0].paths.branches
    found: list[Logs] = [{(): _logs(own[-1], branches[()])} for own in logits]
    for chain in _chains(branches):
        places = state.places
        logits = state.feed([chain] * len(rows), keep=len(chain))
        state.cut(places)
        for logs, own in zip(found, logits, strict=True):
            for depth in range(1, len(chain) + 1):
                logs[chain[:depth]] = _logs(own[depth - 1], branches[chain[:depth]])
    return found


class Ahead(NamedTuple):
    """What has been read of the first row of a tree: ``known`` tokens more than all rows share."""

    state: State
    known: int = 0


def read_in_tree(
    rows: Sequence[Row], ahead: Ahead, shared: int, following: Sequence[Row] = ()
) -> tuple[list[Logs], Ahead | None]:
    """The same for rows in verdict mode as one prefix tree: prompts, and the labels of several tokens behind them.

    Counts as cached what a row shares with the one before it.

    Args:
        rows: in the order of their tokens.
        ahead: has read the first ``shared`` tokens of every row, and some more of the first one.
        following: rows of the next tree, in order.

    Returns:
        also what has then been read of the next tree; None where that is not worth keeping.
    """
    branches = rows[0].paths.branches
    chains = _chains(branches) or [()]
    tails = [row.ids[shared:] for row in rows]
    tree = Tree.of([[*tail, *chain] for tail in tails for chain in chains])
    # Row, node of the label tree -> node of the prefix tree whose logits choose among its branches.
    where: dict[tuple[int, Path], int] = {}
    for number, places in enumerate(tree.places):
        row, chain = number // len(chains), chains[number % len(chains)]
        for depth in range(len(chain) + 1):
            where[row, chain[:depth]] = places[len(tails[row]) - 1 + depth]
    found: list[Logs] = [{} for _ in rows]
    nodes = {node: spot for spot, node in enumerate(dict.fromkeys(where.values()))}
    kept: list[int] = []
    if following:  # of whose first row something must be left to read
        same = common_start(tails[-1], following[0].ids[shared:-1])
        kept = tree.places[-1][:same] if same >= WORTHWHILE else []
    # Rows that are alike have the same nodes.
    logits, state = ahead.state.read_tree(tree, list(nodes), ahead.known, kept)
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
    """Log of the sum of the exponentials of each row. (To import SciPy for it takes as long as to load ``nano``.)"""
    top = logits.max(-1, keepdims=True)
    top[~np.isfinite(top)] = 0  # the answer then is what it is: infinite, or none
    with np.errstate(divide="ignore", over="ignore"):
        sums = np.log(np.exp(logits - top).sum(-1, dtype=np.float64))
    return (sums + top[..., 0]).tolist()


def _chains(branches: Iterable[Path]) -> list[Path]:
    """The inner nodes that begin no other inner node; feeding these visits all of them."""
    nodes = list(branches)
    return [n for n in nodes if n and not any(len(o) > len(n) and o[: len(n)] == n for o in nodes)]
