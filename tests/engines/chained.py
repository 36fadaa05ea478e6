"""Trees that are read one after the other, on any model that is fed: each goes on from the end of the one before."""

from __future__ import annotations

import numpy as np

from mene.engines.in_process.fed import FedModel
from mene.engines.in_process.tree import Tree


def goes_on_from_the_tree_before(model: FedModel, tolerance: float) -> None:
    """The logits of three trees in a chain are those of each row alone."""
    start, shared = model.ids("Is this right?"), model.tokenize(" Paris is the capital of France")
    tails = [
        [*shared, *model.tokenize(f"{end}{more}")]
        for end in (" and a city .", " and big .", " on the Seine .")
        for more in (" Yes", " No , it is not", "")
    ]
    tails.sort()
    state = model.empty(1)
    state.feed([start])
    ahead, known = state, 0
    for first in (0, 3, 6):
        tree = Tree.of(tails[first : first + 3])
        ends = sorted({places[-1] for places in tree.places})
        last = first + 3 < len(tails)
        paths = [tree.places[-1][: len(shared)]] if last else []
        logits, after = ahead.read_tree(tree, ends, known, paths)
        for tail, places in zip(tails[first : first + 3], tree.places, strict=True):
            alone = model.empty(1).feed([[*start, *tail]])[0, -1]
            np.testing.assert_allclose(logits[ends.index(places[-1])], alone, atol=tolerance)
        assert (after is None) == (not paths)
        if after is not None:
            assert after.lengths() == [len(start) + len(shared)]
            ahead, known = after, len(shared)
    assert state.lengths() == [len(start)]
