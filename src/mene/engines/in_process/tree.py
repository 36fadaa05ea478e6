"""Token sequences packed into one prefix tree, so that shared prefixes are computed once.

Sequences with a common prefix (prompts with one rubric; the chosen and the rejected completion of one prompt) share its
nodes. All nodes form a single row of tokens. A node attends only to its ancestors, and its position is its depth, so each
sequence is computed exactly as if it were alone.

Independent of models: token ids go in; ids, positions and a mask come out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt

import numpy as np

# Number of nodes at which attention costs as much per node as all matrices together, measured on a CPU with
# 30 layers of width 576. For wider models it is higher, so this is a safe value.
WORTH = 1500


@dataclass(frozen=True, slots=True)
class Tree:
    """Sequences as one prefix tree.

    Attributes:
        ids: token of each node; parents come before their children, and a node's descendants directly after it.
        depths: position of each node in its sequences, from 0.
        parents: index of each node's parent; -1 at the root.
        places: for each sequence, in the given order, the nodes of its tokens.
    """

    ids: list[int]
    depths: list[int]
    parents: list[int]
    places: list[list[int]]

    @classmethod
    def of(cls, sequences: Sequence[list[int]]) -> Tree:
        """Pack ``sequences``, in any order; none may be empty."""
        tree = cls([], [], [], [[] for _ in sequences])
        before: list[int] = []
        path: list[int] = []
        for index in sorted(range(len(sequences)), key=lambda i: sequences[i]):
            tokens = sequences[index]
            same = common_start(before, tokens)
            path = path[:same]
            for token in tokens[same:]:
                tree.parents.append(path[-1] if path else -1)
                tree.depths.append(len(path))
                path.append(len(tree.ids))
                tree.ids.append(token)
            tree.places[index] = path
            before = tokens
        return tree

    def ends(self) -> np.ndarray:
        """Return the node after the last descendant of each node. Shape (nodes,), int64.

        Sequences are packed in sorted order, so the descendants of a node follow it without a gap: node ``q`` attends to ``k``
        where ``k <= q < ends[k]``.
        """
        ends = np.arange(1, len(self.ids) + 1)
        parents = self.parents
        for node in range(len(parents) - 1, -1, -1):
            parent = parents[node]
            if parent >= 0 and ends[parent] < ends[node]:
                ends[parent] = ends[node]
        return ends

    def mask(self) -> np.ndarray:
        """Return which nodes each node attends to: its ancestors and itself. Shape (nodes, nodes), bool."""
        count = len(self.ids)
        mask = np.zeros((count, count), bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[node, : parent + 1] = mask[parent, : parent + 1]
            mask[node, node] = True
        return mask


def packs(
    sequences: Sequence[list[int]],
    most: int,
    together: Sequence[object] | None = None,
    chained: bool = False,
    beyond: Sequence[int] | None = None,
) -> Iterator[list[int]]:
    """Divide sequences into trees of about ``most`` nodes, keeping common prefixes together.

    A tree may grow larger where the next sequence has much in common with the last (a long document). A tree of n nodes after
    a common prefix of s tokens computes the prefix again (s), and its attention is quadratic (n² / ``WORTH``); the cost per
    node
    is least at n = √(``WORTH`` · s). Chained trees compute nothing again, so this does not apply to them.

    Args:
        together: a key per sequence; sequences with the same key stay in one tree.
        chained: the trees are read one after the other, and what a tree shares with the last one is not read again, so that
            its nodes do not count.
        beyond: nodes that each sequence gets beside its own.

    Yields:
        The indices of the sequences of each tree.
    """
    pack: list[int] = []
    nodes = 0
    before: list[int] = []
    for unit in _units(sequences, together):
        same = common_start(before, sequences[unit[0]])
        room = most if chained else max(most, isqrt(WORTH * same))
        added = _added(sequences, unit) + sum(beyond[index] for index in unit if beyond)
        if pack and nodes + added - same > room:
            yield pack
            pack, nodes, same = [], 0, same if chained else 0
        pack += unit
        nodes += added - same
        before = sequences[unit[-1]]
    if pack:
        yield pack


def divided(
    sequences: Sequence[list[int]], count: int, together: Sequence[object] | None = None
) -> list[list[int]]:
    """Divide sequences into ``count`` trees of similar size, keeping common prefixes together.

    Args:
        together: as for ``packs``.

    Returns:
        The indices of the sequences of each tree, none empty; fewer trees where there are too few sequences.
    """
    order = _units(sequences, together)
    before: list[int] = []
    sizes = []  # nodes that each unit adds to the one before
    for unit in order:
        sizes.append(_added(sequences, unit) - common_start(before, sequences[unit[0]]))
        before = sequences[unit[-1]]
    found: list[list[int]] = [[]]
    nodes, left = 0, sum(sizes)
    for place, (unit, size) in enumerate(zip(order, sizes, strict=True)):
        found[-1] += unit
        nodes += size
        to_come, rest = count - len(found), len(order) - place - 1
        if rest and to_come > 0 and (nodes * (to_come + 1) >= left or rest <= to_come):
            found.append([])
            left -= nodes
            nodes = 0
    return found if order else []


def _units(sequences: Sequence[list[int]], together: Sequence[object] | None) -> list[list[int]]:
    """Return the sequences' indices in sorted order, grouped by ``together``."""
    found: dict[object, list[int]] = {}
    for index in sorted(range(len(sequences)), key=lambda i: sequences[i]):
        found.setdefault(together[index] if together else index, []).append(index)
    return list(found.values())


def _added(sequences: Sequence[list[int]], unit: Sequence[int]) -> int:
    """Return the number of nodes of a unit's sequences, beyond what each shares with the one before."""
    shared = sum(common_start(sequences[a], sequences[b]) for a, b in pairwise(unit))
    return sum(len(sequences[index]) for index in unit) - shared


def common_start(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the length of the common prefix of two sequences."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count
