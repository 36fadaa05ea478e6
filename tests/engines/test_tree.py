"""The prefix tree: every sequence is in it whole, and nothing twice."""

from __future__ import annotations

from math import isqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mene.engines.in_process.tree import WORTH, Tree, common_start, divided, packs

SEQUENCES = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6), min_size=1, max_size=8)


@given(SEQUENCES)
def test_a_node_sees_its_own_sequence_and_nothing_else(sequences: list[list[int]]) -> None:
    tree = Tree.of(sequences)
    mask = tree.mask()
    for tokens, places in zip(sequences, tree.places, strict=True):
        assert [tree.ids[node] for node in places] == tokens
        assert [tree.depths[node] for node in places] == list(range(len(tokens)))
        for depth, node in enumerate(places):
            assert sorted(mask[node].nonzero()[0].tolist()) == places[: depth + 1]
    nodes = np.arange(len(tree.ids))
    assert (mask == ((nodes <= nodes[:, None]) & (nodes[:, None] < tree.ends()))).all()


@given(SEQUENCES)
def test_there_is_one_node_per_distinct_start(sequences: list[list[int]]) -> None:
    starts = {tuple(tokens[: i + 1]) for tokens in sequences for i in range(len(tokens))}
    assert len(Tree.of(sequences).ids) == len(starts)


@given(SEQUENCES, st.integers(1, 12))
def test_packs_hold_every_sequence_once_and_keep_their_size(
    sequences: list[list[int]], most: int
) -> None:
    found = list(packs(sequences, most))
    assert sorted(i for pack in found for i in pack) == list(range(len(sequences)))
    for pack in found:
        nodes = len(Tree.of([sequences[i] for i in pack]).ids)
        first, last = sequences[pack[0]], sequences[pack[-1]]
        same = common_start(sequences[pack[-2]], last) if len(pack) > 1 else 0
        assert nodes <= max(most, len(first), isqrt(WORTH * same))


@given(SEQUENCES, st.integers(1, 12), st.data())
def test_what_belongs_together_stays_in_one_tree(
    sequences: list[list[int]], number: int, data: st.DataObject
) -> None:
    keys = data.draw(st.lists(st.integers(0, 3), min_size=len(sequences), max_size=len(sequences)))
    for found in (list(packs(sequences, number, keys)), divided(sequences, number, keys)):
        assert sorted(i for tree in found for i in tree) == list(range(len(sequences)))
        assert all(found)
        for key in keys:
            assert sum(any(keys[i] == key for i in tree) for tree in found) == 1


def test_a_long_document_keeps_its_claims_together() -> None:
    document = list(range(600))
    claims = [[*document, 1000 + n, 1] for n in range(100)]
    assert [len(pack) for pack in packs(claims, 512)] == [100]
    rubric = list(range(20))
    answers = [[*rubric, *range(100 * n, 100 * n + 60)] for n in range(1, 20)]
    assert max(len(pack) for pack in packs(answers, 512)) == 8


def test_common_start() -> None:
    assert common_start([1, 2, 3], [1, 2, 4]) == 2
    assert common_start([1], [1, 2]) == 1
    assert common_start([], [1]) == 0


@pytest.mark.parametrize(("rows", "count"), [(50, 7), (7, 7), (5, 8), (1, 1), (0, 3)])
def test_sequences_are_divided_among_trees(rows: int, count: int) -> None:
    rng = np.random.default_rng(rows)
    sequences = [rng.integers(0, 3, rng.integers(3, 30)).tolist() for _ in range(rows)]
    found = divided(sequences, count)
    assert len(found) == min(rows, count)
    assert sorted(i for tree in found for i in tree) == list(range(rows))
    assert all(found)
    if rows == 50:
        sizes = [sum(len(sequences[i]) for i in tree) for tree in found]
        assert max(sizes) < 2 * min(sizes)
